"""Free-response ROC: lesions found against false marks an image, over all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.estimate import CONFIDENCE, Estimate, unknown
from dibmg.evaluation.places import Places
from dibmg.evaluation.reading import ImageReading

RATES: Final = (0.25, 0.5, 1.0, 2.0)
"""False marks an image at which the sensitivity is told."""

_SAMPLES: Final = 500


@dataclass(frozen=True, eq=False)
class Marks:
    """All marks on a set of images, by falling rating.

    Attributes:
        ratings: float32 (marks,).
        true: bool (marks,), the best mark of each lesion that has one; the others are false.
        patients: int64 (marks,), place of the patient in the two below.
        lesions, images: float64 (patients,), of each patient.
    """

    ratings: NDArray[np.float32]
    true: NDArray[np.bool_]
    patients: NDArray[np.int64]
    lesions: NDArray[np.float64]
    images: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve.

    Attributes:
        false_marks: An image, rising from 0, (points,).
        sensitivity: Share of the lesions with a mark, (points,).
        at: (false marks an image, sensitivity there); above the highest of the curve its end counts.
    """

    false_marks: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    at: tuple[tuple[float, Estimate], ...]
    lesions: int
    images: int
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        """Counts and the sensitivities at the usual rates."""
        return {
            "lesions": self.lesions,
            "images": self.images,
            "sensitivity_at": [
                {"false_marks_an_image": rate, "sensitivity": one.as_json()} for rate, one in self.at
            ],
            **({"reason": self.reason} if self.reason else {}),
        }


def froc(images: Sequence[ImageReading], seed: int) -> Froc:
    """The curve of images whose marks can be judged.

    Those are images without cancer, where every mark is false, and images of a cancer whose place is
    known; several marks in one lesion count once, and none of them as false.

    Args:
        images: All that were read.
        seed: Of the bootstrap by patient that gives the intervals.

    Source: Bunch et al. 1978; Chakraborty, Observer Performance Methods 2017, chapter 12.
    """
    judged = [image for image in images if image.places.hit is not None or not image.row.shows_cancer]
    marks = gather([(image.row.patient, image.places) for image in judged])
    lesions = int(marks.lesions.sum())
    if not lesions:
        nothing = unknown("no lesion whose place is known")
        empty = np.zeros(0)
        return Froc(empty, empty, tuple((rate, nothing) for rate in RATES), 0, len(judged), nothing.reason)
    false_marks, sensitivity = curve(marks)
    values = sensitivity_at(false_marks, sensitivity, RATES)
    low, high = _interval(marks, seed)
    at = tuple(
        (rate, Estimate(float(value), float(bottom), float(top)))
        for rate, value, bottom, top in zip(RATES, values, low, high, strict=True)
    )
    return Froc(false_marks, sensitivity, at, lesions, len(judged))


def gather(images: Sequence[tuple[str, Places]]) -> Marks:
    """Put the marks of images together.

    Args:
        images: Patient and places of each; one with a hit or a miss shows one lesion.
    """
    names = {patient: number for number, patient in enumerate(dict.fromkeys(name for name, _ in images))}
    ratings, true, patients = [], [], []
    lesions, counts = np.zeros(len(names)), np.zeros(len(names))
    for name, places in images:
        own = [] if places.best_inside is None else [places.best_inside]
        ratings.append(np.concatenate([np.array(own, np.float32), places.outside]))
        true.append(np.arange(ratings[-1].size) < len(own))
        patients.append(np.full(ratings[-1].size, names[name]))
        lesions[names[name]] += places.hit is not None
        counts[names[name]] += 1
    every = np.concatenate([np.zeros(0, np.float32), *ratings])
    order = np.argsort(-every, kind="stable")
    return Marks(
        every[order],
        np.concatenate([np.zeros(0, bool), *true])[order],
        np.concatenate([np.zeros(0, np.int64), *patients])[order],
        lesions,
        counts,
    )


def curve(
    marks: Marks, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False marks an image and sensitivity at every threshold, from above all ratings to below all.

    Args:
        marks: With at least one lesion of a patient that counts.
        weights: How often each patient counts, float64 (patients,); None: once.
    """
    counted = np.ones(marks.images.size) if weights is None else weights
    of_mark = counted[marks.patients]
    # marks of one rating are above a threshold together
    last = (
        np.append(marks.ratings[1:] != marks.ratings[:-1], True) if marks.ratings.size else np.zeros(0, bool)
    )
    false = np.cumsum(of_mark * ~marks.true)[last] / (counted @ marks.images)
    true = np.cumsum(of_mark * marks.true)[last] / (counted @ marks.lesions)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def sensitivity_at(
    false_marks: NDArray[np.float64], sensitivity: NDArray[np.float64], rates: Sequence[float]
) -> NDArray[np.float64]:
    """Sensitivity at rates of false marks, on straight lines between points; beyond the curve its end."""
    # of several points above one another the highest counts
    last = np.append(np.diff(false_marks) > 0, True)
    return np.asarray(np.interp(rates, false_marks[last], sensitivity[last]), dtype=np.float64)


def _interval(marks: Marks, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the percentile interval at `RATES`, patients drawn with replacement."""
    random = np.random.default_rng(seed)
    count = marks.images.size
    found = []
    for _ in range(_SAMPLES):
        weights = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        if weights @ marks.lesions > 0:
            found.append(sensitivity_at(*curve(marks, weights), RATES))
    low, high = np.quantile(found, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0], axis=0)
    return low, high
