from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dibmg.operating_points import (
    ChosenFor,
    IsotonicCalibration,
    OperatingPoints,
    PlattCalibration,
    Threshold,
    load_operating_points,
    logit,
    version_of,
    write_operating_points,
)
from dibmg.point_fields import MeasuredRate
from dibmg.reference_scores import ReferenceScores
from dibmg.weights import load_weights
from dibmg_node.domain.device import Device
from dibmg_node.errors import WeightsError
from tests.model.factories_model import write_weights

RATE = MeasuredRate(0.8, 0.7, 0.9)
UNKNOWN = MeasuredRate(None, None, None)
PLATT = PlattCalibration(slope=1.2, intercept=-2.0, population="200 exams", prevalence=0.3, brier=0.1, n=200)
POINT = asdict(Threshold(None, 0.5, RATE, RATE, 100, 80))
MODEL = asdict(Threshold("Maker", 0.5, RATE, RATE, 100, 80, "M"))
SCORES = asdict(ReferenceScores(None, None, None, 2, (0.1, 0.2), RATE))


def points(**changes: Any) -> OperatingPoints:
    every = OperatingPoints(
        format=2,
        name="specificity-0.90",
        version="",
        weights=ChosenFor("test", "1", "a" * 64),
        preprocessing_version="3",
        chosen_on="200 exams for a specificity of 0.90",
        points=(
            Threshold(None, 0.5, RATE, RATE, 100, 80),
            Threshold("HOLOGIC, Inc.", 0.625, UNKNOWN, RATE, 60, 0),
        ),
        calibration=PLATT,
        reference=(ReferenceScores(None, None, None, 2, (0.1, 0.2), RATE),),
    )
    every = replace(every, **changes)
    return replace(every, version=version_of(every.as_json(), date(2026, 3, 1)))


def written(folder: Path, content: OperatingPoints) -> Path:
    path = folder / "operating-points.json"
    write_operating_points(content, path)
    return path


def edited(folder: Path, **changes: Any) -> Path:
    """A file whose fields were changed by hand, its version made to fit."""
    path = written(folder, points())
    content = json.loads(path.read_text()) | changes
    content["version"] = version_of(content, date(2026, 3, 1))
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "calibration",
    [
        PLATT,
        None,
        IsotonicCalibration(
            scores=(0.1, 0.9), probabilities=(0.0, 0.5), population="", prevalence=0.1, brier=0.1, n=9
        ),
    ],
)
def test_what_was_written_is_read_again(tmp_path: Path, calibration: Any) -> None:
    content = points(calibration=calibration)

    assert load_operating_points(written(tmp_path, content)) == content


def test_an_exam_takes_the_threshold_of_its_manufacturer_else_that_of_all() -> None:
    chosen = points()

    assert chosen.point_for(Device(" hologic, inc. ")).threshold == 0.625
    assert chosen.point_for(Device("SIEMENS")).threshold == 0.5
    assert chosen.point_for(Device()).threshold == 0.5


def test_an_exam_takes_the_threshold_of_its_version_else_of_its_model_else_of_its_manufacturer() -> None:
    chosen = points(
        points=(
            Threshold(None, 0.5, RATE, RATE, 100, 80),
            Threshold("HOLOGIC", 0.6, RATE, RATE, 90, 80),
            Threshold("HOLOGIC", 0.7, RATE, RATE, 80, 80, "Dimensions"),
            Threshold("HOLOGIC", 0.8, RATE, RATE, 70, 80, "Dimensions", "1.8"),
        )
    )

    found = [
        chosen.point_for(Device("HOLOGIC", model, software)).threshold
        for model, software in (("Dimensions", "1.8"), ("dimensions", "1.9"), ("Lorad", "1.8"))
    ]

    assert found == [0.8, 0.7, 0.6]


def test_a_file_of_format_1_is_still_read(tmp_path: Path) -> None:
    path = written(tmp_path, points())
    content = json.loads(path.read_text()) | {"format": 1}
    del content["reference"]
    for point in content["points"]:
        del point["model"], point["software"]
    content["version"] = version_of(content, date(2026, 3, 1))
    path.write_text(json.dumps(content))

    found = load_operating_points(path)

    assert found.point_for(Device("HOLOGIC, Inc.", "any", "1")).threshold == 0.625
    assert found.reference == ()


def test_points_of_other_weights_are_refused_by_their_sha256(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "weights"))
    path = written(tmp_path, points(preprocessing_version=weights.preprocessing_version))

    with pytest.raises(
        WeightsError, match=f"SHA-256 of the weights is {'a' * 64}, expected {weights.sha256}"
    ):
        load_operating_points(path, weights)


def test_points_chosen_with_another_preprocessing_are_refused(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "weights"))
    path = written(
        tmp_path, points(weights=ChosenFor("test", "1", weights.sha256), preprocessing_version="0")
    )

    with pytest.raises(WeightsError, match="preprocessing version is 0, expected"):
        load_operating_points(path, weights)


def test_a_number_changed_by_hand_is_found_by_the_version(tmp_path: Path) -> None:
    path = written(tmp_path, points())
    path.write_text(path.read_text().replace("0.625", "0.125"))

    with pytest.raises(WeightsError, match="the content was changed without its version"):
        load_operating_points(path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": 3}, "format: Input should be 1 or 2"),
        ({"extra": 1}, "extra: Unexpected"),
        ({"points": []}, "0 points for all devices, expected one"),
        ({"format": 1, "points": [POINT, MODEL]}, "format is 1, expected 2"),
        ({"points": [POINT, MODEL, MODEL]}, "more than one for Maker M, expected one each"),
        ({"points": [POINT, MODEL | {"manufacturer": None}]}, "M lacks its manufacturer or its model"),
        ({"points": [POINT, MODEL | {"model": None, "software": "1"}]}, "Maker, software 1 lacks its"),
        ({"reference": [SCORES | {"manufacturer": "Maker"}]}, "0 reference for all devices, expected one"),
        (
            {"reference": [SCORES | {"scores": [0.2, 0.1]}]},
            "of all devices has 2 scores of 2 exams, expected",
        ),
        ({"reference": [SCORES | {"exams": 1}]}, "of all devices has 2 scores of 1 exams, expected"),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"calibration": {"kind": "guess"}}, "calibration: Input tag 'guess'"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_field(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(WeightsError, match=complaint):
        load_operating_points(edited(tmp_path, **changes))


def test_a_falling_calibration_is_refused(tmp_path: Path) -> None:
    content = points(calibration=replace(PLATT, slope=-1.0))

    with pytest.raises(WeightsError, match="calibration slope is -1, expected above 0"):
        load_operating_points(written(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.json cannot be read: No such file"):
        load_operating_points(tmp_path / "none.json")


def test_platt_gives_the_probability_of_its_formula() -> None:
    assert PLATT.probability(0.5) == pytest.approx(0.1192029)


def test_isotonic_interpolates_between_its_points() -> None:
    table = IsotonicCalibration(
        scores=(0.2, 0.6), probabilities=(0.0, 0.5), population="", prevalence=0.1, brier=0.1, n=9
    )

    assert table.probability(0.4) == pytest.approx(0.25)


def test_logit_is_finite_at_both_ends() -> None:
    assert logit(0.0) == pytest.approx(-logit(1.0))
    assert logit(0.5) == 0.0
