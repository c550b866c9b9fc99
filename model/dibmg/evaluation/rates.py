"""Rates with their intervals, and tests between the rates of groups."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from dibmg.evaluation.estimate import CONFIDENCE, Estimate, Test, no_test, unknown

SMALLEST_EXPECTED: Final = 5.0
"""Below this expected count of a cell Pearson's chi-square is no good approximation (Cochran 1954)."""

_CHI_SQUARE: Final = "chi-square"


class RateInterval(StrEnum):
    """How the interval of a rate is computed; the value is statsmodels' word for it."""

    WILSON = "wilson"
    EXACT = "beta"


def rate(count: int, of: int, what: str, interval: RateInterval = RateInterval.WILSON) -> Estimate:
    """A rate with its 95 % interval.

    Args:
        count: How often it happened.
        of: How often it could have.
        what: What is counted, for the reason where there is none of it.
        interval: Wilson's score interval, or the exact one of Clopper and Pearson.

    Source: Wilson 1927; Clopper and Pearson 1934.
    """
    if of == 0:
        return unknown(f"no {what}", 0)
    low, high = proportion_confint(count, of, alpha=1.0 - CONFIDENCE, method=interval.value)
    # rounding may put an end of Wilson's interval a hair beyond the rate or beyond 0..1
    low, high = min(max(float(low), 0.0), count / of), max(min(float(high), 1.0), count / of)
    return Estimate(count / of, low, high, "", count, of)


def compare_rates(groups: Sequence[tuple[int, int]]) -> Test:
    """Whether the rates of independent groups differ.

    Pearson's chi-square test without continuity correction, as the paper's statistics program makes it;
    Fisher's exact test instead for two groups where an expected count is below 5.

    Args:
        groups: (count, of) for each group; those with no units are left out.
    """
    present = [(count, of) for count, of in groups if of > 0]
    if len(present) < 2:
        return no_test(_CHI_SQUARE, "fewer than two groups with units")
    table = np.array([[count, of - count] for count, of in present])
    if (table.sum(axis=0) == 0).any():
        return no_test(_CHI_SQUARE, "the rate is 0 or 1 in every group")
    found = chi2_contingency(table, correction=False)
    small = bool((found.expected_freq < SMALLEST_EXPECTED).any())
    if small and len(present) == 2:
        return Test("Fisher's exact", None, float(fisher_exact(table).pvalue))
    note = "an expected count is below 5: approximate" if small else ""
    return Test(_CHI_SQUARE, float(found.statistic), float(found.pvalue), int(found.dof), note)


def compare_paired_rates(only_first: int, only_second: int) -> Test:
    """Whether two readers of the same units differ: McNemar's exact test.

    Args:
        only_first: Units that only the first reader calls.
        only_second: Units that only the second calls.
    """
    name = "McNemar's exact"
    if only_first + only_second == 0:
        return no_test(name, "both agree on every unit")
    found = mcnemar([[0, only_first], [only_second, 0]], exact=True)
    return Test(name, None, float(found.pvalue))
