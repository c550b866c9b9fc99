"""`dibmg export`: studies and scores for a statistics program."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from dibmg_node.cli.existing_ledger import open_existing_ledger
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.filters import with_filters
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.services.export import ACCESSION, COLUMNS, rows
from dibmg_node.services.patients import accession_number
from dibmg_node.services.table_file import write_table
from dibmg_node.storage.listing import StudyFilter
from dibmg_node.wiring import foundation


@click.command(epilog="Example: dibmg export --out screening.parquet --from 2026-01-01 --to 2026-03-31")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; its name ends in .csv or .parquet.",
)
@click.option(
    "--accession",
    is_flag=True,
    help="With accession numbers, read from the images; empty where they are purged.",
)
@with_filters
@with_config
@with_json
def export(out: Path, accession: bool, wanted: StudyFilter, settings: Settings, as_json: bool) -> None:
    """Write studies with their scores into a table, that with the newest image first.

    No patient's name, ID or birth date is in it; the Study Instance UID is, and whoever has the PACS knows
    the woman by it: treat the file accordingly.
    """
    ledger = open_existing_ledger(settings)
    columns = {ACCESSION: str, **COLUMNS} if accession else COLUMNS
    archive = foundation.open_archive(settings)
    parts = rows(ledger.listing, wanted, (lambda uid: accession_number(archive, uid)) if accession else None)
    terminal = Console(stderr=True)
    try:
        if terminal.is_terminal:
            with terminal.status("exporting") as shown:
                count = write_table(out, columns, parts, lambda done: shown.update(f"{done} studies"))
        else:
            count = write_table(out, columns, parts)
    except OSError as error:
        fail(f"{out}: {error.strerror}", EXIT_FAILED)
    if as_json:
        print_json({"file": str(out), "studies": count, "columns": list(columns)})
    else:
        click.echo(
            f"{counted(count, 'study', 'studies')} written to {out}; research use only, not for diagnosis"
        )
