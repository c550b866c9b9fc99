"""One training run from manifests to a folder of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibmg.data.leakage import check_leakage
from dibmg.data.manifest import Manifest, check_files, read_manifest
from dibmg.training.examples import UNKNOWN, Examples
from dibmg.training.finish import Threshold, choose_threshold, contrast_of, finish, training_card
from dibmg.training.logs import TensorBoardLog
from dibmg.training.plan import TrainingPlan, Unit, read_plan
from dibmg.training.prepare import prepare_examples
from dibmg.training.training import Step, train
from dibmg_node.errors import RejectedError

Tell = Callable[[str, int, int], None]
"""What is under way (`preparing`, `training`), how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Run:
    """What `dibmg train` is asked for.

    Attributes:
        folder: Gets `weights/`, and everything to go on from after a stop.
        plan, changes: As for `read_plan`.
        initial: A `.keras` file to start from.
        terms: License of the images.
        target_specificity: Of the operating point.
    """

    manifest: Path
    validation: Path | None
    folder: Path
    plan: Path | None = None
    changes: tuple[str, ...] = ()
    initial: Path | None = None
    name: str = "mine"
    version: str = "1"
    terms: str = ""
    target_specificity: float = 0.9
    threads: int = 2


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    weights: Path
    point: Threshold
    last: Step | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        last = self.last
        found = None if last is None or last.validation is None else last.validation
        return {
            "weights": str(self.weights),
            "operating_point": self.point.as_json(),
            "segments": None if last is None else last.segments,
            "loss": None if last is None else last.loss,
            "validation": None if found is None else {"loss": found.loss, "auc": found.auc},
        }


def run_training(run: Run, tell: Tell, say: Callable[[str], None]) -> Summary:
    """Train, choose the operating point, write the weights.

    Args:
        run: What is asked for.
        tell: Told of the progress.
        say: Gets one line a segment, and one before if there are examples whose label is not known.

    Raises:
        ManifestError: A manifest cannot be used, files that it names are missing, or the two share a patient
            or an image.
        ConfigError: As for `read_plan` and `train`.
        RejectedError: As for `prepare_examples` and `train`; or there is only one class to learn,
            or places shall be learned and none is told.
        StorageFullError: As for `prepare_examples`.
    """
    plan = read_plan(run.plan, run.changes)
    manifest = read_manifest(run.manifest)
    validation = None if run.validation is None else read_manifest(run.validation)
    for one in (manifest, validation):
        if one is not None:
            check_files(one)
    if validation is not None:
        check_leakage([manifest, validation])
    run.folder.mkdir(parents=True, exist_ok=True)
    examples = _prepare(manifest, plan, plan.unit, run, tell)
    counts = f"{run.manifest.name}: {_counts(examples)}"
    if (examples.exams == UNKNOWN).any():
        say(counts)
    _require_classes(examples, run.manifest)
    if plan.place_weight and examples.lesions is None:
        raise RejectedError(
            f"{run.manifest}: place_weight is {plan.place_weight:g}, but no image of a breast with cancer "
            "has a place: expected `mask`, or `lesion_x`, `lesion_y` and `lesion_radius`"
        )
    held_out = None if validation is None else _prepare(validation, plan, plan.unit, run, tell)
    # the same images as the node reads them: its threshold is one of exams
    held_out_exams = None if validation is None else _prepare(validation, plan, Unit.EXAM, run, tell)
    log = TensorBoardLog(run.folder / "events")
    last: list[Step] = []

    def report(step: Step) -> None:
        last[:] = [step]
        log.write(step)
        found = step.validation
        words = "" if found is None else f", validation loss {found.loss:.4f}, AUC {found.auc:.3f}"
        say(f"epoch {step.epoch:g} of {plan.epochs}: loss {step.loss:.4f}{words}")

    network = train(
        examples,
        held_out,
        plan,
        run.folder,
        initial=run.initial,
        threads=run.threads,
        progress=lambda done, total: tell("training", done, total),
        report=report,
    )
    point = choose_threshold([network], held_out_exams, plan, run.target_specificity)
    words = {
        "name": run.name,
        "version": run.version,
        "trained_on": counts,
        "license": run.terms or "those of the images it was trained on",
        "attribution": "",
        "how": " ".join(
            [
                "dibmg train",
                *([] if run.plan is None else [f"--plan {run.plan.name}"]),
                *(f"--set {change}" for change in run.changes),
            ]
        ),
    }
    weights = run.folder / "weights"
    card = training_card(plan, words, _counts(examples), point)
    finish([network], plan, weights, point, words, card, contrast=contrast_of(examples))
    return Summary(weights, point, last[0] if last else None)


def _prepare(manifest: Manifest, plan: TrainingPlan, unit: Unit, run: Run, tell: Tell) -> Examples:
    return prepare_examples(
        manifest,
        plan.input_size,
        unit,
        run.folder / "prepared",
        run.threads,
        lambda done, total: tell("preparing", done, total),
    )


def _require_classes(examples: Examples, path: Path) -> None:
    positives = int((examples.exams == 1).sum())
    if not positives or not (examples.exams == 0).any():
        raise RejectedError(
            f"{path}: {positives} of {len(examples)} examples have a cancer; "
            "there is nothing to tell apart without both kinds"
        )


def _counts(examples: Examples) -> str:
    images = sum(len(members) for members in examples.members)
    unknown = int((examples.exams == UNKNOWN).sum())
    not_known = f", {unknown} of which it is not known" if unknown else ""
    positives = int((examples.exams == 1).sum())
    return f"{len(examples)} examples, {positives} with cancer{not_known}, {images} images"
