"""`dibmg outcomes`: what became of the exams, and how good the model was."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Final

import click
from pydicom.dataset import Dataset
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.control import operating_on, this_person
from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_CONFIG, EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.tables import console
from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.services.follow_up_file import TableRejectedError, read_table
from dibmg_node.services.follow_up_import import Imported
from dibmg_node.services.patients import archived_header
from dibmg_node.storage.follow_ups import FollowUps
from dibmg_node.wiring import foundation

_NEEDED: Final = "figures need dibmg-node[evaluate]"
_MOST_NUMBERS: Final = 20


@click.group(
    invoke_without_command=True,
    epilog="Example: dibmg outcomes --by month. Needs dibmg-node[evaluate]; the import does not.",
)
@click.option(
    "--by", type=click.Choice(["month", "quarter"]), default="quarter", show_default=True, help="Over time."
)
@with_config
@with_json
@click.pass_context
def outcomes(context: click.Context, by: str, settings: Settings, as_json: bool) -> None:
    """Show sensitivity, specificity, predictive values, recall and AUC of exams whose outcome is known.

    Each exam counts at the operating point that it was read at; 95 % intervals by Wilson, of AUC by DeLong.
    """
    if context.invoked_subcommand is not None:
        return
    ledger = open_existing_ledger(settings)
    found = _figures(ledger.follow_ups, by)
    if found is None:
        fail(f"{_NEEDED}: install dibmg-node[evaluate]", EXIT_CONFIG)
    ledger.follow_ups.keep_figures(found, foundation.now())
    if as_json:
        print_json(found)
    else:
        _print(found)


@outcomes.command(
    "import",
    epilog="Example: dibmg outcomes import outcomes.csv. The file has a header and the columns accession or "
    "study_uid, and outcome (cancer, benign, normal); if you like date (YYYY-MM-DD), laterality (R, L; "
    "without: the whole exam) and source (one word).",
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_config
@with_json
def outcomes_import(file: Path, settings: Settings, as_json: bool) -> None:
    """Enter what became of exams: later lines correct earlier ones, the same file again changes nothing.

    A file with an error is not entered at all. Accession numbers find the exam, and are not kept. The audit
    trail tells who entered which file, and how many lines of it changed something.
    """
    operating = operating_on(settings)
    try:
        lines = read_table(file, _today())
    except TableRejectedError as error:
        for complaint in error.complaints:
            click.echo(complaint, err=True)
        fail(f"{file}: nothing was entered", EXIT_FAILED)
    except OSError as error:
        fail(f"{file}: {error.strerror}", EXIT_FAILED)
    ledger, archive = operating.ledger, foundation.open_archive(settings)

    def header_of(study_uid: str) -> Dataset | None:
        image = ledger.listing.an_instance_of([study_uid]).get(study_uid)
        return None if image is None else archived_header(archive, image)

    found = operating.enter_outcomes(this_person(), file.name, lines, header_of)
    follow_ups = ledger.follow_ups
    figures = _figures(follow_ups, "quarter")
    if figures is not None:
        follow_ups.keep_figures(figures, foundation.now())
    if as_json:
        print_json({**found.as_json(), "figures": figures is not None})
        return
    _print_import(found)
    if figures is None:
        click.echo(f"{_NEEDED}: then 'dibmg outcomes' shows them, and the dashboard")


def _today() -> date:
    """Here or in UTC, whichever is later: what is entered early in the morning is not of tomorrow."""
    now = foundation.now()
    return max(now.date(), now.astimezone().date())


def _figures(ledger: FollowUps, by: str) -> dict[str, Any] | None:
    """The figures; None where the extra is not installed."""
    try:
        from dibmg_node.health.follow_up_report import Period, figures
    except ModuleNotFoundError:
        return None
    return figures(ledger.exams(), Period(by))


def _print_import(found: Imported) -> None:
    click.echo(found.sentence)
    for numbers, told in (
        (found.unmatched, "not in the ledger"),
        (found.ambiguous, "accession number of several studies: give study_uid"),
        (found.contradictory, "accession number and study_uid are of different studies"),
        (found.unchecked, "accession number or patient ID, and no image tells which: give study_uid"),
    ):
        if numbers:
            some = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
            more = f" and {len(numbers) - _MOST_NUMBERS} more" if len(numbers) > _MOST_NUMBERS else ""
            click.echo(f"{counted(len(numbers), 'line')} left out, {told}: line {some}{more}")


def _print(found: dict[str, Any]) -> None:
    if not found["weights"] and not found["left_out"]:
        console.print("no exam that was read has an outcome yet: dibmg outcomes import FILE")
        return
    for one in found["weights"]:
        console.print(f"weights {one['sha256'][:12]}, read {one['first'][:10]} to {one['last'][:10]}")
        table = Table(
            "exams of", "exams", "cancers", "recall %", "sensitivity %", "specificity %", "PPV %", "AUC"
        )
        rows = [("all", one["overall"])]
        rows += [(_name(row), row) for row in one["devices"]]
        rows += [(row["period"], row) for row in one["periods"]]
        for name, row in rows:
            rates = [_told(row[key], 100) for key in ("recall", "sensitivity", "specificity", "ppv")]
            counts = str(row["exams"]), str(row["cancers"])
            table.add_row(escape(name), *counts, *rates, _told(row["auc"]))
        console.print(table)
    console.print(found["note"])


def _name(row: dict[str, Any]) -> str:
    return " ".join(filter(None, (row["manufacturer"], row["model"], row["software"]))) or "unnamed"


def _told(one: dict[str, Any], factor: float = 1.0) -> str:
    """A figure with its interval, or why there is none."""
    if one["value"] is None:
        return f"({one['reason']})"
    digits = 1 if factor == 100 else 3
    told = f"{factor * one['value']:.{digits}f}"
    if one["low"] is None:
        return told
    return f"{told} ({factor * one['low']:.{digits}f}-{factor * one['high']:.{digits}f})"
