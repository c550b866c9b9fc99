"""`dibmg sr`: Mammography CAD reports of any vendor, checked and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
from pydicom.dataset import FileDataset
from rich.markup import escape
from rich.table import Table

from dibmg_node.cli.exits import EXIT_CONFIG, EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_json
from dibmg_node.cli.sr_pictures import Pictures, draw_report
from dibmg_node.cli.sr_words import content_json, content_lines, finding_rows, printable
from dibmg_node.cli.tables import console
from dibmg_node.dicom.sr.checking import check_report, errors_of
from dibmg_node.dicom.sr.complaints import Complaint
from dibmg_node.dicom.sr.file import MAXIMUM_BYTES, read_report
from dibmg_node.dicom.sr.reader import read_cad_content
from dibmg_node.dicom.sr.tree import ReportUnreadableError

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def sr() -> None:
    """Mammography CAD reports (CAD SR) of any vendor."""


@sr.command(
    epilog="Example: dibmg sr check cad-sr.dcm. Exit codes: 0 no error, 1 errors, 2 a file that is no "
    "readable Mammography CAD SR."
)
@click.argument("files", nargs=-1, required=True, type=_file)
@with_json
def check(files: Sequence[Path], as_json: bool) -> None:
    """Check reports against TID 4000, row by row, and against the Mammography CAD SR IOD."""
    told = []
    worst = 0
    for path in files:
        try:
            complaints = check_report(_read(path))
        except ReportUnreadableError as error:
            worst = EXIT_CONFIG
            told.append({"file": str(path), "readable": False, "reason": str(error)})
            if not as_json:
                click.echo(f"{path}: {error}", err=True)
            continue
        errors = len(errors_of(complaints))
        worst = max(worst, EXIT_FAILED if errors else 0)
        told.append(
            {
                "file": str(path),
                "readable": True,
                "errors": errors,
                "warnings": len(complaints) - errors,
                "complaints": [asdict(one) for one in complaints],
            }
        )
        if not as_json:
            _print_complaints(path, complaints, errors)
    if as_json:
        print_json(told)
    raise SystemExit(worst)


@sr.command(
    epilog="Example: dibmg sr show cad-sr.dcm --images exam/ --out pictures/. Exit code 2: no readable "
    "Mammography CAD SR. For research use only."
)
@click.argument("file", type=_file)
@click.option("--images", type=_folder, default=None, help="Folder with the images, at any depth.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where to write one PNG for each image, its findings drawn on it.",
)
@with_json
def show(file: Path, images: Path | None, out: Path | None, as_json: bool) -> None:
    """Show what a report says: findings, places, algorithms, and what failed."""
    if (images is None) != (out is None):
        raise click.UsageError("--images and --out go together: where the images are, where pictures go")
    try:
        content = read_cad_content(_read(file))
    except ReportUnreadableError as error:
        _refuse(file, error)
    pictures = Pictures((), ()) if images is None or out is None else draw_report(content, images, out)
    if as_json:
        print_json({**content_json(content), "pictures": [str(path) for path in pictures.written]})
        return
    for line in content_lines(content):
        click.echo(printable(line))
    if content.findings:
        table = Table("", "finding", "image", "certainty", "probability", "intent", "center", "outline")
        for row in finding_rows(content):
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print(table)
    for remark in (*content.remarks, *pictures.missing):
        click.echo(f"note: {printable(remark)}", err=True)
    for path in pictures.written:
        click.echo(f"written: {path}")


def _read(path: Path) -> FileDataset:
    """Raises ReportUnreadableError, for a file that the system cannot read too."""
    try:
        with path.open("rb") as file:
            return read_report(file.read(MAXIMUM_BYTES + 1))
    except OSError as error:
        raise ReportUnreadableError(f"cannot be read: {error.strerror}") from error


def _refuse(path: Path, error: ReportUnreadableError) -> NoReturn:
    fail(f"{path}: {error}", EXIT_CONFIG)


def _print_complaints(path: Path, complaints: Sequence[Complaint], errors: int) -> None:
    warnings = len(complaints) - errors
    click.echo(f"{path}: {errors} errors, {warnings} warnings")
    for complaint in complaints:
        click.echo(f"  {printable(str(complaint))}")
