"""`make chaos`: a course of chaos from the command line. Exit code 0 where nothing is wrong at its end."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from secrets import randbelow

import click

from tests.chaos.course import Course, run


@click.command()
@click.option("--seed", type=int, help="Repeats studies, victims and pauses of an earlier run.")
@click.option("--instances", default=2000, show_default=True, help="Acknowledged ones, at least.")
@click.option("--kills", default=100, show_default=True, help="At least.")
@click.option("--orthanc", is_flag=True, help="Deliver to an Orthanc, not to a PACS that writes down all.")
@click.option("--folder", type=click.Path(path_type=Path), help="New; kept. Default: a temporary one.")
@click.option("--out", type=click.Path(path_type=Path), help="Figures as JSON.")
def main(
    seed: int | None, instances: int, kills: int, orthanc: bool, folder: Path | None, out: Path | None
) -> None:
    """Send studies and kill parts of the node, then account for everything."""
    seed = randbelow(10**6) if seed is None else seed
    folder = folder or Path(tempfile.mkdtemp(prefix="dibmg-chaos-"))
    click.echo(f"seed {seed}; everything is in {folder}")
    outcome = run(Course(seed, instances, kills, orthanc=orthanc), folder, click.echo)
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    text = json.dumps(outcome.figures | {"machine": machine}, indent=2)
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    faults = outcome.account.faults()
    for name, found in faults.items():
        click.echo(f"{name}: {len(found)}", err=True)
        for one in found[:10]:
            click.echo(f"    {one}", err=True)
    click.echo("no fault" if not faults else f"FAULTS; repeat with --seed {seed}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
