"""The area under the ROC curve: its variance by DeLong, also with several units a patient, and its tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from dibmg.evaluation.estimate import CONFIDENCE, Estimate, Test, no_test, unknown

BOOTSTRAP_SAMPLES: Final = 2000

_QUANTILE: Final = float(norm.ppf(0.5 + CONFIDENCE / 2.0))
_PAIRED: Final = "DeLong, paired"
_UNPAIRED: Final = "DeLong, unpaired"


@dataclass(frozen=True, eq=False)
class Areas:
    """Areas under the ROC curves of k scores of the same units.

    Attributes:
        values: float64 (k,).
        covariance: float64 (k, k).
    """

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]


def delong(scores: NDArray[np.float64], labels: NDArray[np.bool_], patients: Sequence[str] | None) -> Areas:
    """Areas under correlated ROC curves with their covariance.

    Every unit has a structural component, its share of the area; their sums over a patient vary
    independently. With one unit a patient that is DeLong's covariance, with several the one of Obuchowski
    for clustered data.

    Args:
        scores: float64 (k, n), higher = more suspicious.
        labels: bool (n,), at least one True and one False.
        patients: Of the units (n,); None where every unit is a patient of its own.

    Raises:
        ValueError: One of the two labels is missing.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837; Obuchowski, Biometrics 53 (1997) 567;
    components from ranks as Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        raise ValueError(f"{positives} positives and {negatives} negatives, expected at least one of both")
    every = rankdata(scores, axis=1)
    of_positives = (every[:, labels] - rankdata(scores[:, labels], axis=1)) / negatives
    of_negatives = 1.0 - (every[:, ~labels] - rankdata(scores[:, ~labels], axis=1)) / positives
    values = of_positives.mean(axis=1)
    clusters = np.arange(labels.size) if patients is None else np.unique(patients, return_inverse=True)[1]
    first = _sums(of_positives - values[:, None], clusters[labels], clusters.max() + 1)
    second = _sums(of_negatives - values[:, None], clusters[~labels], clusters.max() + 1)
    with_positives = np.unique(clusters[labels]).size
    with_negatives = np.unique(clusters[~labels]).size
    cross = first @ second.T / (positives * negatives) * _bessel(np.unique(clusters).size)
    covariance = (
        first @ first.T / positives**2 * _bessel(with_positives)
        + second @ second.T / negatives**2 * _bessel(with_negatives)
        + cross
        + cross.T
    )
    return Areas(values, covariance)


def auc(scores: NDArray[np.float64], labels: NDArray[np.bool_], patients: Sequence[str]) -> Estimate:
    """The area with its interval by DeLong, patients as clusters; a reason where a label is missing."""
    missing = _missing(labels)
    if missing:
        return unknown(missing)
    areas = delong(scores[None], labels, patients)
    value, deviation = float(areas.values[0]), float(np.sqrt(max(areas.covariance[0, 0], 0.0)))
    if _patients(labels, patients) < 2:
        return Estimate(value, None, None, "fewer than two patients with or without cancer: no interval")
    low, high = value - _QUANTILE * deviation, value + _QUANTILE * deviation
    odd = ""
    if deviation == 0.0:
        odd = "all are equal" if value == 0.5 else "the interval has no width since the order is perfect"
    return Estimate(value, max(low, 0.0), min(high, 1.0), odd)


def bootstrap_auc(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    patients: Sequence[str],
    seed: int,
    samples: int = BOOTSTRAP_SAMPLES,
) -> Estimate:
    """The area with its percentile interval, patients drawn with replacement.

    Patients with a cancer and those without are drawn apart, so that every sample has both.

    Source: Efron and Tibshirani 1993; strata as in pROC, Robin et al., BMC Bioinformatics 12 (2011) 77.
    """
    missing = _missing(labels)
    if missing:
        return unknown(missing)
    random = np.random.default_rng(seed)
    _, clusters = np.unique(patients, return_inverse=True)
    _, levels = np.unique(scores, return_inverse=True)
    sick = np.bincount(clusters, weights=labels) > 0
    value = _weighted_area(levels, labels, np.ones(labels.size))
    found = []
    for _ in range(samples):
        drawn = np.zeros(sick.size)
        for stratum in (np.flatnonzero(sick), np.flatnonzero(~sick)):
            if stratum.size:
                drawn += np.bincount(random.choice(stratum, stratum.size), minlength=sick.size)
        weights = drawn[clusters]
        if weights[labels].any() and weights[~labels].any():
            found.append(_weighted_area(levels, labels, weights))
    if not found:
        return Estimate(value, None, None, "no sample had both labels")
    low, high = np.quantile(found, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0])
    return Estimate(value, float(low), float(high))


def compare_paired(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: NDArray[np.bool_],
    patients: Sequence[str],
) -> tuple[Estimate, Test]:
    """First minus second area of two scores of the same units, with the test whether it is 0."""
    missing = _missing(labels)
    if missing:
        return unknown(missing), no_test(_PAIRED, missing)
    areas = delong(np.stack([first, second]), labels, patients)
    contrast = np.array([1.0, -1.0])
    return _difference(float(contrast @ areas.values), float(contrast @ areas.covariance @ contrast), _PAIRED)


def compare_unpaired(
    first: tuple[NDArray[np.float64], NDArray[np.bool_], Sequence[str]],
    second: tuple[NDArray[np.float64], NDArray[np.bool_], Sequence[str]],
) -> tuple[Estimate, Test]:
    """First minus second area of scores of different patients, with the test whether it is 0.

    Args:
        first: Scores, labels and patients of the units of the first set.
        second: Those of the second set.
    """
    missing = _missing(first[1]) or _missing(second[1])
    if missing:
        return unknown(missing), no_test(_UNPAIRED, missing)
    one, other = (delong(scores[None], labels, patients) for scores, labels, patients in (first, second))
    return _difference(
        float(one.values[0] - other.values[0]),
        float(one.covariance[0, 0] + other.covariance[0, 0]),
        _UNPAIRED,
    )


def _difference(value: float, variance: float, name: str) -> tuple[Estimate, Test]:
    deviation = float(np.sqrt(max(variance, 0.0)))
    if deviation < 1e-12:
        reason = "the difference has no variance"
        return Estimate(value, None, None, reason), no_test(name, reason)
    estimate = Estimate(value, value - _QUANTILE * deviation, value + _QUANTILE * deviation)
    z = value / deviation
    return estimate, Test(name, z, float(2.0 * norm.sf(abs(z))))


def _missing(labels: NDArray[np.bool_]) -> str:
    if not labels.any():
        return "no positives"
    return "no negatives" if labels.all() else ""


def _patients(labels: NDArray[np.bool_], patients: Sequence[str]) -> int:
    """Patients of the rarer label."""
    every = np.asarray(patients)
    return min(np.unique(every[labels]).size, np.unique(every[~labels]).size)


def _sums(components: NDArray[np.float64], clusters: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(k, clusters): components summed over each cluster."""
    return np.stack([np.bincount(clusters, weights=row, minlength=count) for row in components])


def _bessel(count: int) -> float:
    return count / (count - 1) if count > 1 else 0.0


def _weighted_area(
    levels: NDArray[np.int64], labels: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float:
    """Area of units counted with weights; `levels` are the ranks of the scores, ties equal."""
    count = int(levels.max()) + 1
    positives = np.bincount(levels[labels], weights=weights[labels], minlength=count)
    negatives = np.bincount(levels[~labels], weights=weights[~labels], minlength=count)
    below = np.cumsum(negatives) - negatives
    return float((positives @ (below + negatives / 2.0)) / (positives.sum() * negatives.sum()))
