"""Operating points for a target specificity, and calibrations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from dibmg.evaluation import calibration
from dibmg.evaluation.calibration import calibrate, platt, reliability
from dibmg.evaluation.choice import choose, threshold_for
from dibmg.evaluation.folds import folds
from dibmg.evaluation.units import UnitKind, UnitSet, unit_set
from dibmg.operating_points import IsotonicCalibration, PlattCalibration
from dibmg_node.domain.device import ANY_DEVICE, Device
from tests.model.evaluation.factories_evaluation import draw, units_of


def made_by(units: UnitSet, makers: list[str]) -> UnitSet:
    named = [replace(unit, manufacturer=maker) for unit, maker in zip(units.units, makers, strict=True)]
    return unit_set(UnitKind.EXAM, named)


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 0.99])
def test_the_threshold_gives_the_target_and_hardly_more(target: float) -> None:
    scores, labels = draw(50, 200, seed=1)

    threshold = threshold_for(scores, labels, target)

    assert threshold is not None
    specificity = float((scores[~labels] < threshold).mean())
    assert target <= specificity < target + 1 / 200 + 1e-9


def test_the_threshold_lies_between_the_neighboring_scores() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6])

    assert threshold_for(scores, np.array([0, 0, 0, 0, 1], bool), 0.75) == pytest.approx(0.35)
    assert threshold_for(scores, np.array([0, 0, 0, 0, 1], bool), 1.0) == pytest.approx(0.5)


def test_where_too_many_negatives_have_the_score_one_there_is_no_threshold() -> None:
    scores, labels = np.array([0.1, 1.0, 1.0, 1.0]), np.array([0, 0, 0, 1], bool)

    assert threshold_for(scores, labels, 0.9) is None
    assert choose(units_of(scores, labels), 0.9, seed=0).notes == (
        "no threshold chosen: more than 10% of the negatives have the score 1",
    )


def test_a_manufacturer_with_enough_negatives_gets_its_own_threshold_and_the_others_that_of_all() -> None:
    scores, labels = draw(60, 160, seed=2)
    makers = ["A"] * 30 + ["B"] * 30 + ["A"] * 120 + ["B"] * 40
    shifted = np.where(np.array(makers) == "A", scores, np.minimum(scores + 0.2, 1.0))

    found = choose(made_by(units_of(shifted, labels), makers), 0.9, seed=0)

    assert [str(point.device) for point in found.points] == ["", "A"]
    assert found.points[1].threshold < found.points[0].threshold
    assert found.notes == ("B: 40 negatives, fewer than 50: the threshold of all is used",)


def test_a_model_and_a_version_get_their_own_thresholds_unless_all_of_the_wider_class_are_theirs() -> None:
    scores, labels = draw(10, 240, seed=2)
    devices = [("A", "one", "1")] * 70 + [("A", "one", "2")] * 60 + [("A", "two", "1")] * 60
    devices += [("B", "three", "1")] * 60
    units = unit_set(
        UnitKind.EXAM,
        [
            replace(unit, manufacturer=maker, model=model, software=software)
            for unit, (maker, model, software) in zip(units_of(scores, labels).units, devices, strict=True)
        ],
    )

    found = choose(units, 0.9, seed=0, minimum=60)

    assert [str(point.device) for point in found.points] == [
        "",
        "A",
        "A one",
        "A one, software 1",
        "A one, software 2",
        "A two",
        "B",
    ]
    assert [len(point.device.classes) for point in found.points] == [1, 2, 3, 4, 4, 3, 2]
    decision = found.decision()
    assert decision is not None
    assert decision.threshold_for(Device("a", "ONE", "3")) == found.points[2].threshold
    own = np.array([device == ("A", "one", "2") for device in devices]) & ~labels
    assert float(decision.calls(units)[own].mean()) <= 0.1


def test_a_version_with_few_negatives_has_the_threshold_of_its_model() -> None:
    scores, labels = draw(0, 130, seed=2)
    versions = ["1"] * 70 + ["2"] * 60
    units = unit_set(
        UnitKind.EXAM,
        [
            replace(unit, manufacturer="A", model="one", software=software)
            for unit, software in zip(units_of(scores, labels).units, versions, strict=True)
        ],
    )

    found = choose(units, 0.9, seed=0, minimum=70)

    assert [str(point.device) for point in found.points] == ["", "A", "A one, software 1"]
    assert found.notes == ("A one, software 2: 60 negatives, fewer than 70: the threshold of A is used",)


def test_a_manufacturer_of_invisible_letters_gets_no_threshold_of_its_own() -> None:
    named = [
        replace(unit, manufacturer="\u200b", model="Unit 1") for unit in units_of(*draw(20, 60, seed=3)).units
    ]

    choice = choose(unit_set(UnitKind.EXAM, named), 0.9, seed=0)

    assert [point.device for point in choice.points] == [ANY_DEVICE]


def test_a_choice_calls_each_unit_by_its_own_manufacturer() -> None:
    scores, labels = draw(60, 120, seed=3)
    makers = ["A"] * 30 + ["B"] * 30 + ["A"] * 60 + ["B"] * 60
    units = made_by(units_of(scores * np.where(np.array(makers) == "A", 1.0, 0.5), labels), makers)

    decision = choose(units, 0.9, seed=0).decision()

    assert decision is not None
    called = decision.calls(units)
    for maker in ("A", "B"):
        own = (np.array(makers) == maker) & ~labels
        assert float(called[own].mean()) <= 0.1


def test_rates_of_a_choice_are_measured_on_patients_that_it_did_not_see() -> None:
    labels = np.arange(40) < 20
    # nothing to learn: what a threshold promises on its own units does not hold elsewhere
    scores = np.random.default_rng(4).random(40)

    found = choose(units_of(scores, labels), 0.9, seed=0).points[0]

    assert found.cross_validated
    assert found.performance.specificity.value == pytest.approx(0.9, abs=0.15)


def test_few_patients_have_no_folds_and_the_choice_says_so() -> None:
    units = units_of(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1], bool))

    assert not choose(units, 0.9, seed=0).points[0].cross_validated


def test_no_patient_is_in_both_parts_of_a_fold() -> None:
    scores, labels = draw(30, 60, seed=5)
    patients = [f"p{number // 2}" for number in range(90)]
    units = units_of(scores, labels, patients)

    splits = list(folds(units, seed=0))

    assert len(splits) == 5
    for train, test in splits:
        assert not {patients[place] for place in train} & {patients[place] for place in test}


def test_platt_finds_the_curve_that_made_the_labels() -> None:
    random = np.random.default_rng(6)
    scores = 1 / (1 + np.exp(-random.normal(0, 2, 20000)))
    probability = 1 / (1 + np.exp(-(1.5 * np.log(scores / (1 - scores)) - 1.0)))

    slope, intercept = platt(scores, random.random(20000) < probability)

    assert [slope, intercept] == pytest.approx([1.5, -1.0], abs=0.06)


def test_platt_is_logistic_regression_but_for_its_targets() -> None:
    scores, labels = draw(400, 600, seed=7)

    found = platt(scores, labels)

    logits = np.log(scores / (1 - scores))[:, None]
    plain = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(logits, labels)
    assert found == pytest.approx([plain.coef_[0, 0], plain.intercept_[0]], rel=0.02)


def test_platt_of_a_perfect_order_is_finite() -> None:
    slope, _ = platt(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1], bool))

    assert 0 < slope < 10


def test_the_brier_score_is_the_mean_squared_error() -> None:
    units = units_of(np.array([0.2, 0.9]), np.array([0, 1], bool))

    assert reliability(units.scores, units, seed=0).brier.value == pytest.approx((0.04 + 0.01) / 2)


def test_bins_hold_equally_many_units_in_the_order_of_their_scores() -> None:
    scores, labels = draw(30, 70, seed=8)

    bins = reliability(scores, units_of(scores, labels), seed=0).bins

    assert [one.observed.of for one in bins] == [10] * 10
    assert [one.score for one in bins] == sorted(one.score for one in bins)
    assert sum(one.observed.count or 0 for one in bins) == 30


def test_a_calibration_betters_scores_that_are_no_probabilities() -> None:
    scores, labels = draw(60, 140, seed=9)
    stretched = scores**4

    found = calibrate(units_of(stretched, labels), "200 exams", seed=0)

    assert isinstance(found.fitted, PlattCalibration)
    assert found.calibrated is not None
    assert (found.calibrated.brier.value or 1.0) < (found.raw.brier.value or 0.0)
    assert (found.fitted.n, found.fitted.prevalence, found.fitted.population) == (200, 0.3, "200 exams")
    assert found.fitted.brier == found.calibrated.brier.value


def test_isotonic_is_taken_where_many_units_do_not_follow_a_logistic_curve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "ISOTONIC_UNITS", 500)
    random = np.random.default_rng(10)
    scores = random.random(1500)
    steps: NDArray[np.float64] = np.select([scores < 0.4, scores < 0.6], [0.02, 0.5], 0.55)

    found = calibrate(units_of(scores, random.random(1500) < steps), "", seed=0)

    assert isinstance(found.fitted, IsotonicCalibration)
    assert found.fitted.probability(0.2) == pytest.approx(0.02, abs=0.03)
    assert found.fitted.probability(0.8) == pytest.approx(0.55, abs=0.08)


def test_with_few_patients_nothing_is_fitted_and_the_reason_told() -> None:
    scores, labels = draw(9, 30, seed=11)

    found = calibrate(units_of(scores, labels), "", seed=0)

    assert (found.fitted, found.calibrated) == (None, None)
    assert found.reason.startswith("9 patients with and 30 without cancer, expected at least 20 of both")


def test_scores_against_the_truth_are_not_calibrated() -> None:
    scores, labels = draw(40, 40, seed=12)

    found = calibrate(units_of(1 - scores, labels), "", seed=0)

    assert (found.fitted, found.reason) == (None, "higher scores do not go with more cancers")
