"""Drift: do the exam scores of a device still look like those of its reference?

A score means what it did where the threshold was chosen only while the images do. New software on a
mammography unit, another detector or another population move scores, and with them sensitivity and recall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dibmg_node.domain.score_reference import ScoreReference

_BINS: Final = 10
_TWENTIETHS: Final = 20
_EDGES: Final = np.linspace(0, 1, _TWENTIETHS + 1)
_RESAMPLED: Final = 200
_SEED: Final = 0
_Z: Final = 1.959963984540054
"""Of a two-sided interval of 95 %."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class DriftLimits:
    """From where on it is called drift.

    Attributes:
        psi: Population stability index at and above which scores have moved far; 0.1 is little, 0.25 a lot.
        ks: p at and below which they have not moved by chance: of the Kolmogorov-Smirnov test, and of the
            difference of the recall rates.
        recall: Difference of the recall rates, 0..1, that is too much.
        minimum: Exams without which nothing is said.
    """

    psi: float
    ks: float
    recall: float
    minimum: int


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class DriftState(StrEnum):
    """What is said of a device."""

    STABLE = "no drift"
    DRIFTED = "drift"
    TOO_FEW = "too few exams"
    NO_REFERENCE = "no reference"


@dataclass(frozen=True)
class Comparison:
    """Recent exams against a reference.

    Attributes:
        psi: Population stability index, over bins that each hold a tenth of the reference.
        ks: Largest distance of the two cumulative distributions, 0..1.
        ks_p: How probable one at least as large is between samples of the same distribution.
        reference_recall: Share of the reference at or above the threshold in use.
        recall_p: How probable a difference at least as large is between samples of the same recall rate.
    """

    psi: Measured
    ks: float
    ks_p: float
    reference_recall: Measured
    recall_p: float


def compare(recent: ArrayLike, threshold: float, reference: ScoreReference) -> Comparison:
    """Hold recent exam scores against a reference.

    Args:
        recent: Scores, 0..1, at least one.
        threshold: In use; the recall rates of both are those at it.
        reference: With at least one score.
    """
    now, then = np.asarray(recent, np.float64), np.asarray(reference.scores, np.float64)
    edges = tenths(then)
    distance, probability = kolmogorov_smirnov(now, then, reference.exams)
    above = round(float((then >= threshold).mean()) * reference.exams)
    return Comparison(
        psi=psi_with_interval(binned(now, edges), _scaled(binned(then, edges), reference.exams)),
        ks=distance,
        ks_p=probability,
        reference_recall=rate(above, reference.exams),
        recall_p=rates_differ(int((now >= threshold).sum()), now.size, above, reference.exams),
    )


def judge(exams: int, recall: Measured | None, found: Comparison | None, limits: DriftLimits) -> DriftState:
    """What is to be said of a device.

    Drift is a shift that is both large (PSI) and not by chance (KS), or a recall rate that is both far from
    that of the reference and not by chance. A limit alone would not do: PSI is large by chance for few
    exams, and for many exams KS finds differences that matter to nobody.

    Args:
        exams: Recent ones.
        recall: Their recall rate.
        found: None: there is no reference.
        limits: Of the site.
    """
    if exams < limits.minimum or recall is None:
        return DriftState.TOO_FEW
    if found is None:
        return DriftState.NO_REFERENCE
    moved = found.psi.value >= limits.psi and found.ks_p <= limits.ks
    far = abs(recall.value - found.reference_recall.value) >= limits.recall
    return DriftState.DRIFTED if moved or (far and found.recall_p <= limits.ks) else DriftState.STABLE


def tenths(reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner edges of bins that hold a tenth of a reference each; fewer where scores are the same."""
    return np.unique(np.quantile(reference, np.arange(1, _BINS) / _BINS))


def binned(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    """Scores in each bin, int (edges + 1,); a score on an edge is in the bin above it."""
    return np.bincount(np.searchsorted(edges, scores, side="right"), minlength=edges.size + 1)


def psi(actual: Counts, expected: Counts) -> float:
    """Population stability index of two histograms over the same bins.

    The sum of (a - e) ln(a / e) over the shares a and e of each bin. An empty bin counts as half a score,
    or its logarithm would be infinite.

    Source: Siddiqi 2006, Credit Risk Scorecards; Lin 1991 (Jeffreys' divergence).
    """
    a, e = (_shares(counts.astype(np.float64)) for counts in (actual, expected))
    return float(((a - e) * np.log(a / e)).sum())


def psi_with_interval(actual: Counts, expected: Counts) -> Measured:
    """The index, with the interval of a basic bootstrap over both samples.

    The index of samples is higher than that of what they were drawn from; twice the one found minus the
    resampled ones takes that off again.

    Source: Davison and Hinkley 1997, Bootstrap Methods, 5.2.
    """
    value = psi(actual, expected)
    random = np.random.default_rng(_SEED)
    drawn = [
        _shares(random.multinomial(int(counts.sum()), counts / counts.sum(), _RESAMPLED).astype(np.float64))
        for counts in (actual, expected)
    ]
    indices = ((drawn[0] - drawn[1]) * np.log(drawn[0] / drawn[1])).sum(axis=-1)
    low, high = np.quantile(indices, [0.025, 0.975])
    return Measured(value, max(2 * value - float(high), 0.0), max(2 * value - float(low), 0.0))


def kolmogorov_smirnov(
    first: NDArray[np.float64], second: NDArray[np.float64], size: int | None = None
) -> tuple[float, float]:
    """Distance of two samples, and its p, two-sided.

    Args:
        first: A sample.
        second: Another one.
        size: Of the sample that `second` has evenly spaced ranks of; None: it is the sample itself.

    Source: Stephens 1970 for the finite samples; Kolmogorov's distribution for many.
    """
    places = np.concatenate((first, second))
    shares = [np.searchsorted(np.sort(one), places, side="right") / one.size for one in (first, second)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    sizes = first.size, second.size if size is None else size
    root = math.sqrt(sizes[0] * sizes[1] / sum(sizes))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:
        return distance, 1.0  # the series converges slowly, and to 1 but for 1e-12
    terms = np.arange(1, 101)
    tail = 2.0 * ((-1.0) ** (terms - 1) * np.exp(-2.0 * (terms * scaled) ** 2)).sum()
    return distance, float(min(max(tail, 0.0), 1.0))


def rate(count: int, of: int) -> Measured:
    """A rate with Wilson's interval.

    Args:
        count: How often it happened.
        of: How often it could have; at least once.

    Source: Wilson 1927.
    """
    share, square = count / of, _Z**2 / of
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return Measured(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def rates_differ(count: int, of: int, other: int, of_other: int) -> float:
    """P of the difference of two rates, two-sided: the z test with the pooled rate.

    Source: Fleiss, Levin and Paik 2003, Statistical Methods for Rates and Proportions, 3.1.
    """
    pooled = (count + other) / (of + of_other)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_other))
    return math.erfc(abs(count / of - other / of_other) / error / math.sqrt(2)) if error else 1.0


def recall_over_time(called: Sequence[bool], size: int) -> list[Measured]:
    """Recall rates of consecutive exams, `size` at a time, the last ones complete; the oldest first.

    Args:
        called: Whether each exam was at or above its operating point, in their order.
        size: Exams of one rate; what is left over at the beginning is left out.
    """
    start = len(called) % size
    return [rate(sum(called[at : at + size]), size) for at in range(start, len(called), size)]


def histogram(scores: Sequence[float]) -> list[float]:
    """Shares of scores in the twentieths of 0..1, the highest score in the last; zeros without scores."""
    # what numpy.histogram counts, in a tenth of its time: a status page asks for two of every device
    places = np.searchsorted(_EDGES, np.asarray(scores, np.float64), "right") - 1
    counts = np.bincount(np.clip(places, 0, _TWENTIETHS - 1), minlength=_TWENTIETHS)
    return [round(float(share), 6) for share in counts / max(len(scores), 1)]


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the last axis, (..., bins)."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(counts == 0, 0.5, counts) / total, np.float64)


def _scaled(counts: Counts, exams: int) -> Counts:
    """The counts that a sample of so many exams would have, where ranks of it were counted."""
    return np.asarray(np.rint(counts * (exams / counts.sum())), np.int64)
