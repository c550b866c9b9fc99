"""Calibration: how far scores are probabilities, and the curve that makes probabilities of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dibmg.evaluation.estimate import CONFIDENCE, Estimate
from dibmg.evaluation.folds import folds
from dibmg.evaluation.rates import rate
from dibmg.evaluation.units import UnitSet
from dibmg.operating_points import FittedCalibration, IsotonicCalibration, PlattCalibration, logit

MINIMUM_PATIENTS: Final = 20
"""With fewer of either label nothing is fitted: ten for each of two parameters (Peduzzi et al. 1996)."""
ISOTONIC_UNITS: Final = 1000
"""From here an isotonic fit is tried too. Source: Niculescu-Mizil and Caruana, ICML 2005."""
ISOTONIC_POSITIVES: Final = 100

_BINS: Final = 10
_SAMPLES: Final = 500


@dataclass(frozen=True)
class Bin:
    """Units of neighboring scores: their mean score, and the share of them that is cancer."""

    score: float
    observed: Estimate


@dataclass(frozen=True)
class Reliability:
    """How far values are probabilities.

    Attributes:
        brier: Mean squared error, with its bootstrap interval by patient.
    """

    brier: Estimate
    bins: tuple[Bin, ...]

    def as_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "brier": self.brier.as_json(),
            "reliability": [{"mean": one.score, "observed": one.observed.as_json()} for one in self.bins],
        }


@dataclass(frozen=True)
class CalibrationReport:
    """The scores as they are, and calibrated.

    Attributes:
        fitted: On all units; None: `reason` says why.
        calibrated: Of units whose patients the fit had not seen.
    """

    raw: Reliability
    fitted: FittedCalibration | None
    calibrated: Reliability | None
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        """All fields; `fitted` as in the file of operating points."""
        return {
            "raw": self.raw.as_json(),
            "calibrated": None if self.calibrated is None else self.calibrated.as_json(),
            "fitted": None if self.fitted is None else dict(vars(self.fitted)),
            **({"reason": self.reason} if self.reason else {}),
        }


def calibrate(units: UnitSet, population: str, seed: int) -> CalibrationReport:
    """Fit a calibration and measure it, cross-validated by patient.

    Platt's, on the logit of the score; with many units isotonic regression instead where it has the lower
    Brier score on patients that it had not seen.

    Args:
        units: Of the evaluation.
        population: They in words, for the fit.
        seed: Of folds and bootstrap.
    """
    raw = reliability(units.scores, units, seed)
    reason = _reason(units)
    if reason:
        return CalibrationReport(raw, None, None, reason)
    kinds = [False]
    if len(units.units) >= ISOTONIC_UNITS and units.positives >= ISOTONIC_POSITIVES:
        kinds.append(True)
    splits = list(folds(units, seed))
    tried = []
    for isotonic in kinds:
        unseen = np.zeros_like(units.scores)
        for train, test in splits:
            fit = _fit(units.scores[train], units.labels[train], isotonic, population, 0.0)
            unseen[test] = [fit.probability(float(score)) for score in units.scores[test]]
        tried.append((reliability(unseen, units, seed), isotonic))
    calibrated, isotonic = min(tried, key=lambda pair: pair[0].brier.value or 0.0)
    fitted = _fit(units.scores, units.labels, isotonic, population, calibrated.brier.value or 0.0)
    if isinstance(fitted, PlattCalibration) and fitted.slope <= 0.0:
        return CalibrationReport(raw, None, None, "higher scores do not go with more cancers")
    return CalibrationReport(raw, fitted, calibrated)


def platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of Platt's fit on the logit of the score.

    The targets are his, a little inside 0 and 1, so that a perfect order has a finite fit.

    Source: Platt 1999, Probabilistic outputs for support vector machines, section 2.2.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x = np.array([logit(float(score)) for score in scores])
    # a target between 0 and 1 is one unit of each label, weighted
    both = np.concatenate([np.ones_like(target), np.zeros_like(target)])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(np.concatenate([x, x])[:, None], both, sample_weight=np.concatenate([target, 1.0 - target]))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def reliability(values: NDArray[np.float64], units: UnitSet, seed: int) -> Reliability:
    """Brier score and up to ten bins of equally many units.

    Args:
        values: float64 (n,), 0..1, taken for probabilities.
        units: With the labels.
        seed: Of the bootstrap.
    """
    errors = (values - units.labels) ** 2
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, max(1, min(_BINS, order.size // 5)))
    bins = tuple(
        Bin(float(values[part].mean()), rate(int(units.labels[part].sum()), part.size, "units"))
        for part in parts
    )
    return Reliability(_mean_by_patient(errors, units.patients, seed), bins)


def _fit(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], isotonic: bool, population: str, brier: float
) -> FittedCalibration:
    prevalence, n = float(labels.mean()), int(labels.size)
    if not isotonic:
        slope, intercept = platt(scores, labels)
        return PlattCalibration(
            slope=slope, intercept=intercept, population=population, prevalence=prevalence, brier=brier, n=n
        )
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, labels.astype(float))
    return IsotonicCalibration(
        scores=tuple(map(float, model.X_thresholds_)),
        probabilities=tuple(map(float, model.y_thresholds_)),
        population=population,
        prevalence=prevalence,
        brier=brier,
        n=n,
    )


def _mean_by_patient(errors: NDArray[np.float64], patients: tuple[str, ...], seed: int) -> Estimate:
    random = np.random.default_rng(seed)
    _, clusters = np.unique(patients, return_inverse=True)
    sums = np.bincount(clusters, weights=errors)
    counts = np.bincount(clusters)
    if sums.size < 2:
        return Estimate(float(errors.mean()), None, None, "one patient: no interval")
    drawn = random.integers(0, sums.size, (_SAMPLES, sums.size))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0])
    return Estimate(float(errors.mean()), float(low), float(high))


def _reason(units: UnitSet) -> str:
    patients = np.array(units.patients)
    sick, well = np.unique(patients[units.labels]).size, np.unique(patients[~units.labels]).size
    if min(sick, well) < MINIMUM_PATIENTS:
        return (
            f"{sick} patients with and {well} without cancer, expected at least {MINIMUM_PATIENTS} of both "
            "to fit a calibration"
        )
    return ""
