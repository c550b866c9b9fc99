"""`dibmg replay`: does the study still read the same?"""

from __future__ import annotations

import sys

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_FAILED, fail, no_such_study
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.progress import show_busy
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.services.replay import Replay
from dibmg_node.wiring.replaying import make_replayer


@click.command(
    epilog="Example: dibmg replay 1.2.840.113619.2.66. Exit codes: 0 the same bytes again, 1 another result, "
    "or it cannot be read again, 3 no such study."
)
@click.argument("study_uid")
@with_config
@with_json
def replay(study_uid: str, settings: Settings, as_json: bool) -> None:
    """Read a study again from the kept bytes, with the model that it was read with.

    Says of every result whether it has the same bytes again, else what differs, and what it was read with
    that differs. Nothing is delivered, and neither ledger nor archive change.
    """
    record = open_existing_ledger(settings).records.of(study_uid)
    if record is None:
        no_such_study(study_uid)
    try:
        with show_busy("reading the study again"):
            found = make_replayer(settings, record.reading).replay(record)
    except OSError as error:
        fail(f"archive: {error.strerror}", EXIT_FAILED)
    if as_json:
        print_json(_for_programs(study_uid, record.study.revision, found))
    else:
        _print(study_uid, found)
    if not found.same:
        sys.exit(EXIT_FAILED)


def _for_programs(study_uid: str, revision: int, found: Replay) -> dict[str, object]:
    return {
        "study_uid": study_uid,
        "revision": revision,
        "same": found.same,
        "causes": list(found.causes),
        "reading": list(found.reading),
        "results": [
            {
                "sop_uid": one.result.sop_uid,
                "kind": one.result.kind.value,
                "view": str(one.result.view or ""),
                "same": one.same,
                "differences": list(one.told),
            }
            for one in found.results
        ],
    }


def _print(study_uid: str, found: Replay) -> None:
    if found.results:
        table = Table("result", "view", "bytes", "where")
        for one in found.results:
            word = "[green]same[/]" if one.same else "[red]others[/]"
            table.add_row(one.result.kind, str(one.result.view or ""), word, escape("\n".join(one.told)))
        console.print(table)
    for line in found.reading:
        console.print(escape(line))
    if found.same:
        console.print(f"[green]same bytes again[/]: {len(found.results)} results of study {study_uid}")
        return
    differing = sum(not one.same for one in found.results)
    console.print(
        f"[red]not the same[/]: {differing} of {len(found.results)} results of study {study_uid} differ"
    )
    for cause in found.causes:
        console.print(f"read with another {escape(cause)}")
    if not found.causes:
        console.print(
            "weights, operating point, preprocessing, runtime and precision are those of then: the code, or "
            r"\[exam] or \[overlay] of the configuration, differ"
        )
