"""What a threshold does: sensitivity, specificity, accuracy and predictive values of a set of units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.rates import RateInterval, rate
from dibmg.evaluation.units import UnitSet
from dibmg.operating_points import OperatingPoints
from dibmg.weights import Weights
from dibmg_node.domain.device import ANY_DEVICE, Device, most_specific


@dataclass(frozen=True)
class Decision:
    """A rule that calls units suspicious.

    Attributes:
        threshold: Score at and above which a unit is called.
        by_device: Those of devices, and of classes of them, by their key.
        chosen_on: What it was chosen on, in words.
    """

    name: str
    threshold: float
    by_device: Mapping[Device, float] = field(default_factory=dict)
    chosen_on: str = ""

    def threshold_for(self, device: Device) -> float:
        """The most specific threshold for units of a device."""
        own = most_specific(self.by_device, device)
        return self.threshold if own is None else own

    def calls(self, units: UnitSet) -> NDArray[np.bool_]:
        """Which units are called, bool (n,)."""
        thresholds = np.array([self.threshold_for(unit.device) for unit in units.units])
        return np.asarray(units.scores >= thresholds, dtype=bool)


@dataclass(frozen=True)
class Performance:
    """Rates of a decision on a set of units."""

    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate

    def as_json(self) -> dict[str, object]:
        """All rates."""
        return {
            "sensitivity": self.sensitivity.as_json(),
            "specificity": self.specificity.as_json(),
            "accuracy": self.accuracy.as_json(),
            "ppv": self.positive_predictive_value.as_json(),
            "npv": self.negative_predictive_value.as_json(),
        }


def perform(
    called: NDArray[np.bool_], labels: NDArray[np.bool_], interval: RateInterval = RateInterval.WILSON
) -> Performance:
    """Rates of what was called.

    Args:
        called: bool (n,).
        labels: bool (n,), True = cancer.
        interval: How the intervals are computed.
    """

    def of(right: NDArray[np.bool_], among: NDArray[np.bool_], what: str) -> Estimate:
        return rate(int((right & among).sum()), int(among.sum()), what, interval)

    everything = np.ones_like(labels)
    return Performance(
        sensitivity=of(called, labels, "positives"),
        specificity=of(~called, ~labels, "negatives"),
        accuracy=of(called == labels, everything, "units"),
        positive_predictive_value=of(labels, called, "units called"),
        negative_predictive_value=of(~labels, ~called, "units not called"),
    )


def decisions_of(weights: Weights) -> list[Decision]:
    """The operating points in the manifest of the weights, `default` first."""
    points = sorted(weights.operating_points.values(), key=lambda point: point.name != "default")
    return [Decision(point.name, point.threshold, chosen_on=point.chosen_on) for point in points]


def decision_of_file(points: OperatingPoints) -> Decision:
    """The operating points of a file as one decision."""
    by_device = {point.device.key: point.threshold for point in points.points if point.manufacturer}
    name = f"{points.name} {points.version}"
    return Decision(name, points.point_for(ANY_DEVICE).threshold, by_device, points.chosen_on)
