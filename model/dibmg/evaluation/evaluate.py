"""An evaluation: the images of a manifest in, every figure of the report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dibmg.data.manifest import ImageRow, Manifest, read_manifest
from dibmg.evaluation.auc import auc, bootstrap_auc
from dibmg.evaluation.baselines import Baseline, baselines
from dibmg.evaluation.calibration import CalibrationReport, calibrate
from dibmg.evaluation.choice import Choice, choose, threshold_for
from dibmg.evaluation.comparison import Comparison, compare_models, compare_sets
from dibmg.evaluation.confound import resampling
from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.froc import Froc, froc
from dibmg.evaluation.localization import Localization, localize
from dibmg.evaluation.performance import Decision, Performance, decision_of_file, decisions_of, perform
from dibmg.evaluation.reading import Change, LeftOut, NoUsableImageError, Readings, read_images
from dibmg.evaluation.request import Request, Steps
from dibmg.evaluation.tables import Table, tables
from dibmg.evaluation.units import UnitSet, build_units
from dibmg.operating_points import load_operating_points
from dibmg.point_names import names_a_file
from dibmg.runtime import Runtime, open_runtime
from dibmg.weights import Weights, load_weights

HALF = Decision("0.5", 0.5, chosen_on="the paper's operating point")


@dataclass(frozen=True, eq=False)
class Model:
    """Loaded weights with what computes them."""

    weights: Weights
    runtime: Runtime


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Every figure of one evaluation.

    Attributes:
        decisions: With their rates; the first is the one asked for.
        area, area_bootstrap: Of the score, with DeLong's and the bootstrap's interval.
        models: The comparison of two models, where asked for; `sets` that of two manifests.
        other_units: Those of the other model, where models are compared.
        resampled: Area after resampling and blur, where asked for.
    """

    request: Request
    manifest: Manifest
    model: Model
    readings: Readings
    units: UnitSet
    left_out: tuple[LeftOut, ...]
    area: Estimate
    area_bootstrap: Estimate
    decisions: tuple[tuple[Decision, Performance], ...]
    choice: Choice
    localization: Localization
    froc: Froc
    tables: tuple[Table, ...]
    calibration: CalibrationReport
    baselines: tuple[Baseline, ...]
    models: Comparison | None = None
    other_units: UnitSet | None = None
    sets: Comparison | None = None
    resampled: Estimate | None = None

    @property
    def population(self) -> str:
        """The units in words."""
        return _population(self.units, self.manifest, self.request)


def evaluate(request: Request, steps: Steps) -> Evaluation:
    """Evaluate weights on a manifest.

    Args:
        request: What is asked for.
        steps: Told of the progress.

    Raises:
        ManifestError: The manifest cannot be used.
        WeightsError: The weights, or the file of operating points, cannot be used.
        ConfigError: The runtime is not installed.
        NoUsableImageError: No image can be read, or no unit has a known label.
    """
    manifest = read_manifest(request.manifest)
    against = None if request.against is None else read_manifest(request.against)
    model = _open(request.weights, request)
    other = None if request.compare is None else _open(request.compare, request)
    primary = _primary(model.weights, request.operating_point)

    readings = _read(manifest.rows, model, request, steps, "reading")
    evaluation = measure(request, manifest, model, readings, primary)
    units = evaluation.units
    if other is not None:
        again = _read(manifest.rows, other, request, steps, f"reading with {other.weights.name}")
        other_units, _ = _units(again, manifest, other, request)
        models = _compare(model.weights, units, other.weights, other_units, request)
        evaluation = replace(evaluation, models=models, other_units=other_units)
    if against is not None:
        second_readings = _read(against.rows, model, request, steps, f"reading {against.path.name}")
        second, _ = _units(second_readings, against, model, request)
        names = _names(manifest.path, against.path)
        decisions = [decision for decision, _ in evaluation.decisions[:2]]
        sets = compare_sets((names[0], units), (names[1], second), decisions, request.interval)
        evaluation = replace(evaluation, sets=sets)
    if request.resample:
        change = resampling(model.weights.input_size, request.seed)
        changed = _read(manifest.rows, model, request, steps, "reading resampled", change)
        resampled, _ = _units(changed, manifest, model, request)
        area = auc(resampled.scores, resampled.labels, resampled.patients)
        evaluation = replace(evaluation, resampled=area)
    return evaluation


def measure(
    request: Request, manifest: Manifest, model: Model, readings: Readings, primary: Decision
) -> Evaluation:
    """Every figure of images that were read, by whatever models; comparisons are left empty.

    Args:
        request: What is asked for.
        manifest: That the images are of.
        model: Whose pooling and operating points count, and that draws the cases.
        readings: Of the images; of a cross-validation each by the model that had not seen it.
        primary: The operating point of the tables.

    Raises:
        NoUsableImageError: No unit has a known label.
    """
    units, unlabeled = _units(readings, manifest, model, request)
    choice = choose(
        units, request.target_specificity, request.seed, request.minimum_negatives, request.interval
    )
    decisions = _decisions(model.weights, primary, choice)
    return Evaluation(
        request=request,
        manifest=manifest,
        model=model,
        readings=readings,
        units=units,
        left_out=(*readings.left_out, *unlabeled),
        area=auc(units.scores, units.labels, units.patients),
        area_bootstrap=bootstrap_auc(units.scores, units.labels, units.patients, request.seed),
        decisions=tuple(
            (one, perform(one.calls(units), units.labels, request.interval)) for one in decisions
        ),
        choice=choice,
        localization=localize(readings.images, request.interval),
        froc=froc(readings.images, request.seed),
        tables=tables(units, decisions[:2], request.interval),
        calibration=calibrate(units, _population(units, manifest, request), request.seed),
        baselines=baselines(units),
    )


def _population(units: UnitSet, manifest: Manifest, request: Request) -> str:
    view = "" if request.view is None else f", {request.view} views only"
    return f"{units.sentence}, of {manifest.path.name}{view}"


def _open(name: str, request: Request) -> Model:
    weights = load_weights(name)
    return Model(weights, open_runtime(weights, request.runtime, request.precision))


def _primary(weights: Weights, operating_point: str) -> Decision:
    if names_a_file(operating_point):
        return decision_of_file(load_operating_points(Path(operating_point), weights))
    name = weights.operating_point(operating_point).name
    return next(one for one in decisions_of(weights) if one.name == name)


def _decisions(weights: Weights, primary: Decision, choice: Choice) -> list[Decision]:
    """The one asked for, the paper's, the others of the weights, and the chosen one."""
    every = [primary, HALF, *decisions_of(weights)]
    chosen = choice.decision()
    every += [chosen] if chosen is not None else []
    return list({one.name: one for one in every}.values())


def _read(
    rows: Sequence[ImageRow],
    model: Model,
    request: Request,
    steps: Steps,
    what: str,
    change: Change | None = None,
) -> Readings:
    rows = [row for row in rows if request.view in (None, row.view)]
    if not rows:
        raise NoUsableImageError(f"no image of the view {request.view} in the manifest")
    return read_images(rows, model.weights, model.runtime, steps(what, len(rows)), change)


def _units(
    readings: Readings, manifest: Manifest, model: Model, request: Request
) -> tuple[UnitSet, tuple[LeftOut, ...]]:
    pooling = model.weights.exam_pooling
    units, unlabeled = build_units(readings.images, request.unit, pooling, manifest.rows)
    if not units.units:
        raise NoUsableImageError(f"no {request.unit} has a known label: {unlabeled[0].reason}")
    return units, unlabeled


def _compare(
    weights: Weights, units: UnitSet, other: Weights, other_units: UnitSet, request: Request
) -> Comparison:
    """Two models at their own default, at the paper's threshold, and each at the target specificity."""
    target = request.target_specificity
    sides: list[tuple[str, UnitSet, dict[str, Decision]]] = []
    for one, own in ((weights, units), (other, other_units)):
        decisions = {"default": decisions_of(one)[0], HALF.name: HALF}
        threshold = threshold_for(own.scores, own.labels, target) if not own.labels.all() else None
        if threshold is not None:
            name = f"specificity-{target:.2f} on these units"
            decisions[name] = Decision(name, threshold)
        sides.append((f"{one.name} {one.version}", own, decisions))
    common = set(sides[0][2]) & set(sides[1][2])
    first, second = (
        (name, own, {key: found[key] for key in found if key in common}) for name, own, found in sides
    )
    return compare_models(first, second, request.interval)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """File names, with their folders where these alone tell them apart."""
    if first.name != second.name:
        return first.name, second.name
    return f"{first.parent.name}/{first.name}", f"{second.parent.name}/{second.name}"
