"""The paper's tables 3, 4 and 5: rates of subgroups, and tests whether they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dibmg.evaluation.auc import auc
from dibmg.evaluation.estimate import Estimate, Test, unknown
from dibmg.evaluation.features_gee import FeatureEffect, compare_features
from dibmg.evaluation.groups import Factor, factors
from dibmg.evaluation.performance import Decision, perform
from dibmg.evaluation.rates import RateInterval, compare_rates
from dibmg.evaluation.units import UnitSet

RATES = ("sensitivity", "specificity", "accuracy")


@dataclass(frozen=True)
class Row:
    """One subgroup.

    Attributes:
        area: Under the ROC curve; of a kind of cancer against all negatives.
        rates: By name of the decision, then of the rate.
    """

    name: str
    n: int
    positives: int
    area: Estimate
    rates: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Table:
    """All subgroups of one factor.

    Attributes:
        tests: By name of the decision, then of the rate: whether it differs between the rows.
        effects: Of the features, by name of the decision; only of the factor `feature`.
        not_known: Units (cancers, where only they count) that are in no row.
    """

    factor: Factor
    rows: tuple[Row, ...]
    tests: Mapping[str, Mapping[str, Test]]
    effects: Mapping[str, FeatureEffect]
    not_known: int

    def as_json(self) -> dict[str, object]:
        """As under `subgroups` of the report."""
        return {
            "table": self.factor.table,
            "rows": [
                {
                    "name": row.name,
                    "n": row.n,
                    "positives": row.positives,
                    "auc": row.area.as_json(),
                    "rates": {
                        decision: {name: one.as_json() for name, one in rates.items()}
                        for decision, rates in row.rates.items()
                    },
                }
                for row in self.rows
            ],
            "tests": {
                decision: {name: test.as_json() for name, test in tests.items()}
                for decision, tests in self.tests.items()
            },
            **({"gee": {name: one.as_json() for name, one in self.effects.items()}} if self.effects else {}),
            "not_known": self.not_known,
        }


def tables(
    units: UnitSet, decisions: Sequence[Decision], interval: RateInterval = RateInterval.WILSON
) -> tuple[Table, ...]:
    """Every table that the units have rows for.

    Args:
        units: Of the evaluation.
        decisions: Each gives its own rates and tests.
        interval: Of the rates.

    Source: Kim et al. 2018, tables 3 to 5 and Statistical Analysis.
    """
    called = {decision.name: decision.calls(units) for decision in decisions}
    made = (_table(factor, units, called, interval) for factor in factors(units))
    return tuple(table for table in made if table.rows)


def _table(
    factor: Factor, units: UnitSet, called: Mapping[str, NDArray[np.bool_]], interval: RateInterval
) -> Table:
    members = factor.members(units)
    kinds = RATES[:1] if factor.cancers_only else RATES
    rows = []
    for name, chosen in members:
        rates = {}
        for decision, calls in called.items():
            found = perform(calls[chosen], units.labels[chosen], interval)
            rates[decision] = {kind: getattr(found, kind) for kind in kinds}
        rows.append(
            Row(name, int(chosen.sum()), int(units.labels[chosen].sum()), _area(factor, units, chosen), rates)
        )
    tests: dict[str, dict[str, Test]] = {}
    if factor.exclusive:
        for decision in called:
            tests[decision] = {kind: compare_rates(_fractions(rows, decision, kind)) for kind in kinds}
    effects = {}
    if factor.name == "feature" and rows:
        effects = {decision: compare_features(units, calls) for decision, calls in called.items()}
    everything = units.labels if factor.cancers_only else np.ones_like(units.labels)
    in_rows = np.any([chosen for _, chosen in members], axis=0) if members else np.zeros_like(units.labels)
    return Table(factor, tuple(rows), tests, effects, int((everything & ~in_rows).sum()))


def _area(factor: Factor, units: UnitSet, chosen: NDArray[np.bool_]) -> Estimate:
    among = units.take(chosen | ~units.labels) if factor.cancers_only else units.take(chosen)
    if not among.units:
        return unknown("no units")
    return auc(among.scores, among.labels, among.patients)


def _fractions(rows: Sequence[Row], decision: str, kind: str) -> list[tuple[int, int]]:
    found = [row.rates[decision][kind] for row in rows]
    return [(one.count or 0, one.of or 0) for one in found]
