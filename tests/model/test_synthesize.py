from __future__ import annotations

import numpy as np
import pytest

from dibmg.preprocess import preprocess
from dibmg.synthesize import ORIENTATIONS, synthesize_exam
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality

ROWS = 256


def test_the_same_seed_and_index_give_the_same_pixels_and_lesions() -> None:
    first, second = (synthesize_exam(5, 3, ROWS, cancer=True) for _ in range(2))

    assert first.lesions == second.lesions
    for key in STANDARD_VIEWS:
        np.testing.assert_array_equal(first.mammograms[key].pixels, second.mammograms[key].pixels)


def test_another_index_gives_another_exam() -> None:
    first, second = synthesize_exam(5, 3, ROWS), synthesize_exam(5, 4, ROWS)

    assert not np.array_equal(
        first.mammograms[STANDARD_VIEWS[0]].pixels[:, :150],
        second.mammograms[STANDARD_VIEWS[0]].pixels[:, :150],
    )


def test_a_cancer_is_in_both_views_of_one_breast_and_the_rest_is_the_normal_exam() -> None:
    sick, well = synthesize_exam(5, 8, ROWS, cancer=True), synthesize_exam(5, 8, ROWS, cancer=False)

    (side,) = [laterality for laterality, cancer in sick.cancers.items() if cancer]
    assert set(sick.lesions) == {key for key in STANDARD_VIEWS if key.laterality is side}
    assert well.lesions == {}
    for key in STANDARD_VIEWS:
        differs = sick.mammograms[key].pixels != well.mammograms[key].pixels
        assert differs.any() == (key in sick.lesions)


@pytest.mark.parametrize("index", range(6))
def test_lesions_lie_inside_the_breast_and_the_chest_wall_where_the_orientation_says(index: int) -> None:
    exam = synthesize_exam(6, index, ROWS, cancer=True)

    for key, lesion in exam.lesions.items():
        mammogram = exam.mammograms[key]
        inside = breast_mask(mammogram.pixels, inverted=mammogram.inverted)
        assert inside[int(lesion.center[1]), int(lesion.center[0])]
    for key, mammogram in exam.mammograms.items():
        by_header = preprocess(mammogram, key.laterality, ORIENTATIONS[key], ROWS).placement
        by_pixels = preprocess(mammogram, key.laterality, (), ROWS).placement
        assert by_header == by_pixels
        assert not by_header.flips


def test_about_half_of_the_exams_have_a_cancer_on_either_side() -> None:
    exams = [synthesize_exam(9, index, 64) for index in range(40)]

    cancers = np.array(
        [[exam.cancers[side] for side in (Laterality.RIGHT, Laterality.LEFT)] for exam in exams]
    )
    assert 10 <= cancers.any(axis=1).sum() <= 30
    assert cancers.any(axis=0).all()
    assert not cancers.all(axis=1).any()
