from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from dibmg.preprocess import preprocess
from dibmg.synthesis.exam import ORIENTATIONS, SyntheticExam, synthesize_exam
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View

ROWS = 256
INDICES = range(6)


@cache
def exam(index: int, cancer: bool) -> SyntheticExam:
    return synthesize_exam(6, index, ROWS, cancer=cancer)


def test_the_same_seed_and_index_give_the_same_pixels_and_lesions() -> None:
    first, second = (synthesize_exam(5, 3, ROWS, cancer=True) for _ in range(2))

    assert first.lesions == second.lesions
    for key in STANDARD_VIEWS:
        np.testing.assert_array_equal(first.mammograms[key].pixels, second.mammograms[key].pixels)


def test_another_index_gives_another_exam() -> None:
    first, second = exam(3, False), exam(4, False)

    assert not np.array_equal(
        first.mammograms[STANDARD_VIEWS[0]].pixels[:, :150],
        second.mammograms[STANDARD_VIEWS[0]].pixels[:, :150],
    )


def test_a_cancer_is_in_both_views_of_one_breast_and_the_rest_is_the_normal_exam() -> None:
    sick, well = exam(5, True), exam(5, False)

    (side,) = [laterality for laterality, cancer in sick.cancers.items() if cancer]
    assert set(sick.lesions) == {key for key in STANDARD_VIEWS if key.laterality is side}
    assert well.lesions == {}
    for key in STANDARD_VIEWS:
        differs = sick.mammograms[key].pixels != well.mammograms[key].pixels
        assert differs.any() == (key in sick.lesions)


@pytest.mark.parametrize("index", INDICES)
def test_a_cancer_changes_pixels_around_its_stated_place_only(index: int) -> None:
    sick, well = exam(index, True), exam(index, False)

    for key, lesion in sick.lesions.items():
        change = np.abs(sick.mammograms[key].pixels.astype(int) - well.mammograms[key].pixels)
        rows, columns = np.nonzero(change > 0.01 * sick.detector.span)
        distance = np.hypot(columns + 0.5 - lesion.center[0], rows + 0.5 - lesion.center[1])
        assert distance.max() < 3.5 * lesion.radius  # spicules, and what sharpening spreads
        assert (distance < lesion.radius).mean() > 0.3


@pytest.mark.parametrize("index", INDICES)
def test_a_lesion_lies_inside_the_breast_at_about_the_same_depth_in_both_views(index: int) -> None:
    sick = exam(index, True)

    depths = {}
    for key, lesion in sick.lesions.items():
        mammogram = sick.mammograms[key]
        column, row = lesion.center
        inside = breast_mask(mammogram.pixels, inverted=mammogram.inverted)
        assert inside[int(row), int(column)]
        from_wall = mammogram.shape[1] - column if key.laterality is Laterality.RIGHT else column
        depths[key.view] = from_wall * sick.pixel_mm
    # a finding keeps its distance from the nipple; compression moves it by millimeters
    assert depths[View.CC] == pytest.approx(depths[View.MLO], abs=12.0)


@pytest.mark.parametrize("index", INDICES)
def test_a_cancer_is_as_large_and_as_bright_as_the_same_exam_without_it(index: int) -> None:
    sick, well = exam(index, True), exam(index, False)

    for key in sick.lesions:
        breasts = [
            preprocess(one.mammograms[key], key.laterality, ORIENTATIONS[key], ROWS) for one in (sick, well)
        ]
        with_it, without = breasts
        assert abs(int(with_it.breast.sum()) - int(without.breast.sum())) < 0.01 * without.breast.sum()
        means = [float(one.pixels[one.breast].mean()) for one in breasts]
        assert means[0] == pytest.approx(means[1], abs=0.06)


def test_more_visible_lesions_stand_out_further() -> None:
    faint, strong = (synthesize_exam(6, 2, ROWS, cancer=True, visibility=value) for value in (0.3, 1.0))
    well = exam(2, False)

    (key, *_) = faint.lesions
    changes = [
        np.abs(one.mammograms[key].pixels.astype(int) - well.mammograms[key].pixels).sum()
        for one in (faint, strong)
    ]
    assert 0 < 2 * changes[0] < changes[1]


@pytest.mark.parametrize("index", INDICES)
def test_the_chest_wall_is_where_the_orientation_says(index: int) -> None:
    for key, mammogram in exam(index, True).mammograms.items():
        by_header = preprocess(mammogram, key.laterality, ORIENTATIONS[key], ROWS).placement
        by_pixels = preprocess(mammogram, key.laterality, (), ROWS).placement
        assert by_header == by_pixels
        assert not by_header.flips


def test_about_half_of_the_exams_have_a_cancer_on_either_side() -> None:
    exams = [synthesize_exam(9, index, 64) for index in range(16)]

    cancers = np.array(
        [[exam.cancers[side] for side in (Laterality.RIGHT, Laterality.LEFT)] for exam in exams]
    )
    assert 4 <= cancers.any(axis=1).sum() <= 12
    assert cancers.any(axis=0).all()
    assert not cancers.all(axis=1).any()
