"""Reference distributions of exam scores: one for all devices, and one for each with enough exams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dibmg_node.domain.device import ANY_DEVICE, Device

MOST_KEPT: Final = 1001
"""Scores that a reference keeps: a share among them is that among all, to a thousandth."""


@dataclass(frozen=True)
class ScoreReference:
    """How the exam scores of a device, or of a class of devices, were distributed once.

    Attributes:
        device: The class.
        exams: How many they were.
        scores: All of them, rising; where they are more than MOST_KEPT, as many at evenly spaced ranks.
    """

    device: Device
    exams: int
    scores: tuple[float, ...]


def references(exams: Iterable[tuple[Device, float]], minimum: int) -> list[ScoreReference]:
    """References of everything that has enough exams.

    Args:
        exams: Device and score, 0..1, of each.
        minimum: Exams of a class at least; that of all devices needs no more than one.

    Returns:
        That of all devices first. A class whose exams are those of the class that it belongs to has none
        of its own. Empty without exams.
    """
    scores: dict[Device, list[float]] = defaultdict(list)
    names: dict[Device, Device] = {}
    for device, score in exams:
        for one in device.classes:
            scores[one.key].append(score)
            names.setdefault(one.key, one)
    return [
        ScoreReference(names[key], len(own), ranked(own))
        for key, own in sorted(scores.items())
        if key == ANY_DEVICE or (len(own) >= minimum and len(own) < len(scores[key.classes[1]]))
    ]


def ranked(scores: Sequence[float]) -> tuple[float, ...]:
    """What a reference keeps of scores."""
    rising = np.sort(np.asarray(scores, np.float64))
    if rising.size > MOST_KEPT:
        rising = rising[np.linspace(0, rising.size - 1, MOST_KEPT).round().astype(np.int64)]
    return tuple(float(score) for score in rising.round(7))
