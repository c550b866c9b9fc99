"""`dibmg audit`: is the audit trail whole, and what does it tell?"""

from __future__ import annotations

import getpass
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.domain.audit import EventId
from dibmg_node.domain.counted import counted
from dibmg_node.services.pseudonyms import Pseudonyms
from dibmg_node.storage.trail import trail_files
from dibmg_node.storage.trail_check import Checked, check_trail
from dibmg_node.storage.trail_reading import Bookmark, read_on
from dibmg_node.storage.trail_verification import (
    head_to_meet,
    load_verification,
    save_verification,
    verification_of,
)
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import audit_key, trail_folder, verification_file

_PAGE = 1000


@click.group()
def audit() -> None:
    """The audit trail: who sent, asked for and got what, and who was not let in."""


@audit.command(
    "verify",
    epilog="Example: dibmg audit verify --config config.toml. Exit codes: 0 whole, 1 not whole or not there, "
    "2 the configuration or the command line is wrong.",
)
@click.option(
    "--head", default="", metavar="SHA256", help="A head noted earlier, which must be in the trail."
)
@click.option(
    "--from",
    "first_seq",
    type=click.IntRange(1),
    help="Line that it begins with, named once where older files were taken away; what was found before "
    "counts no more. Default: that of the last verification.",
)
@with_config
@with_json
def verify(head: str, first_seq: int | None, settings: Settings, as_json: bool) -> None:
    """Walk the trail: is every line there, in its order, as it was written?

    Prints the head, the digest of the last line. Note it where nobody who can write to this machine can: with
    `--head` it tells later whether the end was cut off or everything was rewritten. That of the last
    verification that found the trail whole is asked for without it, unless `--from` is given.
    """
    former = load_verification(verification_file(settings)) if first_seq is None else None
    begin = first_seq or (former.first_seq if former else 1)
    expected = head.lower() or head_to_meet(former)
    try:
        checked = check_trail(trail_folder(settings), begin, expected)
    except PermissionError as error:
        _no_access(settings, error)
    except OSError as error:
        _no_trail(settings, str(error.strerror))
    if not checked.lines and checked.broken is None:
        if checked.files:
            told = f"{counted(checked.files, 'file')} and not one line: every start of a node is in its trail"
            fail(f"{trail_folder(settings)}: {told}; somebody emptied it", EXIT_FAILED)
        _no_trail(settings, "no file")
    _keep(settings, checked, begin, expected)
    broken = checked.broken
    if as_json:
        print_json(_told(checked))
    elif broken is None:
        torn = f", {checked.torn} torn lines marked" if checked.torn else ""
        span = f", {checked.first_at} to {checked.last_at}" if checked.lines else ""
        click.echo(f"whole: {counted(checked.lines, 'line')} in {counted(checked.files, 'file')}{torn}{span}")
        click.echo(f"head: {checked.head}")
    else:
        click.echo(f"{broken.place.file}:{broken.place.line}: {broken.reason}")
    if broken is not None:
        sys.exit(EXIT_FAILED)


@audit.command("show", epilog="Example: dibmg audit show --event 110113 --since 2026-03-01")
@click.option("--event", type=click.Choice([one.code for one in EventId]), help="Of this kind.")
@click.option("--study", metavar="UID", help="About this study.")
@click.option("--patient", metavar="ID", help="About the patient with this Patient ID.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Not before (UTC).")
@click.option("--limit", type=click.IntRange(1), default=100, help="The newest so many. Default: 100.")
@with_config
@with_json
def show(
    event: str | None,
    study: str | None,
    patient: str | None,
    since: datetime | None,
    limit: int,
    settings: Settings,
    as_json: bool,
) -> None:
    """Show what happened, oldest first.

    A patient is found by the pseudonym of her ID, which only this node's key can make.
    """
    try:
        if not trail_files(trail_folder(settings)):
            _no_trail(settings, "no file that this user can read")
    except PermissionError as error:
        _no_access(settings, error)
    pseudonym = Pseudonyms(audit_key(settings)).of(patient) if patient else ""
    found = deque(
        (
            line
            for line in _lines(settings)
            if (not event or line.get("event") == event)
            and (not study or any(one["study_uid"] == study for one in line.get("studies", ())))
            and (not pseudonym or line.get("patient") == pseudonym)
            and (not since or str(line["at"]) >= since.isoformat())
        ),
        maxlen=limit,
    )
    if as_json:
        print_json(list(found))
        return
    table = Table("line", "at", "event", "who", "outcome", "about")
    for line in found:
        table.add_row(*(escape(cell) for cell in _row(line)))
    console.print(table)


def _no_access(settings: Settings, error: OSError) -> NoReturn:
    folder = trail_folder(settings)
    fail(f"{folder} cannot be looked at ({error.strerror}): run this as the node's user", EXIT_FAILED)


def _no_trail(settings: Settings, found: str) -> NoReturn:
    """End: every start of a node is in its trail, so that one without lines is none."""
    told = (
        "this node was never up ('dibmg up'), its configuration is another one (--config FILE), or it is gone"
    )
    fail(f"no audit trail below {trail_folder(settings)} ({found}): {told}", EXIT_FAILED)


def _keep(settings: Settings, checked: Checked, first_seq: int, expected: str) -> None:
    """Keep what was found, for the dashboard; whoever may only read is told it all the same."""
    by = f"{getpass.getuser()}, by command"
    verification = verification_of(checked, by, first_seq, foundation.now(), expected)
    try:
        save_verification(verification_file(settings), verification)
    except OSError as error:
        click.echo(f"not kept for the dashboard: {error.strerror}", err=True)


def _lines(settings: Settings) -> Iterator[Mapping[str, Any]]:
    at = Bookmark()
    while True:
        lines, at = read_on(trail_folder(settings), at, _PAGE)
        if not lines:
            return
        yield from lines


def _row(line: Mapping[str, Any]) -> tuple[str, ...]:
    users = " > ".join(str(one["user"]) for one in line.get("participants", ()))
    about = [str(one["study_uid"]) for one in line.get("studies", ())]
    about += [str(line[key]) for key in ("query", "description") if key in line]
    name = str(line.get("type_name") or line.get("name", ""))
    return str(line["seq"]), str(line["at"])[:19], name, users, str(line.get("outcome", "")), "; ".join(about)


def _told(checked: Checked) -> dict[str, Any]:
    broken = checked.broken
    place = broken and {"file": str(broken.place.file), "line": broken.place.line, "reason": broken.reason}
    return {
        "whole": broken is None,
        "files": checked.files,
        "lines": checked.lines,
        "torn": checked.torn,
        "first_at": checked.first_at,
        "last_at": checked.last_at,
        "head": checked.head,
        "broken": place,
    }
