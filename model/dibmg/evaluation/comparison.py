"""Comparing two sets of units read by one model, and two models on the same units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dibmg.evaluation.auc import auc, compare_paired, compare_unpaired
from dibmg.evaluation.estimate import Estimate, Test
from dibmg.evaluation.performance import Decision, Performance, perform
from dibmg.evaluation.rates import RateInterval, compare_paired_rates, compare_rates
from dibmg.evaluation.tables import RATES
from dibmg.evaluation.units import UnitSet


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what it is, its area, and its rates by name of the decision."""

    name: str
    n: int
    positives: int
    area: Estimate
    performances: Mapping[str, Performance]

    def as_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "name": self.name,
            "n": self.n,
            "positives": self.positives,
            "auc": self.area.as_json(),
            "operating_points": {name: one.as_json() for name, one in self.performances.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """Two sides with their difference.

    Attributes:
        difference: First minus second area.
        tests: Of rates, by name of the decision, then of the rate.
        notes: What a reader must know.
    """

    first: Side
    second: Side
    difference: Estimate
    area_test: Test
    tests: Mapping[str, Mapping[str, Test]]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "auc_difference": self.difference.as_json() | {"test": self.area_test.as_json()},
            "tests": {
                decision: {name: test.as_json() for name, test in tests.items()}
                for decision, tests in self.tests.items()
            },
            "notes": list(self.notes),
        }


def compare_sets(
    first: tuple[str, UnitSet],
    second: tuple[str, UnitSet],
    decisions: list[Decision],
    interval: RateInterval,
) -> Comparison:
    """Two sets of units of different patients, read by one model.

    Args:
        first: Name and units.
        second: Name and units.
        decisions: The same for both.
        interval: Of the rates.

    Source: Kim et al. 2018, Statistical Analysis: validation against test set; the square of DeLong's z
    is chi-square with one degree of freedom.
    """
    named = {one.name: one for one in decisions}
    sides = [_side(name, units, named, interval) for name, units in (first, second)]
    difference, test = compare_unpaired(
        (first[1].scores, first[1].labels, first[1].patients),
        (second[1].scores, second[1].labels, second[1].patients),
    )
    tests = {
        decision.name: {
            kind: compare_rates([_fraction(side.performances[decision.name], kind) for side in sides])
            for kind in RATES
        }
        for decision in decisions
    }
    shared = len(set(first[1].patients) & set(second[1].patients))
    notes = (f"{shared} patients are in both sets: the tests take them for different ones",) if shared else ()
    return Comparison(sides[0], sides[1], difference, test, tests, notes)


def compare_models(
    first: tuple[str, UnitSet, Mapping[str, Decision]],
    second: tuple[str, UnitSet, Mapping[str, Decision]],
    interval: RateInterval,
) -> Comparison:
    """Two models on the same units.

    Args:
        first: Name of the model, its units, and its decisions by the name under which they are compared.
        second: The same of the other model; units are matched by their lines of the manifest.
        interval: Of the rates.
    """
    names, (one, other) = (first[0], second[0]), _matched(first[1], second[1])
    sides = [_side(names[0], one, first[2], interval), _side(names[1], other, second[2], interval)]
    difference, test = compare_paired(one.scores, other.scores, one.labels, one.patients)
    tests: dict[str, dict[str, Test]] = {}
    for decision in first[2]:
        calls, other_calls = first[2][decision].calls(one), second[2][decision].calls(other)
        tests[decision] = {}
        for kind, among in (("sensitivity", one.labels), ("specificity", ~one.labels)):
            only_first = int((calls & ~other_calls & among).sum())
            only_second = int((~calls & other_calls & among).sum())
            tests[decision][kind] = compare_paired_rates(only_first, only_second)
    missing = len(first[1].units) + len(second[1].units) - 2 * len(one.units)
    notes = (f"{missing} units that only one model could read are left out",) if missing else ()
    return Comparison(sides[0], sides[1], difference, test, tests, notes)


def _matched(first: UnitSet, second: UnitSet) -> tuple[UnitSet, UnitSet]:
    lines = {unit.lines for unit in first.units} & {unit.lines for unit in second.units}
    kept = [np.array([unit.lines in lines for unit in units.units], bool) for units in (first, second)]
    return first.take(kept[0]), second.take(kept[1])


def _side(name: str, units: UnitSet, decisions: Mapping[str, Decision], interval: RateInterval) -> Side:
    performances = {key: perform(one.calls(units), units.labels, interval) for key, one in decisions.items()}
    area = auc(units.scores, units.labels, units.patients)
    return Side(name, len(units.units), units.positives, area, performances)


def _fraction(performance: Performance, kind: str) -> tuple[int, int]:
    found: Estimate = getattr(performance, kind)
    return found.count or 0, found.of or 0
