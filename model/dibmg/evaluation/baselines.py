"""What the score must be compared with: areas that size, brightness or the number of images alone reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.auc import auc
from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.units import UnitSet


@dataclass(frozen=True)
class Baseline:
    """A measure that knows nothing of cancer.

    Attributes:
        sentence: What is measured.
        higher_is_cancer: The direction in which its area is the better one.
    """

    name: str
    sentence: str
    area: Estimate
    higher_is_cancer: bool

    @property
    def constant(self) -> bool:
        """Whether all units have the same value."""
        return self.area.low is not None and self.area.low == self.area.high == 0.5

    def as_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "auc": self.area.as_json(),
            "higher_is_cancer": self.higher_is_cancer,
            "sentence": self.sentence,
        }


def baselines(units: UnitSet) -> tuple[Baseline, ...]:
    """Areas under the ROC curves of measures without knowledge, each in its better direction."""
    measures = (
        ("size", "mean share of the square that the breast fills", [unit.area for unit in units.units]),
        ("brightness", "mean brightness inside the breast", [unit.brightness for unit in units.units]),
        ("images", "number of images", [float(len(unit.images)) for unit in units.units]),
    )
    return tuple(_baseline(name, sentence, np.array(values), units) for name, sentence, values in measures)


def _baseline(name: str, sentence: str, values: NDArray[np.float64], units: UnitSet) -> Baseline:
    area = auc(values, units.labels, units.patients)
    if area.value is not None and area.value < 0.5:
        return Baseline(name, sentence, auc(-values, units.labels, units.patients), False)
    return Baseline(name, sentence, area, True)
