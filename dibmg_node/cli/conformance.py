"""`dibmg conformance`: what the node's DICOM interfaces are, in the form that PS3.2 asks for."""

from __future__ import annotations

from pathlib import Path

import click

from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import with_config
from dibmg_node.cli.progress import show_busy
from dibmg_node.config import Settings
from dibmg_node.conformance.statement import conformance_statement


@click.command(epilog="Example: dibmg conformance --config config.toml --out conformance.md")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write. Default: standard output."
)
@with_config
def conformance(out: Path | None, settings: Settings) -> None:
    """Write the DICOM Conformance Statement of a configuration, in Markdown.

    SOP classes, transfer syntaxes, statuses, attributes and limits come from the code, AE titles, ports and
    destinations from the configuration.
    """
    with show_busy("comparing made-up exams with the results that are written of them; this takes a while"):
        text = conformance_statement(settings)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{out}: {error.strerror}", EXIT_FAILED)
