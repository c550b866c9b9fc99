"""Choosing operating points: the threshold that gives negatives a target specificity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.folds import folds
from dibmg.evaluation.performance import Decision, Performance, perform
from dibmg.evaluation.units import UnitSet

MINIMUM_NEGATIVES: Final = 50
"""Fewer negatives of a manufacturer do not give it a threshold of its own: at 50 a specificity of 0.90 is
known to 0.08 either way."""


@dataclass(frozen=True)
class Chosen:
    """A threshold for one manufacturer or for all.

    Attributes:
        manufacturer: None for all.
        performance: On patients that the threshold was not chosen on, where `cross_validated`.
    """

    manufacturer: str | None
    threshold: float
    performance: Performance
    cross_validated: bool
    negatives: int
    positives: int


@dataclass(frozen=True)
class Choice:
    """All thresholds for one target.

    Attributes:
        target: Specificity aimed at.
        points: That for all first; empty where there is none, then `notes` says why.
        notes: Manufacturers that share the threshold of all, and why.
    """

    target: float
    points: tuple[Chosen, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What results call it."""
        return f"specificity-{self.target:.2f}"

    def decision(self) -> Decision | None:
        """The rule; None where no threshold was found."""
        if not self.points:
            return None
        own = {
            point.manufacturer.strip().casefold(): point.threshold
            for point in self.points
            if point.manufacturer is not None
        }
        return Decision(self.name, self.points[0].threshold, own, "these units themselves")


def choose(units: UnitSet, target: float, seed: int) -> Choice:
    """Thresholds for a target specificity, for all units and for each manufacturer with enough negatives.

    Args:
        units: With negatives; without any there is no choice.
        target: Specificity aimed at, 0..1.
        seed: Of the folds that the rates are measured on.
    """
    overall, reason = _chosen(None, units, target, seed)
    if overall is None:
        return Choice(target, (), (f"no threshold chosen: {reason}",))
    points, notes = [overall], []
    makers = np.array([unit.manufacturer or "" for unit in units.units])
    for maker in sorted(set(makers.tolist()) - {""}):
        own = units.take(makers == maker)
        negatives = len(own.units) - own.positives
        if negatives < MINIMUM_NEGATIVES:
            notes.append(
                f"{maker}: {negatives} negatives, fewer than {MINIMUM_NEGATIVES}: "
                "the threshold of all is used"
            )
            continue
        point, reason = _chosen(maker, own, target, seed)
        if point is None:
            notes.append(f"{maker}: {reason}: the threshold of all is used")
        else:
            points.append(point)
    return Choice(target, tuple(points), tuple(notes))


def threshold_for(scores: NDArray[np.float64], labels: NDArray[np.bool_], target: float) -> float | None:
    """The threshold halfway between the two neighboring scores that give the target specificity.

    Args:
        scores: float64 (n,), 0..1.
        labels: bool (n,), at least one False.
        target: Specificity aimed at; the one reached on these units is the same or a little higher.

    Returns:
        None where so many negatives have the score 1 that no threshold reaches the target.
    """
    negatives = np.sort(scores[~labels])
    # a hair below, since 0.9 * 10 is a hair above 9
    below = min(max(int(np.ceil(target * negatives.size - 1e-9)), 1), negatives.size)
    last = negatives[below - 1]
    above = scores[scores > last]
    following = float(above.min()) if above.size else 1.0
    if following <= last:
        return None
    middle = (float(last) + following) / 2.0
    return middle if middle > last else following


def _chosen(manufacturer: str | None, units: UnitSet, target: float, seed: int) -> tuple[Chosen | None, str]:
    if units.positives == len(units.units):
        return None, "no negatives"
    threshold = threshold_for(units.scores, units.labels, target)
    if threshold is None:
        return None, f"more than {1 - target:.0%} of the negatives have the score 1"
    called, validated = _validated_calls(units, target, seed)
    if not validated:
        called = units.scores >= threshold
    return Chosen(
        manufacturer,
        threshold,
        perform(called, units.labels),
        validated,
        len(units.units) - units.positives,
        units.positives,
    ), ""


def _validated_calls(units: UnitSet, target: float, seed: int) -> tuple[NDArray[np.bool_], bool]:
    """Calls of units by thresholds chosen on other patients; False where there are too few patients."""
    called = np.zeros(units.scores.size, bool)
    measured = 0
    for train, test in folds(units, seed):
        threshold = threshold_for(units.scores[train], units.labels[train], target)
        if threshold is None:
            return called, False
        called[test] = units.scores[test] >= threshold
        measured += test.size
    return called, measured == called.size
