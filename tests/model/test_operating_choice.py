from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dibmg.operating_choice import choose_operating_point
from dibmg.operating_points import ChosenFor, Threshold
from dibmg.point_names import names_a_file
from dibmg.weights import Weights, load_weights
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.errors import WeightsError
from tests.model.factories_model import instance, write_weights
from tests.model.factories_points import PLATT, RATE, points_for, write_points


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return load_weights(write_weights(tmp_path / "set"))


def exam_by(*manufacturers: str) -> Exam:
    """An exam of as many views, each from one of these."""
    pairs = zip(STANDARD_VIEWS, manufacturers, strict=False)
    return Exam("1.2.3", {key: replace(instance(key), manufacturer=maker) for key, maker in pairs})


@pytest.mark.parametrize(
    ("text", "is_file"),
    [("default", False), ("points.json", True), ("./points", True), ("/etc/points", True), ("json", False)],
)
def test_a_slash_or_the_ending_json_makes_a_name_a_file(text: str, is_file: bool) -> None:
    assert names_a_file(text) is is_file


def test_a_point_of_the_manifest_is_for_images_of_all_manufacturers(weights: Weights) -> None:
    choice = choose_operating_point(weights, "default")

    assert choice.for_exam(exam_by("Maker")) == weights.operating_point("default")


@pytest.mark.parametrize(
    ("manufacturers", "threshold"),
    [
        (("Maker", "Maker"), 0.625),
        ((" MAKER ", "maker"), 0.625),
        (("Another", "Another"), 0.5),
        (("Maker", "Another"), 0.5),
        (("Maker", ""), 0.5),
        (("",), 0.5),
    ],
)
def test_an_exam_is_read_at_the_point_of_its_one_manufacturer_else_at_the_one_for_all(
    tmp_path: Path, weights: Weights, manufacturers: tuple[str, ...], threshold: float
) -> None:
    choice = choose_operating_point(weights, str(write_points(tmp_path, weights)))

    point = choice.for_exam(exam_by(*manufacturers))

    assert point.threshold == threshold
    assert point.label == ("specificity-0.90 for Maker" if threshold == 0.625 else "specificity-0.90")


def test_the_point_of_a_version_says_whose_images_it_is_for(tmp_path: Path, weights: Weights) -> None:
    own = Threshold("Maker", 0.75, RATE, RATE, 60, 50, "Unit 1", "2.0")
    path = write_points(tmp_path, weights, points=(*points_for(weights).points, own))
    choice = choose_operating_point(weights, str(path))
    exam = exam_by("Maker", "Maker")
    same = {
        key: replace(one, manufacturer_model="Unit 1", software_versions="2.0")
        for key, one in exam.views.items()
    }
    mixed = dict(same) | {STANDARD_VIEWS[0]: replace(same[STANDARD_VIEWS[0]], software_versions="2.1")}

    found = [choice.for_exam(replace(exam, views=views)) for views in (same, mixed)]

    assert [(one.threshold, one.label) for one in found] == [
        (0.75, "specificity-0.90 for Maker Unit 1, software 2.0"),
        (0.625, "specificity-0.90 for Maker"),
    ]


def test_a_point_of_a_file_carries_its_version_its_rates_and_its_calibration(
    tmp_path: Path, weights: Weights
) -> None:
    point = choose_operating_point(weights, str(write_points(tmp_path, weights))).overall

    assert point.version == points_for(weights).version
    assert (point.sensitivity, point.specificity) == (0.8, 0.8)
    assert point.chosen_on == "200 exams for a specificity of 0.90"
    assert point.calibration == PLATT


def test_a_file_for_other_weights_is_refused(tmp_path: Path, weights: Weights) -> None:
    path = write_points(tmp_path, weights, weights=ChosenFor("test", "1", "a" * 64))

    with pytest.raises(WeightsError, match=f"is {'a' * 64}, expected {weights.sha256}"):
        choose_operating_point(weights, str(path))


def test_a_name_that_the_manifest_lacks_is_refused(weights: Weights) -> None:
    with pytest.raises(WeightsError, match="'sensitive', expected one of: default"):
        choose_operating_point(weights, "sensitive")
