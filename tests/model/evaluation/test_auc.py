from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from dibmg.evaluation.auc import auc, bootstrap_auc, compare_paired, compare_unpaired, delong
from tests.model.evaluation.factories_evaluation import draw

OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score, outcome of the 43 complete patients of DeLong et al. 1988.

Data and results: SAS/STAT User's Guide, The LOGISTIC Procedure, example "Comparing Receiver Operating
Characteristic Curves", which prints four digits.
"""


def ovarian() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores of albumin, K-G and total protein (3, 43), and labels."""
    table = np.array(OVARIAN.split(), float).reshape(-1, 4)
    return np.stack([table[:, 0], 10 - table[:, 2], table[:, 1]]), table[:, 3] == 1


def people(labels: NDArray[np.bool_]) -> list[str]:
    return [f"p{number}" for number in range(labels.size)]


def brute_force(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Covariance of the areas straight from the definition: a kernel over all pairs."""
    kernels = []
    for row in scores:
        pairs = row[labels][:, None] - row[~labels][None]
        kernels.append((pairs > 0) + 0.5 * (pairs == 0))
    kernel = np.array(kernels)
    positives, negatives = kernel.shape[1:]
    return np.asarray(
        np.cov(kernel.mean(axis=2)) / positives + np.cov(kernel.mean(axis=1)) / negatives
    ).reshape(len(scores), len(scores))


@pytest.mark.parametrize(
    ("index", "area", "error", "low", "high"),
    [
        (0, 0.7366, 0.0927, 0.5549, 0.9182),
        (1, 0.7258, 0.1028, 0.5243, 0.9273),
        (2, 0.6478, 0.1000, 0.4518, 0.8439),
    ],
)
def test_areas_of_the_ovarian_example_are_the_published_ones(
    index: int, area: float, error: float, low: float, high: float
) -> None:
    scores, labels = ovarian()

    found = auc(scores[index], labels, people(labels))
    variance = delong(scores, labels, None).covariance[index, index]

    assert [found.value, found.low, found.high] == pytest.approx([area, low, high], abs=5e-5)
    assert variance**0.5 == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize(
    ("index", "difference", "low", "high", "chi_square", "p"),
    [(0, 0.0108, -0.1761, 0.1976, 0.0127, 0.9102), (2, -0.0780, -0.2830, 0.1271, 0.5554, 0.4561)],
)
def test_differences_of_the_ovarian_example_are_the_published_ones(
    index: int, difference: float, low: float, high: float, chi_square: float, p: float
) -> None:
    scores, labels = ovarian()

    found, test = compare_paired(scores[index], scores[1], labels, people(labels))

    assert [found.value, found.low, found.high] == pytest.approx([difference, low, high], abs=5e-5)
    assert test.statistic is not None
    assert [test.statistic**2, test.p] == pytest.approx([chi_square, p], abs=5e-5)


def test_the_contrast_of_all_three_curves_is_the_published_one() -> None:
    scores, labels = ovarian()
    contrast = np.array([[1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])

    areas = delong(scores, labels, None)

    difference = contrast @ areas.values
    statistic = difference @ np.linalg.solve(contrast @ areas.covariance @ contrast.T, difference)
    assert [statistic, chi2.sf(statistic, 2)] == pytest.approx([2.5340, 0.2817], abs=5e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_the_covariance_is_that_of_the_u_statistics(ties: bool) -> None:
    random = np.random.default_rng(3)
    labels = np.arange(60) < 22
    scores = random.normal(size=(3, 60)) + labels
    scores = np.round(scores * 2) if ties else scores

    areas = delong(scores, labels, None)

    np.testing.assert_allclose(areas.covariance, brute_force(scores, labels), rtol=1e-10)
    np.testing.assert_allclose(areas.values, [roc_auc_score(labels, row) for row in scores])


def test_the_interval_is_that_of_a_bootstrap() -> None:
    scores, labels = draw(80, 120, seed=1)

    exact = auc(scores, labels, people(labels))
    drawn = bootstrap_auc(scores, labels, people(labels), seed=1)

    assert drawn.value == pytest.approx(exact.value)
    assert [drawn.low, drawn.high] == pytest.approx([exact.low, exact.high], abs=0.01)


def test_patients_with_two_equal_breasts_know_no_more_than_patients_with_one() -> None:
    scores, labels = draw(40, 60, seed=2)
    once = auc(scores, labels, people(labels))

    twice = auc(np.tile(scores, 2), np.tile(labels, 2), people(labels) * 2)

    assert [twice.value, twice.low, twice.high] == pytest.approx([once.value, once.low, once.high])


def test_clustering_agrees_with_the_bootstrap_by_patient_where_patients_have_both_labels() -> None:
    random = np.random.default_rng(5)
    level = np.repeat(random.normal(0.0, 1.0, 150), 2)
    labels = np.tile([True, False], 150)
    scores = level + random.normal(0.0, 0.7, 300) + 0.8 * labels
    patients = [f"p{number // 2}" for number in range(300)]

    clustered = auc(scores, labels, patients)
    drawn = bootstrap_auc(scores, labels, patients, seed=5)
    alone = auc(scores, labels, people(labels))

    assert [clustered.low, clustered.high] == pytest.approx([drawn.low, drawn.high], abs=0.01)
    assert clustered.low is not None
    assert alone.low is not None
    assert clustered.low > alone.low + 0.01


def test_sets_of_different_patients_are_compared_by_the_sum_of_their_variances() -> None:
    one, other = draw(50, 70, seed=6), draw(40, 90, seed=7, shift=0.8)

    difference, test = compare_unpaired((*one, people(one[1])), (*other, people(other[1])))

    variances = [delong(scores[None], labels, None).covariance[0, 0] for scores, labels in (one, other)]
    assert difference.value == pytest.approx(roc_auc_score(*one[::-1]) - roc_auc_score(*other[::-1]))
    assert test.statistic == pytest.approx((difference.value or 0.0) / sum(variances) ** 0.5)


def test_a_model_does_not_differ_from_itself() -> None:
    scores, labels = draw(20, 20, seed=8)

    difference, test = compare_paired(scores, scores, labels, people(labels))

    assert (difference.value, test.p, test.reason) == (0.0, None, "the difference has no variance")


@pytest.mark.parametrize(("labels", "reason"), [([1, 1], "no negatives"), ([0, 0], "no positives")])
def test_one_label_alone_has_no_area_and_says_why(labels: list[int], reason: str) -> None:
    found = auc(np.array([0.1, 0.2]), np.array(labels, bool), ["a", "b"])

    assert (found.value, found.low, found.high, found.reason) == (None, None, None, reason)


def test_a_perfect_order_says_that_its_interval_has_no_width() -> None:
    found = auc(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1], bool), list("abcd"))

    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.reason == "the interval has no width since the order is perfect"


def test_one_cancer_has_an_area_without_an_interval() -> None:
    found = auc(np.array([0.1, 0.5, 0.4]), np.array([0, 0, 1], bool), list("abc"))

    assert (found.value, found.low, found.high) == (0.5, None, None)
