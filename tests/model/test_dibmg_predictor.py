from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg.contrast_range import ContrastRange
from dibmg.operating_choice import choose_operating_point
from dibmg.operating_points import Threshold
from dibmg.predictor import DibmgPredictor, open_predictor
from dibmg.preprocess import Prepared, least_side
from dibmg.weights import load_weights
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, ExclusionCode, Laterality, ViewKey
from dibmg_node.errors import PermanentError, WeightsError
from tests.model.factories_model import SquareSeeker, breast, exam_of, instance, read_exam, write_weights
from tests.model.factories_points import RATE, write_points

RIGHT_CC, LEFT_CC, RIGHT_MLO, LEFT_MLO = STANDARD_VIEWS
PLACES = {RIGHT_CC: (420, 300), RIGHT_MLO: (400, 340)}


@pytest.fixture
def predictor(tmp_path: Path) -> DibmgPredictor:
    weights = load_weights(write_weights(tmp_path / "set"))
    return DibmgPredictor(weights, SquareSeeker(), choose_operating_point(weights, "default"))


def sick_right_breast() -> dict[ViewKey, Mammogram]:
    return {
        key: breast(key.laterality, squares={PLACES[key]: 4095} if key in PLACES else None)
        for key in STANDARD_VIEWS
    }


def test_the_breast_with_the_lesion_scores_high_and_is_marked_at_its_place(predictor: DibmgPredictor) -> None:
    mammograms = sick_right_breast()

    result = read_exam(predictor, exam_of(mammograms), mammograms)

    assert result.scores.breasts[Laterality.RIGHT] > 0.9
    assert result.scores.breasts[Laterality.LEFT] < 0.1
    assert result.scores.exam == result.scores.breasts[Laterality.RIGHT]
    assert {finding.view for finding in result.findings} == {RIGHT_CC, RIGHT_MLO}
    for finding in result.findings:
        assert finding.center == pytest.approx(PLACES[finding.view], abs=32)
        assert finding.sop_uid == instance(finding.view).sop_uid
        assert finding.score == pytest.approx(
            result.heatmaps[finding.view].on(mammograms[finding.view].shape).max(), abs=0.05
        )
    assert [finding.number for finding in result.findings] == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_computes_no_numbers_gives_no_result(predictor: DibmgPredictor, value: float) -> None:
    class Broken(SquareSeeker):
        def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
            found = super().maps(views)
            found[1, 3, 4, 1] = value
            return found

    predictor._runtime = Broken()
    mammograms = sick_right_breast()

    with pytest.raises(PermanentError, match=f"values of {list(mammograms)[1]} that are no numbers"):
        read_exam(predictor, exam_of(mammograms), mammograms)


def test_heatmaps_lie_on_the_stored_grid_and_on_any_other(predictor: DibmgPredictor) -> None:
    mammograms = {RIGHT_CC: breast(Laterality.RIGHT, 640, 480), LEFT_CC: breast(Laterality.LEFT, 700, 500)}

    result = read_exam(predictor, exam_of(mammograms), mammograms)

    for key, heat in result.heatmaps.items():
        whole, half = heat.on(mammograms[key].shape), heat.on((320, 240))
        assert (whole.shape, whole.dtype) == (mammograms[key].shape, np.float32)
        assert half.shape == (320, 240)
        np.testing.assert_allclose(half, resize(whole, (320, 240)), atol=0.2)
        assert np.abs(half - resize(whole, (320, 240))).mean() < 0.005


def test_the_heatmap_is_zero_outside_the_breast(predictor: DibmgPredictor) -> None:
    image = breast(Laterality.LEFT, 700, 500)

    heat = read_exam(predictor, exam_of({LEFT_CC: image}), {LEFT_CC: image}).heatmaps[LEFT_CC]
    heat = heat.on(image.shape)

    assert (heat[image.pixels == 0] > 0).mean() < 0.01
    assert (heat[image.pixels > 0] > 0).mean() > 0.98


def test_a_breast_below_the_operating_point_is_not_marked_although_cells_of_it_reach_it(
    tmp_path: Path,
) -> None:
    weights = load_weights(write_weights(tmp_path / "set"))
    choice = choose_operating_point(weights, "default")
    mammograms = sick_right_breast()

    predictor = DibmgPredictor(weights, SquareSeeker(hot=200.0), choice)
    result = read_exam(predictor, exam_of(mammograms), mammograms)

    assert (
        result.scores.exam
        < choice.overall.threshold
        < max(heat.on((700, 500)).max() for heat in result.heatmaps.values())
    )
    assert result.findings == ()


def test_the_same_exam_gives_the_same_result(predictor: DibmgPredictor) -> None:
    mammograms = sick_right_breast()

    first, second = (read_exam(predictor, exam_of(mammograms), mammograms) for _ in range(2))

    assert first == second
    for key in first.heatmaps:
        np.testing.assert_array_equal(first.heatmaps[key].on((700, 500)), second.heatmaps[key].on((700, 500)))


def test_an_image_stored_the_wrong_way_round_is_marked_where_it_is_stored(predictor: DibmgPredictor) -> None:
    image = breast(Laterality.RIGHT, squares={(60, 200): 4095}, wall_on_left=True)
    exam = Exam("1.2.3", {RIGHT_CC: instance(RIGHT_CC, ("A", "R"))})

    result = read_exam(predictor, exam, {RIGHT_CC: image})

    assert result.findings[0].center == pytest.approx((60, 200), abs=32)
    assert any("left to right and top to bottom" in note for note in result.notes[RIGHT_CC])


def test_notes_name_an_estimated_window_and_a_missing_orientation(predictor: DibmgPredictor) -> None:
    image = dataclasses.replace(breast(Laterality.LEFT), rule=WindowRule.WINDOW_ESTIMATED)
    exam = Exam("1.2.3", {LEFT_CC: instance(LEFT_CC, ())})

    result = read_exam(predictor, exam, {LEFT_CC: image})

    assert result.notes[LEFT_CC][0].startswith("WINDOW_ESTIMATED")
    assert "no usable Patient Orientation" in result.notes[LEFT_CC][1]


def test_ordinary_views_have_no_notes(predictor: DibmgPredictor) -> None:
    mammograms = {LEFT_CC: breast(Laterality.LEFT)}

    assert read_exam(predictor, exam_of(mammograms), mammograms).notes == {}


def test_images_are_wanted_as_large_as_an_overlay_is_or_as_the_input(predictor: DibmgPredictor) -> None:
    assert predictor.least_side == least_side(512) == 2000
    assert least_side(3328) == 3328


def test_views_unlike_those_of_training_are_named_with_what_they_lack(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "set"))
    mammograms = {LEFT_CC: breast(Laterality.LEFT), RIGHT_CC: textured(breast(Laterality.RIGHT))}
    found = {
        usual: read_exam(
            DibmgPredictor(
                dataclasses.replace(weights, local_contrast=usual),
                SquareSeeker(),
                choose_operating_point(weights, "default"),
            ),
            exam_of(mammograms),
            mammograms,
        )
        for usual in (None, ContrastRange(0.05, 0.5), ContrastRange(0.0, 0.01))
    }

    none, strong, weak = found.values()
    assert (none.unlike_training, none.notes) == ((), {})
    assert strong.unlike_training == (LEFT_CC,)
    assert strong.notes[LEFT_CC][0].startswith("unlike the images of training: local contrast 0.0")
    assert "there 0.050 to 0.500" in strong.notes[LEFT_CC][0]
    assert weak.unlike_training == (RIGHT_CC,)
    assert none.scores == strong.scores == weak.scores


def textured(mammogram: Mammogram) -> Mammogram:
    """The same with waves of 20 pixels."""
    rows, columns = np.indices(mammogram.shape)
    waves = 1 + 0.3 * np.sin(rows * np.pi / 10) * np.sin(columns * np.pi / 10)
    return mammogram.on((mammogram.pixels * waves).astype(np.uint16))


def test_an_image_without_a_breast_is_excluded_and_named(predictor: DibmgPredictor) -> None:
    blank = Mammogram(np.zeros((640, 480), np.uint16), 0.0, 4095.0, False, WindowRule.WINDOW)

    found = predictor.prepare(instance(LEFT_MLO), blank)

    assert isinstance(found, Exclusion)
    assert found.sentence == "L-MLO: no breast found in an image of 640 rows x 480 columns"
    assert (found.code, found.sop_uid) == (ExclusionCode.NO_BREAST, instance(LEFT_MLO).sop_uid)
    assert found.laterality is Laterality.LEFT


def test_images_of_other_views_are_a_mistake_of_the_caller(predictor: DibmgPredictor) -> None:
    view = predictor.prepare(instance(LEFT_CC), breast(Laterality.LEFT))
    assert isinstance(view, Prepared)

    with pytest.raises(ValueError, match="images of L-CC, expected one of each view of the exam: R-CC"):
        predictor.predict(Exam("1.2.3", {RIGHT_CC: instance(RIGHT_CC)}), {LEFT_CC: view})


def test_the_result_says_which_model_made_it(predictor: DibmgPredictor) -> None:
    mammograms = {LEFT_CC: breast(Laterality.LEFT)}

    result = read_exam(predictor, exam_of(mammograms), mammograms)

    assert (result.model.name, result.model.runtime, result.model.precision) == ("test", "openvino", "f32")
    assert result.operating_point.name == "default"
    assert set(result.seconds) == {"network", "localize"}


def test_an_exam_is_marked_and_reported_at_the_point_of_its_manufacturer(tmp_path: Path) -> None:
    weights = load_weights(write_weights(tmp_path / "set"))
    mammograms = sick_right_breast()
    exam = exam_of(mammograms)
    made = {key: dataclasses.replace(one, manufacturer="Maker") for key, one in exam.views.items()}
    usual = DibmgPredictor(weights, SquareSeeker(), choose_operating_point(weights, "default"))
    score = read_exam(usual, exam, mammograms).scores.exam
    strict = (1.0 + score) / 2
    points = (Threshold(None, 0.5, RATE, RATE, 9, 9), Threshold("Maker", strict, RATE, RATE, 9, 9))
    path = write_points(tmp_path, weights, points=points)
    predictor = DibmgPredictor(weights, SquareSeeker(), choose_operating_point(weights, str(path)))

    marked = read_exam(predictor, exam, mammograms)
    unmarked = read_exam(predictor, Exam("1.2.3", made), mammograms)

    assert (str(marked.operating_point.device), str(unmarked.operating_point.device)) == ("", "Maker")
    assert len(marked.findings) == 2
    assert unmarked.findings == ()
    assert unmarked.scores == marked.scores


def test_an_unknown_operating_point_is_refused_before_the_network_is_loaded(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "set")

    with pytest.raises(WeightsError, match="'other'"):
        open_predictor(str(folder), operating_point="other")


def test_the_predictor_can_be_opened_in_another_process() -> None:
    assert pickle.loads(pickle.dumps(open_predictor)) is open_predictor


def test_a_node_that_serves_on_a_cpu_never_imports_tensorflow() -> None:
    code = (
        "import sys, dibmg.predictor, dibmg.runtime\n"
        "dibmg.predictor.open_predictor('default', 'openvino')\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(str(loaded & {'tensorflow', 'keras'}) if loaded & {'tensorflow', 'keras'} else 0)"
    )

    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/usr/bin:/bin"},
    )

    assert finished.returncode == 0, finished.stderr
