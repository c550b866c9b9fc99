"""Tables 3 to 5, and the regression on features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from dibmg.data.manifest import CancerType, Density, Feature
from dibmg.evaluation.features_gee import compare_features
from dibmg.evaluation.performance import Decision, perform
from dibmg.evaluation.tables import Table, tables
from dibmg.evaluation.units import Unit, UnitKind, UnitSet, unit_set
from tests.model.evaluation.factories_evaluation import unit

HALF = Decision("0.5", 0.5)
MASS, CALCIFICATION = frozenset({Feature.MASS}), frozenset({Feature.CALCIFICATION})


def some(count: int, called: int, cancer: bool, start: int = 0, **changes: Any) -> list[Unit]:
    """Units of one patient each, the first `called` of them above 0.5."""
    return [
        unit(0.9 if number < called else 0.1, cancer, f"{start + number}-{cancer}", **changes)
        for number in range(count)
    ]


def exams(*groups: list[Unit]) -> UnitSet:
    return unit_set(UnitKind.EXAM, [one for group in groups for one in group])


def table(units: UnitSet, name: str) -> Table:
    return next(one for one in tables(units, [HALF]) if one.factor.name == name)


def test_the_table_of_ages_parts_at_fifty() -> None:
    units = exams(
        some(10, 8, True, age=49),
        some(20, 4, False, age=49),
        some(10, 5, True, start=50, age=50),
        some(20, 10, False, start=50, age=50),
        some(3, 0, False, start=90),
    )

    found = table(units, "age")

    young, old = found.rows
    assert (young.name, young.n, young.positives) == ("below 50", 30, 10)
    assert young.rates["0.5"]["sensitivity"].value == 0.8
    assert old.rates["0.5"]["specificity"].value == 0.5
    assert old.rates["0.5"]["accuracy"].value == 0.5
    # by hand: 40 * (16 * 10 - 4 * 10)^2 / (20 * 20 * 26 * 14)
    assert found.tests["0.5"]["specificity"].statistic == pytest.approx(40 * 120**2 / (400 * 26 * 14))
    assert found.not_known == 3


def test_a_table_has_rows_for_what_there_is() -> None:
    units = exams(some(4, 2, True, density=Density.C), some(4, 2, False, density=Density.A))

    assert [row.name for row in table(units, "density").rows] == ["A", "C"]
    assert [one.factor.name for one in tables(units, [HALF])] == ["density"]


def test_manufacturers_come_by_their_number_of_units() -> None:
    units = exams(some(2, 1, True, manufacturer="A"), some(5, 1, False, manufacturer="B"))

    assert [row.name for row in table(units, "manufacturer").rows] == ["B", "A"]


def test_kinds_of_cancer_have_sensitivity_alone_and_normals_do_not_count() -> None:
    units = exams(
        some(10, 9, True, cancer_type=CancerType.INVASIVE),
        some(10, 5, True, start=10, cancer_type=CancerType.NONINVASIVE),
        some(10, 0, False),
    )

    found = table(units, "cancer_type")

    assert [(row.name, row.n) for row in found.rows] == [("invasive", 10), ("noninvasive", 10)]
    assert list(found.tests["0.5"]) == ["sensitivity"]
    assert found.rows[0].area.value == pytest.approx(0.95)


def test_sizes_part_at_twenty_millimeters() -> None:
    units = exams(
        some(3, 1, True, size_mm=19.9), some(2, 2, True, start=3, size_mm=20.0), some(1, 0, True, 9)
    )

    found = table(units, "size")

    assert [(row.name, row.n) for row in found.rows] == [("below 20 mm", 3), ("20 mm and above", 2)]
    assert found.not_known == 1


def test_a_cancer_with_mass_and_calcification_is_in_both_rows_and_no_chi_square_is_made() -> None:
    units = exams(some(5, 3, True, features=MASS | CALCIFICATION), some(5, 3, True, start=5, features=MASS))

    found = table(units, "feature")

    assert [(row.name, row.n) for row in found.rows] == [("mass", 10), ("calcification", 5)]
    assert found.tests == {}
    assert found.effects["0.5"].rows == 15


def test_with_one_feature_a_patient_the_regression_is_woolfs() -> None:
    units = exams(some(40, 30, True, features=MASS), some(30, 15, True, start=40, features=CALCIFICATION))

    found = compare_features(units, HALF.calls(units))

    # odds ratio 30 / 10 : 15 / 15, its logarithm with variance 1/30 + 1/10 + 1/15 + 1/15
    error = norm.ppf(0.975) * (1 / 30 + 1 / 10 + 1 / 15 + 1 / 15) ** 0.5
    expected = [3.0, 3.0 * np.exp(-error), 3.0 * np.exp(error)]
    assert [found.odds_ratio.value, found.odds_ratio.low, found.odds_ratio.high] == pytest.approx(expected)
    assert found.test.p == pytest.approx(2 * norm.sf(np.log(3.0) / error * norm.ppf(0.975)))


def test_features_of_one_cancer_are_no_independent_rows() -> None:
    both = exams(
        some(20, 14, True, features=MASS | CALCIFICATION),
        some(20, 16, True, start=20, features=MASS),
        some(20, 8, True, start=40, features=CALCIFICATION),
    )

    found = compare_features(both, HALF.calls(both))

    alone = 1 / 30 + 1 / 10 + 1 / 22 + 1 / 18
    assert (found.rows, found.patients) == (80, 60)
    assert found.odds_ratio.value is not None
    assert found.odds_ratio.low is not None
    width = np.log(found.odds_ratio.value / found.odds_ratio.low) / norm.ppf(0.975)
    assert width < alone**0.5


def test_one_cancer_with_both_features_among_others_leaves_figures_and_their_method() -> None:
    units = exams(
        some(8, 0, True, features=MASS),
        some(2, 2, True, start=10, features=MASS),
        some(5, 5, True, start=20, features=MASS | CALCIFICATION),
        some(5, 3, True, start=30, features=CALCIFICATION),
    )

    found = compare_features(units, HALF.calls(units))

    # 7 of 15 masses and 8 of 10 calcifications; robust variance, each woman's part of it squared
    ratio = np.log((7 / 8) / (8 / 2))
    error = (8 / 8**2 + 2 / 7**2 + 5 * (1 / 7 - 1 / 8) ** 2 + 3 / 8**2 + 2 / 2**2) ** 0.5
    ends = np.exp([ratio, ratio - norm.ppf(0.975) * error, ratio + norm.ppf(0.975) * error])
    odds = found.odds_ratio
    assert [odds.value, odds.low, odds.high] == pytest.approx(list(ends))
    assert found.test.p == pytest.approx(2 * norm.sf(-ratio / error))
    assert found.test.name == "GEE logistic regression, independence working correlation"


@pytest.mark.parametrize(("count", "called"), [(10, 6), (5, 3), (173, 131)])
def test_features_that_are_always_found_together_have_no_odds_ratio(count: int, called: int) -> None:
    units = exams(some(count, called, True, features=MASS | CALCIFICATION))

    found = compare_features(units, HALF.calls(units))

    assert found.odds_ratio.value is None
    assert found.test.p is None
    assert found.test.reason.startswith("every patient's masses are found as her calcifications are")


@pytest.mark.parametrize(
    ("features", "called", "reason"),
    [(MASS, 2, "no cancer with calcification"), (MASS | CALCIFICATION, 5, "all or none of the 5 with mass")],
)
def test_where_no_odds_ratio_can_be_had_the_reason_is_told(
    features: frozenset[Feature], called: int, reason: str
) -> None:
    units = exams(some(5, called, True, features=features))

    found = compare_features(units, HALF.calls(units))

    assert found.odds_ratio.value is None
    assert found.odds_ratio.reason.startswith(reason)


def test_predictive_values_are_shares_of_what_was_called() -> None:
    units = exams(some(10, 8, True), some(20, 4, False))

    found = perform(HALF.calls(units), units.labels)

    assert found.positive_predictive_value.value == pytest.approx(8 / 12)
    assert found.negative_predictive_value.value == pytest.approx(16 / 18)
