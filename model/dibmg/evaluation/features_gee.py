"""Whether cancers that show as a mass are found more often than those that show as calcifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from statsmodels.genmod.cov_struct import Independence
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_estimating_equations import GEE

from dibmg.data.manifest import Feature
from dibmg.evaluation.estimate import Estimate, Test, no_test, unknown
from dibmg.evaluation.units import UnitSet

_NAME: Final = "GEE logistic regression, independence working correlation"
_LEAST_VARIANCE: Final = 1e-12
"""Of the log odds ratio: one woman in 100,000 whose features differ gives 3e-9, rounding up to 1e-16."""


@dataclass(frozen=True)
class FeatureEffect:
    """Mass against calcification.

    Attributes:
        odds_ratio: Odds that a mass is found over those that calcifications are.
        rows: Features that were compared: a cancer with both gives two.
    """

    odds_ratio: Estimate
    test: Test
    rows: int
    patients: int

    def as_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "odds_ratio_mass_over_calcification": self.odds_ratio.as_json(),
            **self.test.as_json(),
            "rows": self.rows,
            "patients": self.patients,
        }


def compare_features(units: UnitSet, called: NDArray[np.bool_]) -> FeatureEffect:
    """Logistic regression of being found on the feature, by generalized estimating equations.

    Patients are the groups, by the robust variance. The working correlation is independence: both rows of
    a cancer with mass and calcification have the same outcome, an estimated correlation runs to 1, and the
    equations have no solution.

    Args:
        units: Those without cancer, or without either feature, do not count.
        called: bool (n,).

    Source: Kim et al. 2018, Statistical Analysis; Liang and Zeger, Biometrika 73 (1986) 13.
    """
    found, mass, patients = [], [], []
    for unit, hit in zip(units.units, called, strict=True):
        for feature in (Feature.MASS, Feature.CALCIFICATION):
            if unit.cancer and feature in unit.features:
                found.append(float(hit))
                mass.append(float(feature is Feature.MASS))
                patients.append(unit.patient)
    outcome, is_mass = np.array(found), np.array(mass)
    people = len(set(patients))

    def without(reason: str) -> FeatureEffect:
        return FeatureEffect(unknown(reason), no_test(_NAME, reason), outcome.size, people)

    reason = _reason(outcome, is_mass)
    if reason:
        return without(reason)
    _, groups = np.unique(patients, return_inverse=True)
    design = np.column_stack([np.ones_like(is_mass), is_mass])
    fitted = GEE(outcome, design, groups=groups, family=Binomial(), cov_struct=Independence()).fit()
    if fitted.cov_params()[1, 1] <= _LEAST_VARIANCE:
        return without("every patient's masses are found as her calcifications are: nothing tells them apart")
    with np.errstate(over="ignore"):
        figures = np.exp([fitted.params[1], *fitted.conf_int()[1]])
    if not np.isfinite(figures).all():
        return without("the odds ratio or its interval has no finite value")
    value, low, high = map(float, figures)
    test = Test(_NAME, float(fitted.tvalues[1]), float(fitted.pvalues[1]))
    return FeatureEffect(Estimate(value, low, high), test, outcome.size, people)


def _reason(outcome: NDArray[np.float64], is_mass: NDArray[np.float64]) -> str:
    for name, value in (("mass", 1.0), ("calcification", 0.0)):
        of_feature = outcome[is_mass == value]
        if not of_feature.size:
            return f"no cancer with {name}"
        if of_feature.min() == of_feature.max():
            return f"all or none of the {of_feature.size} with {name} are found: the odds ratio has no limit"
    return ""
