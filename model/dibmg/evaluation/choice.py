"""Choosing operating points: the threshold that gives negatives a target specificity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.folds import folds
from dibmg.evaluation.performance import Decision, Performance, perform
from dibmg.evaluation.rates import RateInterval
from dibmg.evaluation.units import UnitSet
from dibmg_node.domain.device import ANY_DEVICE, Device, most_specific

MINIMUM_NEGATIVES: Final = 50
"""Fewer negatives of a manufacturer, model or version do not give it a threshold of its own: at 50 a
specificity of 0.90 is known to 0.08 either way."""


@dataclass(frozen=True)
class Chosen:
    """A threshold for one device, for a class of devices, or for all.

    Attributes:
        performance: On patients that the threshold was not chosen on, where `cross_validated`.
    """

    device: Device
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
        notes: Devices that share the threshold of a wider class, and why.
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
        own = {point.device.key: point.threshold for point in self.points if point.device.manufacturer}
        return Decision(self.name, self.points[0].threshold, own, "these units themselves")


def choose(
    units: UnitSet,
    target: float,
    seed: int,
    minimum: int = MINIMUM_NEGATIVES,
    interval: RateInterval = RateInterval.WILSON,
) -> Choice:
    """Thresholds for a target specificity, for all units and for each device with enough negatives.

    A manufacturer, a model of it and a software version of that have one each; a model or version that
    all units of the wider class are of needs none.

    Args:
        units: With negatives; without any there is no choice.
        target: Specificity aimed at, 0..1.
        seed: Of the folds that the rates are measured on.
        minimum: Negatives of a manufacturer, model or version, for a threshold of its own.
        interval: Of the rates.
    """
    overall, reason = _chosen(ANY_DEVICE, units, target, seed, interval)
    if overall is None:
        return Choice(target, (), (f"no threshold chosen: {reason}",))
    found, notes = {ANY_DEVICE: overall}, []
    for device, own in _by_device(units):
        wider = most_specific(found, device.classes[1])
        used = f"the threshold of {(wider and str(wider.device)) or 'all'} is used"
        negatives = len(own.units) - own.positives
        if negatives < minimum:
            notes.append(f"{device}: {negatives} negatives, fewer than {minimum}: {used}")
            continue
        point, reason = _chosen(device, own, target, seed, interval)
        if point is None:
            notes.append(f"{device}: {reason}: {used}")
        else:
            found[device.key] = point
    return Choice(target, tuple(found.values()), tuple(notes))


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


def _by_device(units: UnitSet) -> Iterator[tuple[Device, UnitSet]]:
    """The units of every manufacturer, model and version, a wider class before those that belong to it."""
    places: dict[Device, list[int]] = defaultdict(list)
    names: dict[Device, Device] = {}
    for place, unit in enumerate(units.units):
        for one in unit.device.classes:
            places[one.key].append(place)
            names.setdefault(one.key, one)
    for key in sorted(names):
        # where all are of one model, its threshold is that of the manufacturer
        narrower = bool(key.model) and len(places[key]) == len(places[key.classes[1]])
        if key != ANY_DEVICE and not narrower:
            chosen = np.zeros(len(units.units), bool)
            chosen[places[key]] = True
            yield names[key], units.take(chosen)


def _chosen(
    device: Device, units: UnitSet, target: float, seed: int, interval: RateInterval
) -> tuple[Chosen | None, str]:
    if units.positives == len(units.units):
        return None, "no negatives"
    threshold = threshold_for(units.scores, units.labels, target)
    if threshold is None:
        return None, f"more than {1 - target:.0%} of the negatives have the score 1"
    called, validated = _validated_calls(units, target, seed)
    if not validated:
        called = units.scores >= threshold
    return Chosen(
        device,
        threshold,
        perform(called, units.labels, interval),
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
