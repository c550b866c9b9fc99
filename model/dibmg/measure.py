"""What a set of weights reaches on synthetic exams, beside what it must be compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.localize import cells_inside, hottest_cell
from dibmg.synthetic_set import ExamSet
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality

MapsOf = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Inputs (n, size, size, 1) → raw maps (n, h, w, 2)."""

_RIGHT = np.array([key.laterality is Laterality.RIGHT for key in STANDARD_VIEWS])
BREAST_OF_VIEW = np.stack([_RIGHT, ~_RIGHT]).astype(np.float32)
"""(2 breasts, 4 views): 1 where the view shows the breast."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True)
class Measurement:
    """Figures on one set of exams.

    Attributes:
        auc, breast_auc: Of exams and of breasts.
        hits: Share of lesion images whose hottest cell inside the breast has its center in the lesion.
        chance: Mean share of the breast's cells whose center lies in the lesion.
        size_auc, brightness_auc: Of exams, by breast area or mean brightness alone, in the better direction.
    """

    exams: int
    cancers: int
    auc: Interval
    breast_auc: Interval
    sensitivity: Interval
    specificity: Interval
    hits: Interval
    lesions: int
    chance: float
    size_auc: float
    brightness_auc: float

    def as_json(self) -> dict[str, object]:
        """For `figures.json` of the recipe."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network says about a set of exams.

    Attributes:
        z: float32 (n, 4, 2).
        hits: Per lesion image, whether the hottest cell is in the lesion.
        chances: Per lesion image, share of the breast's cells that are.
    """

    z: NDArray[np.float32]
    hits: NDArray[np.bool_]
    chances: NDArray[np.float64]


def read_exams(maps_of: MapsOf, exams: ExamSet) -> Outputs:
    """Run a network over a set of exams."""
    count, size = exams.cancers.shape[0], exams.views.shape[-1]
    z = np.zeros((count, 4, 2), np.float32)
    hits, chances = [], []
    for exam in range(count):
        maps = maps_of(exams.inputs([exam])[0])
        z[exam] = maps.mean(axis=(1, 2))
        for view in range(4):
            column, row, radius = exams.lesions[exam, view]
            if np.isnan(radius):
                continue
            breast = _breast(exams.views[exam, view])
            place = hottest_cell(maps[view], breast)
            hits.append(place is not None and float(np.hypot(place[0] - column, place[1] - row)) <= radius)
            v, u = np.mgrid[0:size, 0:size] + 0.5
            lesion = (u - column) ** 2 + (v - row) ** 2 <= radius**2
            shape = (maps.shape[1], maps.shape[2])
            inside = cells_inside(breast, shape)
            chances.append(float((cells_inside(lesion, shape) & inside).sum() / max(int(inside.sum()), 1)))
    return Outputs(z, np.array(hits, dtype=bool), np.array(chances))


def measure(outputs: Outputs, exams: ExamSet, threshold: float, seed: int = 0) -> Measurement:
    """Figures of a network's outputs; intervals by 2000 bootstrap samples of exams, Wilson for rates.

    Args:
        outputs: Of `read_exams`.
        exams: The same exams.
        threshold: Of the operating point, as a score 0..1.
        seed: Of the bootstrap.
    """
    logits, labels = exam_logits(outputs.z), sick_exams(exams)
    positive = logits >= np.log(threshold / (1 - threshold))
    size, brightness = _by_hand(exams)
    return Measurement(
        exams=len(labels),
        cancers=int(labels.sum()),
        auc=_bootstrap(logits, labels, np.arange(len(labels)), seed),
        breast_auc=_bootstrap(
            breast_logits(outputs.z).ravel(),
            exams.cancers.ravel(),
            np.repeat(np.arange(len(labels)), 2),
            seed,
        ),
        sensitivity=wilson(int(positive[labels].sum()), int(labels.sum())),
        specificity=wilson(int((~positive[~labels]).sum()), int((~labels).sum())),
        hits=wilson(int(outputs.hits.sum()), outputs.hits.size),
        lesions=outputs.hits.size,
        chance=float(outputs.chances.mean()),
        size_auc=_either_way(size, labels),
        brightness_auc=_either_way(brightness, labels),
    )


def choose_threshold(z: NDArray[np.float32], exams: ExamSet, specificity: float) -> float:
    """The score 0..1 that gives normal exams at least this specificity, between two neighbouring exams."""
    logits, labels = exam_logits(z), sick_exams(exams)
    normal = np.sort(logits[~labels])
    last = min(int(np.ceil(specificity * normal.size)), normal.size) - 1
    above = logits[logits > normal[last]]
    middle = (normal[last] + above.min()) / 2 if above.size else normal[last] + 1e-3
    return float(1.0 / (1.0 + np.exp(-middle)))


def breast_logits(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cancer minus normal of the mean z of each breast, (n, 2); softmax makes its score of it."""
    shares = BREAST_OF_VIEW / BREAST_OF_VIEW.sum(axis=1, keepdims=True)
    return np.asarray((z[..., 1] - z[..., 0]) @ shares.T, dtype=np.float32)


def exam_logits(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """The higher breast of each exam, (n,)."""
    return np.asarray(breast_logits(z).max(axis=1), dtype=np.float32)


def sick_exams(exams: ExamSet) -> NDArray[np.bool_]:
    """Whether each exam has a cancer, (n,)."""
    return np.asarray(exams.cancers.any(axis=1), dtype=bool)


def area_under_curve(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve; ties count half."""
    difference = scores[labels][:, None] - scores[~labels][None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def wilson(successes: int, count: int) -> Interval:
    """A rate with its 95 % Wilson interval. Source: Wilson, JASA 22 (1927) 209-212."""
    if count == 0:
        return Interval(float("nan"), 0.0, 1.0)
    z, rate = 1.959964, successes / count
    middle = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * float(np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2)))
    return Interval(rate, max(0.0, middle - half), min(1.0, middle + half))


def _bootstrap(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], exam: NDArray[np.int64], seed: int
) -> Interval:
    """AUC with the 2.5th and 97.5th percentile of 2000 resamplings of exams."""
    random = np.random.default_rng(seed)
    of_exam = [np.flatnonzero(exam == number) for number in range(int(exam.max()) + 1)]
    areas = []
    for _ in range(2000):
        drawn = np.concatenate([of_exam[number] for number in random.integers(0, len(of_exam), len(of_exam))])
        if 0 < labels[drawn].sum() < drawn.size:
            areas.append(area_under_curve(scores[drawn], labels[drawn]))
    low, high = np.percentile(areas, (2.5, 97.5))
    return Interval(area_under_curve(scores, labels), float(low), float(high))


def _by_hand(exams: ExamSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Breast area and mean brightness inside it, mean over the views of each exam."""
    inside = exams.views > 0
    area = inside.mean(axis=(2, 3))
    brightness = exams.views.mean(axis=(2, 3)) / np.maximum(area, 1e-6)
    return area.mean(axis=1).astype(np.float32), brightness.mean(axis=1).astype(np.float32)


def _either_way(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> float:
    area = area_under_curve(scores, labels)
    return max(area, 1.0 - area)


def _breast(view: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The breast of a prepared view: what is not air, without the holes that the window's low end left."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return np.asarray(cv2.morphologyEx((view > 0).astype(np.uint8), cv2.MORPH_CLOSE, kernel), dtype=bool)
