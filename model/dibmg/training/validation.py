"""What a network reaches on examples that it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from dibmg.training.examples import Examples
from dibmg_node.errors import RejectedError


@dataclass(frozen=True)
class Validation:
    """Figures on a set of examples.

    Attributes:
        loss: Mean cross-entropy, both classes at equal shares; of breasts where labels of both classes
            are known, else of exams.
        auc: Area under the ROC curve of the same; NaN where a class is missing.
    """

    loss: float
    auc: float


def image_logits(network: keras.Model, examples: Examples, chunk: int = 16) -> NDArray[np.float64]:
    """Cancer minus normal of every image that an example refers to, float64 (images,); NaN for the others."""
    used = np.unique(np.concatenate(examples.members))
    logits = np.full(examples.views.shape[0], np.nan)
    for first in range(0, used.size, chunk):
        images = used[first : first + chunk]
        filled = images if images.size == chunk else np.pad(images, (0, chunk - images.size), mode="edge")
        inputs = np.asarray(examples.views[filled], np.float32) * np.float32(2.0 / 255.0) - np.float32(1.0)
        z = np.asarray(network.predict_on_batch(inputs[..., None])["z"])
        logits[images] = (z[: images.size, 1] - z[: images.size, 0]).astype(np.float64)
    return logits


def example_logits(
    logits: NDArray[np.float64], examples: Examples
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over images: of examples (n,), and of their breasts (n, 2), right and left; NaN for no image."""
    exams = np.array([logits[members].mean() for members in examples.members])
    breasts = np.full((len(examples), 2), np.nan)
    for number, members in enumerate(examples.members):
        for side, right in enumerate((True, False)):
            among = members[examples.right[members] == right]
            if among.size:
                breasts[number, side] = logits[among].mean()
    return exams, breasts


def validate(network: keras.Model, examples: Examples) -> Validation:
    """Measure a network; of one that says what is no number, both figures are NaN.

    Raises:
        RejectedError: Nothing is known of any example.
    """
    with np.errstate(invalid="ignore"):
        exams, breasts = example_logits(image_logits(network, examples), examples)
    if not np.isfinite(exams).all():
        return Validation(float("nan"), float("nan"))
    for logits, labels in ((breasts.ravel(), examples.breasts.ravel()), (exams, examples.exams)):
        known = (labels >= 0) & ~np.isnan(logits)
        positive = labels[known] == 1
        if positive.any() and not positive.all():
            return Validation(_loss(logits[known], positive), _area(logits[known], positive))
    known = examples.exams >= 0
    if not known.any():
        raise RejectedError("no example of the validation set has a label that is known, expected some")
    return Validation(_loss(exams[known], examples.exams[known] == 1), float("nan"))


def _loss(logits: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    losses = np.logaddexp(0.0, np.where(positive, -logits, logits))
    return float(np.mean([losses[part].mean() for part in (positive, ~positive) if part.any()]))


def _area(logits: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    difference = logits[positive][:, None] - logits[~positive][None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())
