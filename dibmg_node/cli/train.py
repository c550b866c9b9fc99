"""`dibmg train`: labeled images in, a folder of weights out."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dibmg.weights import KERAS, resolve
from dibmg_node.cli.exits import EXIT_CONFIG, fail
from dibmg_node.cli.options import print_json, with_json
from dibmg_node.cli.progress import step_bars
from dibmg_node.cli.tables import console

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="Example: dibmg train --manifest split/train.csv --validation split/validation.csv --out run/ "
    "--set epochs=10. Writes run/weights/, which a node serves; called again it goes on where it stopped."
)
@click.option("--manifest", required=True, type=_FILE, help="Images to learn from, CSV or Parquet.")
@click.option("--validation", type=_FILE, help="Images to choose the best state and the operating point by.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--plan", type=_FILE, help="TOML file of the training's keys; what it lacks is the paper's.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="One key; goes before the plan.")
@click.option("--initial", metavar="WEIGHTS", help="A released set or a folder to start from.")
@click.option("--name", default="mine", show_default=True, help="Name of the set of weights.")
@click.option("--version", "set_version", default="1", show_default=True, help="Its version.")
@click.option("--terms", default="", help="License of the images, for the model card.")
@click.option(
    "--target-specificity",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Of the operating point, on the validation exams.",
)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="That prepare images.")
@with_json
def train(
    manifest: Path,
    validation: Path | None,
    out: Path,
    plan: Path | None,
    changes: tuple[str, ...],
    initial: str | None,
    name: str,
    set_version: str,
    terms: str,
    target_specificity: float,
    threads: int,
    as_json: bool,
) -> None:
    """Train DIB-MG as in the paper; every choice is a key of the plan."""
    start = None if initial is None else resolve(initial) / KERAS
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what TensorFlow tells of the processor is noise here
    try:
        from dibmg.training.run import Run, run_training
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; install dibmg-node[train,evaluate]", EXIT_CONFIG)
    run = Run(
        manifest=manifest,
        validation=validation,
        folder=out,
        plan=plan,
        changes=changes,
        initial=start,
        name=name,
        version=set_version,
        terms=terms,
        target_specificity=target_specificity,
        threads=threads,
    )
    with step_bars(transient=False) as bar:
        tasks = {what: bar.add_task(what, total=None, visible=False) for what in ("preparing", "training")}

        def tell(what: str, done: int, total: int) -> None:
            bar.update(tasks[what], completed=done, total=total, visible=True)

        summary = run_training(run, tell, lambda line: bar.console.print(line, markup=False))
    if as_json:
        print_json(summary.as_json())
        return
    console.print(f"weights in {summary.weights}", markup=False)
    console.print(f"operating point {summary.point.threshold:.4f}: {summary.point.chosen_on}", markup=False)
    console.print(
        f"measure them: dibmg evaluate --weights {summary.weights} --manifest TEST.csv --out report/\n"
        "research use only, not for diagnosis",
        markup=False,
    )
