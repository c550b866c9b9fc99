from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from dibmg_node.domain.device import ANY_DEVICE
from dibmg_node.domain.drift import (
    DriftLimits,
    DriftState,
    Measured,
    binned,
    compare,
    judge,
    kolmogorov_smirnov,
    psi,
    psi_with_interval,
    rate,
    rates_differ,
    recall_over_time,
    tenths,
)
from dibmg_node.domain.score_reference import ScoreReference, ranked

LIMITS = DriftLimits(psi=0.2, ks=0.001, recall=0.05, minimum=100)


def scores(n: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    logits = np.random.default_rng(seed).normal(shift - 1.0, 1.0, n)
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float64)


def reference(given: NDArray[np.float64]) -> ScoreReference:
    return ScoreReference(ANY_DEVICE, given.size, ranked(given.tolist()))


def state(recent: NDArray[np.float64], before: NDArray[np.float64], threshold: float = 0.5) -> DriftState:
    recalled = int((recent >= threshold).sum())
    found = compare(recent, threshold, reference(before))
    return judge(recent.size, rate(recalled, recent.size), found, LIMITS)


def test_psi_is_that_of_a_worked_example() -> None:
    # shares 0.2, 0.3, 0.5 became 0.3, 0.3, 0.4: 0.1 ln 1.5 + 0 + 0.1 ln 1.25
    found = psi(np.array([30, 30, 40]), np.array([20, 30, 50]))

    assert found == pytest.approx(0.0405465 + 0.0223144, abs=1e-6)


def test_psi_of_an_empty_bin_is_finite_and_that_of_half_a_score() -> None:
    found = psi(np.array([0, 100]), np.array([50, 50]))

    assert found == pytest.approx((0.005 - 0.5) * np.log(0.005 / 0.5) + 0.5 * np.log(2.0))


def test_the_interval_of_psi_holds_the_true_one_as_often_as_it_says() -> None:
    truth = np.full(10, 0.1), np.array([0.05, 0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.15, 0.15, 0.15])
    true = float(((truth[1] - truth[0]) * np.log(truth[1] / truth[0])).sum())
    random = np.random.default_rng(1)

    found = [
        psi_with_interval(random.multinomial(500, truth[1]), random.multinomial(1000, truth[0]))
        for _ in range(200)
    ]

    assert 0.88 <= np.mean([one.low <= true <= one.high for one in found]) <= 1.0


def test_the_interval_of_psi_reaches_zero_where_nothing_differs() -> None:
    random = np.random.default_rng(2)
    share = np.full(10, 0.1)

    lows = [
        psi_with_interval(random.multinomial(300, share), random.multinomial(300, share)).low
        for _ in range(100)
    ]

    assert np.mean([low == 0.0 for low in lows]) >= 0.95


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [(60, 80), (500, 1000), (2000, 300)])
def test_kolmogorov_smirnov_is_that_of_scipy(shift: float, sizes: tuple[int, int]) -> None:
    first, second = scores(sizes[0], 3, shift), scores(sizes[1], 4)

    distance, probability = kolmogorov_smirnov(first, second)

    expected = ks_2samp(first, second, method="exact")
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    assert probability == pytest.approx(expected.pvalue, abs=0.02)


def test_kolmogorov_smirnov_counts_equal_scores_as_scipy_does() -> None:
    first, second = scores(300, 5).round(1), scores(400, 6, 0.2).round(1)

    assert kolmogorov_smirnov(first, second)[0] == pytest.approx(ks_2samp(first, second).statistic)


def test_samples_of_the_same_distribution_have_a_small_p_as_seldom_as_it_says() -> None:
    found = [kolmogorov_smirnov(scores(200, seed), scores(300, 10_000 + seed))[1] for seed in range(400)]

    assert np.mean([p <= 0.05 for p in found]) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("count", "of"), [(0, 10), (3, 10), (10, 10), (57, 500), (1, 1)])
def test_the_interval_of_a_rate_is_wilsons(count: int, of: int) -> None:
    found = rate(count, of)

    low, high = proportion_confint(count, of, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((count / of, low, high), abs=1e-12)


@pytest.mark.parametrize("counts", [(30, 200, 80, 1000), (50, 500, 90, 600), (0, 100, 3, 200)])
def test_the_test_of_two_rates_is_that_of_statsmodels(counts: tuple[int, int, int, int]) -> None:
    first, of, second, of_second = counts

    _, expected = proportions_ztest([first, second], [of, of_second])

    assert rates_differ(*counts) == pytest.approx(expected, abs=1e-12)


def test_rates_of_which_nothing_was_recalled_do_not_differ() -> None:
    assert rates_differ(0, 100, 0, 200) == 1.0


def test_bins_hold_a_tenth_of_the_reference_each() -> None:
    given = scores(1000, 7)

    assert binned(given, tenths(given)).tolist() == [100] * 10


def test_equal_scores_make_fewer_bins() -> None:
    given = np.array([0.5] * 90 + [0.9] * 10)

    edges = tenths(given)

    assert binned(given, edges).sum() == 100
    assert edges.size < 9


def test_a_reference_by_ranks_says_the_same_as_all_its_scores() -> None:
    recent, before = scores(500, 8, 0.2), scores(20_000, 9)

    found = compare(recent, 0.5, reference(before))

    assert found.ks == pytest.approx(ks_2samp(recent, before).statistic, abs=0.001)
    assert found.ks_p == pytest.approx(ks_2samp(recent, before).pvalue, rel=0.2)
    assert found.psi.value == pytest.approx(
        psi(*(binned(one, tenths(before)) for one in (recent, before))), abs=0.005
    )
    assert found.reference_recall.value == pytest.approx((before >= 0.5).mean(), abs=0.001)
    assert found.reference_recall.high - found.reference_recall.low < 0.02


def test_scores_that_moved_are_drift() -> None:
    assert state(scores(300, 10, 0.8), scores(1000, 11)) is DriftState.DRIFTED


def test_the_same_distribution_is_hardly_ever_drift() -> None:
    found = [state(scores(300, seed), scores(1000, 10_000 + seed)) for seed in range(200)]

    assert found.count(DriftState.DRIFTED) <= 1


def test_a_recall_rate_that_left_its_reference_is_drift_though_most_scores_stayed() -> None:
    before = scores(2000, 12)
    recent = scores(600, 13)
    recent[(recent > 0.4) & (recent < 0.5)] = 0.51

    found = compare(recent, 0.5, reference(before))

    assert found.psi.value < LIMITS.psi
    assert state(recent, before) is DriftState.DRIFTED


def test_a_difference_that_is_certain_and_small_is_no_drift() -> None:
    found = compare(scores(20_000, 14, 0.1), 0.5, reference(scores(20_000, 15)))

    assert found.ks_p < 1e-6
    assert state(scores(20_000, 14, 0.1), scores(20_000, 15)) is DriftState.STABLE


def test_few_exams_are_too_few_whatever_they_say() -> None:
    assert state(scores(99, 16, 3.0), scores(1000, 17)) is DriftState.TOO_FEW


def test_without_a_reference_nothing_is_said() -> None:
    assert judge(500, Measured(0.1, 0.05, 0.15), None, LIMITS) is DriftState.NO_REFERENCE


def test_recall_over_time_ends_with_the_newest_exams() -> None:
    called = [True] * 3 + [False] * 4 + [True, False, True, True]

    assert [one.value for one in recall_over_time(called, 4)] == [0.0, 0.75]
