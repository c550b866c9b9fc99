from __future__ import annotations

import numpy as np
import pytest

from dibmg.data.manifest import Label
from dibmg.evaluation.froc import curve, froc, gather, sensitivity_at
from dibmg.evaluation.places import Places
from tests.model.evaluation.factories_evaluation import image


def marked(inside: float | None, outside: list[float], lesion: bool = True) -> tuple[str, Places]:
    """A patient of one image."""
    places = Places(lesion or None, None, inside, np.array(outside, np.float32))
    return f"{inside}-{outside}-{lesion}", places


def test_the_curve_is_that_of_a_published_example() -> None:
    # Project MONAI, tests/test_compute_froc.py, cases 4 and 5: false marks 0.8 and 0.6, marks 1, 1, 0.8, 0.8
    # in four lesions, two images; mean sensitivity at six rates 0.95833, at 0.25 alone 0.75. That code takes
    # the rule of the CAMELYON16 challenge. An image of ours has one lesion: two stand for one of theirs.
    images = [marked(1.0, [0.8, 0.6]), marked(1.0, []), marked(0.8, []), marked(0.8, [])]

    false_marks, sensitivity = curve(gather(images))

    per_image = false_marks * len(images) / 2
    found = sensitivity_at(per_image, sensitivity, (0.25, 0.5, 1, 2, 4, 8))
    assert found.mean() == pytest.approx(0.95833333)
    assert found[0] == pytest.approx(0.75)


def test_every_threshold_gives_the_marks_at_and_above_it() -> None:
    # by hand: lesions rated 3 and 1, one without a mark; false marks 2, 2 and 0 on four images
    images = [marked(3.0, [2.0]), marked(1.0, []), marked(None, [2.0]), marked(None, [0.0], lesion=False)]

    false_marks, sensitivity = curve(gather(images))

    np.testing.assert_allclose(false_marks, [0, 0, 0.5, 0.5, 0.75])
    np.testing.assert_allclose(sensitivity, [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_the_highest_of_several_points_at_one_rate_counts() -> None:
    found = sensitivity_at(np.array([0.0, 0.0, 0.5]), np.array([0.0, 0.4, 0.6]), (0.0, 0.25, 9.0))

    np.testing.assert_allclose(found, [0.4, 0.5, 0.6])


def test_marks_are_local_maxima_on_the_breast() -> None:
    # the hottest cell of the map is beside the breast, and 2 lies beside 3
    found = image(-5.0, {(1, 1): 3.0, (1, 2): 2.0, (6, 0): 1.0, (4, 7): 9.0}, lesion=[(6, 0), (6, 1)]).places

    assert found.best_inside == 1.0
    assert 3.0 in found.outside
    assert {2.0, 9.0}.isdisjoint(found.outside.tolist())


def test_two_marks_in_one_lesion_are_one_found_lesion_and_no_false_mark() -> None:
    found = image(-5.0, {(1, 1): 3.0, (4, 1): 2.0}, lesion=[(1, 1), (4, 1)]).places

    assert found.best_inside == 3.0
    assert {2.0, 3.0}.isdisjoint(found.outside.tolist())


def test_images_of_a_cancer_whose_place_is_not_known_do_not_count() -> None:
    images = [
        image(hot={(1, 1): 3.0}, lesion=[(1, 1)], label=Label.CANCER),
        image(hot={(1, 1): 3.0}, label=Label.CANCER),
        image(label=Label.NORMAL),
        image(label=Label.CANCER, breast_label=Label.NORMAL),
    ]

    found = froc(images, seed=0)

    assert (found.lesions, found.images) == (1, 3)


def test_without_a_known_place_there_is_no_curve_and_a_reason() -> None:
    found = froc([image()], seed=0)

    assert (found.lesions, found.reason) == (0, "no lesion whose place is known")
    assert found.at[0][1].value is None


def test_a_patient_drawn_twice_counts_twice_and_one_not_drawn_does_not() -> None:
    marks = gather([marked(3.0, [2.0]), marked(1.0, [4.0]), marked(None, [5.0], lesion=False)])

    found = curve(marks, np.array([2.0, 1.0, 0.0]))

    expected = curve(gather([marked(3.0, [2.0]), marked(3.0, [2.0]), marked(1.0, [4.0])]))
    for one, other in zip(found, expected, strict=True):
        assert set(one.tolist()) == set(other.tolist())
