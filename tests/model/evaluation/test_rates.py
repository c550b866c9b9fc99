from __future__ import annotations

import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import proportion_confint

from dibmg.evaluation.rates import RateInterval, compare_paired_rates, compare_rates, rate


@pytest.mark.parametrize("interval", RateInterval)
@pytest.mark.parametrize(("count", "of"), [(0, 7), (7, 7), (3, 7), (131, 173), (1, 4000)])
def test_intervals_are_those_of_statsmodels(interval: RateInterval, count: int, of: int) -> None:
    found = rate(count, of, "units", interval)

    low, high = proportion_confint(count, of, method=interval.value)
    assert [found.value, found.low, found.high] == pytest.approx([count / of, low, high])
    assert found.low is not None
    assert found.high is not None
    assert 0.0 <= found.low <= count / of <= found.high <= 1.0


def test_the_wilson_interval_is_that_of_newcombes_example() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263, method 3
    found = rate(81, 263, "units")

    assert [found.low, found.high] == pytest.approx([0.2553, 0.3662], abs=5e-5)


def test_the_exact_interval_is_that_of_newcombes_example() -> None:
    # the same table, method 5
    found = rate(81, 263, "units", RateInterval.EXACT)

    assert [found.low, found.high] == pytest.approx([0.2527, 0.3676], abs=5e-5)


def test_a_rate_of_nothing_says_what_there_is_none_of() -> None:
    found = rate(0, 0, "positives")

    assert (found.value, found.reason) == (None, "no positives")


def test_rates_are_compared_by_pearsons_chi_square_without_correction() -> None:
    # 2 x 2 by hand: 100 * (40 * 35 - 10 * 15)^2 / (50 * 50 * 55 * 45)
    found = compare_rates([(40, 50), (15, 50)])

    assert found.statistic == pytest.approx(100 * (40 * 35 - 10 * 15) ** 2 / (50 * 50 * 55 * 45))
    assert found.degrees_of_freedom == 1


def test_small_groups_are_compared_by_fishers_exact_test() -> None:
    found = compare_rates([(3, 4), (1, 4)])

    assert (found.name, found.statistic) == ("Fisher's exact", None)
    assert found.p == pytest.approx(fisher_exact([[3, 1], [1, 3]]).pvalue)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([(3, 4)], "fewer than two groups with units"),
        ([(3, 4), (0, 0)], "fewer than two groups with units"),
        ([(4, 4), (6, 6)], "the rate is 0 or 1 in every group"),
    ],
)
def test_where_nothing_can_be_compared_the_reason_is_told(groups: list[tuple[int, int]], reason: str) -> None:
    found = compare_rates(groups)

    assert (found.p, found.reason) == (None, reason)


def test_two_readers_are_compared_by_the_units_that_only_one_calls() -> None:
    # binomial: 2 * P(X <= 1), X of 6 with 1/2
    assert compare_paired_rates(5, 1).p == pytest.approx(2 * 7 / 64)
    assert compare_paired_rates(0, 0).reason == "both agree on every unit"
