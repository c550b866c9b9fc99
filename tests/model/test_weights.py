from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dibmg.architecture import PRESETS, Context
from dibmg.scores import ExamPooling
from dibmg.weights import FILES, MANIFEST, RELEASED, list_weights, load_weights, resolve
from dibmg_node.errors import WeightsError
from tests.model.factories_model import write_weights

POINT = {
    "name": "default",
    "threshold": 0.5,
    "sensitivity": None,
    "specificity": None,
    "version": "1",
    "chosen_on": "nothing",
    "calibration": None,
}

CONTEXT = Context("coarse", PRESETS["coarse"], 2, 0.25, 0.75, 0.35).as_json()


def test_a_set_that_matches_its_manifest_is_loaded(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "set"))

    assert weights.name == "test"
    assert weights.exam_pooling is ExamPooling.MAXIMUM
    assert weights.architecture.stride == 16
    assert weights.operating_point("default").threshold == 0.5


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_is_refused_with_both_digests(tmp_path: Path, name: str) -> None:
    folder = write_weights(tmp_path / "set")
    (folder / name).write_bytes(b"abd")

    with pytest.raises(WeightsError, match=rf"SHA-256 of {name} is a52d.*, expected ba78"):
        load_weights(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_weights(tmp_path / "set")
    (folder / name).unlink()

    with pytest.raises(WeightsError, match=name):
        load_weights(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"trained": False}, "untrained"),
        ({"trained": "yes"}, "untrained"),
        ({"preprocessing_version": "0"}, "preprocessing version is 0, expected"),
        ({"padding": 0.0}, "padding is 0.0, expected -1.0"),
        ({"map_stride": 64}, "map stride is 64, expected"),
        ({"operating_points": []}, "no operating point 'default'"),
        (
            {"operating_points": [POINT | {"calibration": {"kind": "platt"}}]},
            "only a file of operating points",
        ),
        ({"exam_pooling": "median"}, "median"),
        ({"files": {"weights.keras": "00"}}, "no SHA-256 for weights.xml"),
        (
            {"operating_points": [POINT, POINT | {"threshold": 0.1}]},
            "more than one operating point 'default'",
        ),
        ({"input_size": "wide"}, "input_size is 'wide', expected a whole number from 1"),
        ({"input_size": 512.5}, "input_size is 512.5, expected a whole number"),
        ({"members": 0}, "members is 0, expected a whole number from 1"),
        ({"name": None}, "name is None, expected a text"),
        ({"context": CONTEXT | {"own": float("nan")}}, "own is nan, expected a number"),
        ({"context": CONTEXT | {"members": True}}, "members is True, expected a whole number"),
        ({"local_contrast": [0.4, 0.1]}, "two rising numbers"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    folder = write_weights(tmp_path / "set", **changes)

    with pytest.raises(WeightsError, match=complaint):
        load_weights(folder)


@pytest.mark.parametrize("field", ["threshold", "sensitivity", "specificity"])
@pytest.mark.parametrize("value", [float("nan"), 7, 89, -1, "0.3", True])
def test_what_is_no_number_from_0_to_1_is_refused_as_a_threshold_or_rate(
    tmp_path: Path, field: str, value: object
) -> None:
    folder = write_weights(tmp_path / "set", operating_points=[POINT | {field: value}])

    with pytest.raises(WeightsError, match=re.escape(f"{field} is {value!r}, expected a number 0..1")):
        load_weights(folder)


def test_every_field_of_the_manifest_is_needed(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "set")
    whole = json.loads((folder / MANIFEST).read_text())

    for name in whole:
        (folder / MANIFEST).write_text(
            json.dumps({key: value for key, value in whole.items() if key != name})
        )
        with pytest.raises(WeightsError, match=f"lacks the field '{name}'"):
            load_weights(folder)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_weights(tmp_path / "set")
    (folder / MANIFEST).write_text(text)

    with pytest.raises(WeightsError, match=MANIFEST):
        load_weights(folder)


def test_an_unknown_operating_point_is_refused_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "set"))

    with pytest.raises(WeightsError, match="'sensitive', expected one of: default"):
        weights.operating_point("sensitive")


def test_an_unknown_name_is_refused_and_the_released_sets_are_listed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="synthetic"):
        load_weights(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["default", "synthetic"])
def test_both_sets_are_released_and_sound(name: str) -> None:
    assert resolve(name).parent == RELEASED
    assert load_weights(name).name == name
    assert name in list_weights()


@pytest.mark.parametrize("name", list_weights())
def test_each_released_set_is_whole_small_and_says_what_it_is_not_for(name: str) -> None:
    weights = load_weights(name)

    card = (weights.folder / "MODEL_CARD.md").read_text().splitlines()
    point = weights.operating_point("default")
    assert weights.name == name
    assert all(path.stat().st_size < 10 * 2**20 for path in weights.folder.iterdir())
    assert card[0].startswith("**Not for")
    assert point.sensitivity is not None
    assert point.specificity is not None
    assert weights.trained_on
    assert weights.license
    assert weights.how
