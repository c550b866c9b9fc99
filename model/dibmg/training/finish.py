"""From a trained network to a folder of weights that the node serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import Context
from dibmg.contrast_range import ContrastRange
from dibmg.evaluation.choice import threshold_for
from dibmg.evaluation.rates import rate
from dibmg.export import export_weights
from dibmg.local_contrast import usual_contrast
from dibmg.scores import ExamPooling
from dibmg.training.examples import LEVELS, Examples
from dibmg.training.plan import TrainingPlan
from dibmg.training.validation import example_logits, image_logits


@dataclass(frozen=True)
class Threshold:
    """An operating point as a manifest has it.

    Attributes:
        sensitivity, specificity: Measured on what it was chosen on; None where nothing was measured.
    """

    threshold: float
    sensitivity: float | None
    specificity: float | None
    chosen_on: str

    def as_json(self) -> dict[str, Any]:
        """The entry `default` of the manifest."""
        return {
            "name": "default",
            "threshold": self.threshold,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "version": "1",
            "chosen_on": self.chosen_on,
            "calibration": None,
        }


PAPERS = Threshold(0.5, None, None, "the paper's threshold; not chosen on data")


def exam_scores(
    networks: Sequence[keras.Model], examples: Examples, pooling: ExamPooling
) -> NDArray[np.float64]:
    """Scores 0..1 of every example by the mean of several networks.

    Args:
        networks: Of one architecture.
        examples: What is read.
        pooling: How the score follows from the views.
    """
    logits = np.mean([image_logits(network, examples) for network in networks], axis=0)
    exams, breasts = example_logits(logits, examples)
    chosen = exams if pooling is ExamPooling.MEAN else np.nanmax(breasts, axis=1)
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(chosen, -60.0, 60.0))))


def choose_threshold(
    networks: Sequence[keras.Model], exams: Examples | None, plan: TrainingPlan, target: float
) -> Threshold:
    """The operating point with this specificity on validation exams; the paper's without any.

    Args:
        networks: Trained.
        exams: The validation set, each example an exam whatever the training's are: what the node scores.
            None, or without normal ones: the paper's threshold.
        plan: Of the training.
        target: Specificity aimed at, 0..1.
    """
    if exams is None:
        return PAPERS
    known = exams.exams >= 0
    scores, labels = exam_scores(networks, exams, plan.exam_pooling)[known], exams.exams[known] == 1
    threshold = None if labels.all() else threshold_for(scores, labels, target)
    if threshold is None:
        return PAPERS
    called = scores >= threshold
    sensitivity = rate(int(called[labels].sum()), int(labels.sum()), "cancers")
    specificity = rate(int((~called[~labels]).sum()), int((~labels).sum()), "others")
    return Threshold(
        threshold,
        sensitivity.value,
        specificity.value,
        f"the validation set ({labels.size} exams, {int(labels.sum())} with cancer) for a specificity of "
        f"{target:.2f}; sensitivity and specificity are those on the same exams",
    )


def finish(
    networks: Sequence[keras.Model],
    plan: TrainingPlan,
    folder: Path,
    point: Threshold,
    words: Mapping[str, str],
    model_card: str,
    contexts: Sequence[keras.Model] = (),
    context: Context | None = None,
    contrast: ContrastRange | None = None,
) -> None:
    """Write the folder of weights.

    Args:
        networks: Trained with this plan; their maps are averaged.
        plan: Architecture, input size, pooling.
        folder: Replaced as a whole where it exists.
        point: The operating point `default`.
        words: As in `export_weights`.
        model_card: Markdown.
        contexts: As in `export_weights`.
        context: The same.
        contrast: The same.
    """
    export_weights(
        networks,
        folder,
        preset=plan.preset,
        architecture=plan.architecture,
        input_size=plan.input_size,
        exam_pooling=plan.exam_pooling,
        operating_points=[point.as_json()],
        model_card=model_card,
        words=words,
        contexts=contexts,
        context=context,
        contrast=contrast,
    )


def contrast_of(examples: Examples) -> ContrastRange | None:
    """Local contrast of the views of some examples, for the manifest of weights that were trained on them."""
    images = np.unique(np.concatenate(examples.members))
    scale = np.float32(2.0 / LEVELS)
    return usual_contrast(examples.views[number] * scale - np.float32(1.0) for number in images)


def training_card(plan: TrainingPlan, words: Mapping[str, str], counts: str, point: Threshold) -> str:
    """The model card of a set that a user has trained: what is known of it before it is evaluated."""
    keys = "\n".join(f"| `{name}` | {value} |" for name, value in _flat(plan.as_json()))
    return f"""\
**Not for diagnosis. For research use only: no authority has cleared this set of weights.**

# DIB-MG `{words["name"]}`, version {words["version"]}

| | |
|---|---|
| Trained on | {words["trained_on"]} |
| Examples | {counts} |
| Terms | {words["license"]} |
| Made by | `{words["how"]}` |
| Operating point | {point.threshold:.4f}: {point.chosen_on} |

How well it does is not said here: `dibmg evaluate` on images that neither training nor validation has
seen says it, and writes its own model card.

## How it was trained

| key | value |
|---|---|
{keys}
"""


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found
