"""`dibmg evaluate`: labeled images in, a report out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress
from rich.table import Table

from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg_node.cli.exits import EXIT_CONFIG, fail
from dibmg_node.cli.options import print_json, with_json
from dibmg_node.cli.progress import step_bars
from dibmg_node.cli.tables import console
from dibmg_node.domain.study import View

if TYPE_CHECKING:
    from dibmg.evaluation.evaluate import Evaluation

_EXTRA = "evaluate"


@click.command(
    epilog="Example: dibmg evaluate --manifest images.csv --out report/ --weights default. Writes "
    "report.html, report.json, scores.csv, MODEL_CARD.md and operating-points.json, which a node loads. "
    "An image that cannot be read costs a line of the report; exit code 1 if none can be."
)
@click.option(
    "--manifest",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The labeled images, CSV or Parquet.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write."
)
@click.option("--weights", default="default", show_default=True, help="A released set or a folder.")
@click.option(
    "--runtime",
    type=click.Choice([choice.value for choice in RuntimeKind]),
    default=RuntimeKind.AUTO.value,
    show_default=True,
)
@click.option(
    "--precision",
    type=click.Choice([choice.value for choice in Precision]),
    default=Precision.F32.value,
    show_default=True,
)
@click.option(
    "--unit",
    type=click.Choice(["exam", "breast", "image"]),
    default="exam",
    show_default=True,
    help="What is counted.",
)
@click.option("--view", type=click.Choice(["CC", "MLO"]), help="Read this view only.")
@click.option(
    "--operating-point",
    default="default",
    show_default=True,
    help="Where the tables are made: a name in the weights' manifest, or an operating-points.json.",
)
@click.option(
    "--target-specificity",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Of the operating point to be chosen, overall and for each device.",
)
@click.option(
    "--minimum-negatives",
    type=click.IntRange(min=10),
    default=50,
    show_default=True,
    help="Without cancer, of a manufacturer, model or software version, for a threshold of its own.",
)
@click.option("--compare", metavar="WEIGHTS", help="Other weights to compare with, on the same images.")
@click.option(
    "--against",
    metavar="MANIFEST",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another set to compare with, read with the same weights.",
)
@click.option(
    "--resample", is_flag=True, help="Read all images again after random resampling and blur, as a control."
)
@click.option("--exact", is_flag=True, help="Exact intervals of rates (Clopper-Pearson) instead of Wilson's.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of bootstrap, folds and resampling.",
)
@with_json
def evaluate(
    manifest: Path,
    out: Path,
    weights: str,
    runtime: str,
    precision: str,
    unit: str,
    view: str | None,
    operating_point: str,
    target_specificity: float,
    minimum_negatives: int,
    compare: str | None,
    against: Path | None,
    resample: bool,
    exact: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Measure weights on labeled images: intervals, tables, plots and cases."""
    try:
        from dibmg.evaluation.evaluate import evaluate as run
        from dibmg.evaluation.outputs import write_outputs
        from dibmg.evaluation.rates import RateInterval
        from dibmg.evaluation.request import Request
        from dibmg.evaluation.units import UnitKind
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; install dibmg-node[{_EXTRA}]", EXIT_CONFIG)
    request = Request(
        manifest=manifest,
        weights=weights,
        runtime=RuntimeKind(runtime),
        precision=Precision(precision),
        unit=UnitKind(unit),
        view=None if view is None else View(view),
        operating_point=operating_point,
        target_specificity=target_specificity,
        minimum_negatives=minimum_negatives,
        compare=compare,
        against=against,
        seed=seed,
        resample=resample,
        interval=RateInterval.EXACT if exact else RateInterval.WILSON,
    )
    with step_bars(transient=True) as progress:
        evaluation = run(request, lambda what, images: _step(progress, what, images))
        progress.add_task("writing the report", total=None)
        content = write_outputs(evaluation, out)
    if as_json:
        print_json(content)
    else:
        _print(evaluation, out)


def _step(progress: Progress, what: str, images: int) -> Callable[[], object]:
    task = progress.add_task(what, total=images)
    return lambda: progress.advance(task)


def _print(evaluation: Evaluation, out: Path) -> None:
    table = Table("figure", "value (95 % interval)", show_header=True)
    decision, rates = evaluation.decisions[0]
    rows: list[tuple[str, Any]] = [
        ("AUC", evaluation.area.text()),
        *((f"AUC by {one.name} alone", one.area.text()) for one in evaluation.baselines if not one.constant),
        (f"sensitivity at {decision.name}", rates.sensitivity.text(percent=True)),
        (f"specificity at {decision.name}", rates.specificity.text(percent=True)),
        ("hottest cell in the lesion", evaluation.localization.hits.text(percent=True)),
    ]
    if evaluation.resampled is not None:
        rows.insert(1, ("AUC, resampled", evaluation.resampled.text()))
    for name, value in rows:
        table.add_row(name, value)
    console.print(evaluation.population, markup=False)
    console.print(table)
    if evaluation.left_out:
        console.print(f"{len(evaluation.left_out)} entries of the manifest did not count; see the report")
    console.print(f"written to {out}; research use only, not for diagnosis", markup=False)
