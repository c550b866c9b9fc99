"""`dibmg fetch`: a study out of a PACS, into the node."""

from __future__ import annotations

import sys
import time

import click
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.completion import destination_names
from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_CONFIG, EXIT_FAILED, EXIT_UNKNOWN, fail
from dibmg_node.cli.options import check_destination, print_json, with_config, with_json
from dibmg_node.cli.tables import console, uid_column
from dibmg_node.config import Settings
from dibmg_node.dicom.header import is_uid
from dibmg_node.services.fetching import Fate, Haul, NoSuchStudyError
from dibmg_node.wiring.sources import fetch_study


@click.command(
    epilog="Example: dibmg fetch 1.2.840.113619.2.66 --from pacs. Exit code 1 if an instance did not come, "
    "or the study has no mammogram; 3 if the PACS has no such study."
)
@click.argument("study_uid")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="NAME",
    help="A destination of the configuration.",
    shell_complete=destination_names,
)
@click.option(
    "--all", "everything", is_flag=True, help="Every object of the study, not its mammograms alone."
)
@with_config
@with_json
def fetch(study_uid: str, source: str, everything: bool, settings: Settings, as_json: bool) -> None:
    """Pull a study from a PACS; the node reads it as if it had been sent.

    Instances are as safe as received ones when this command ends; a node that is down reads them once it
    is up. What the node has already is passed over without harm.
    """
    if not is_uid(study_uid):
        fail(f"{study_uid!r} is not a Study Instance UID", EXIT_CONFIG)
    check_destination(settings, source)
    destinations = {destination.name: destination for destination in settings.destination}
    ledger = open_existing_ledger(settings)
    started = time.monotonic()
    try:
        haul = fetch_study(settings, ledger, destinations[source], study_uid, everything=everything)
    except NoSuchStudyError as error:
        fail(str(error), EXIT_UNKNOWN)
    if as_json:
        seconds = round(time.monotonic() - started, 3)
        print_json(
            {
                "study_uid": study_uid,
                "from": source,
                "stored": haul.count(Fate.STORED),
                "passed_over": haul.passed_over,
                "instances": [
                    {"sop_uid": one.sop_uid, "state": one.fate.value, "reason": one.reason}
                    for one in haul.instances
                ],
                "seconds": seconds,
            }
        )
    else:
        _print(haul, source)
    if not haul.instances or haul.count(Fate.STORED) < len(haul.instances):
        sys.exit(EXIT_FAILED)


def _print(haul: Haul, source: str) -> None:
    if not haul.instances:
        click.echo(f"the study has {haul.passed_over} instances, none of them a mammogram; --all takes them")
        return
    stored = f"{haul.count(Fate.STORED)} of {len(haul.instances)} instances of {haul.study_uid}"
    console.print(f"{stored} fetched from {escape(source)}; {haul.passed_over} others passed over")
    failed = [one for one in haul.instances if one.fate is not Fate.STORED]
    if failed:
        table = Table(uid_column("instance"), "what", "why")
        for one in failed:
            table.add_row(one.sop_uid, one.fate.value, escape(one.reason))
        console.print(table)
