from __future__ import annotations

import numpy as np
import pytest

from dibmg.architecture import AIR, ViewPooling
from dibmg.scores import ExamPooling, cancer_probability, pool_view, score_exam
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View, ViewKey

RIGHT_CC, LEFT_CC, RIGHT_MLO, LEFT_MLO = STANDARD_VIEWS


def z(difference: float) -> np.ndarray:
    return np.array([1.0, 1.0 + difference], np.float32)


def logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_a_view_is_the_spatial_mean_of_its_map() -> None:
    raw = np.arange(32, dtype=np.float32).reshape(4, 4, 2)

    np.testing.assert_allclose(pool_view(raw, np.zeros((64, 64), np.float32)), [15.0, 16.0])


def test_a_breast_is_the_softmax_of_the_mean_of_its_views_and_the_exam_its_higher_breast() -> None:
    views = {RIGHT_CC: z(1.0), LEFT_CC: z(-3.0), RIGHT_MLO: z(2.0), LEFT_MLO: z(-1.0)}

    scores = score_exam(views, ExamPooling.MAXIMUM)

    assert scores.breasts[Laterality.RIGHT] == pytest.approx(logistic(1.5))
    assert scores.breasts[Laterality.LEFT] == pytest.approx(logistic(-2.0))
    assert scores.exam == scores.breasts[Laterality.RIGHT]
    assert scores.views[LEFT_CC] == pytest.approx(logistic(-3.0))


def test_mean_pooling_is_the_softmax_of_the_mean_of_all_views() -> None:
    views = {RIGHT_CC: z(1.0), LEFT_CC: z(-3.0), RIGHT_MLO: z(2.0), LEFT_MLO: z(-1.0)}

    assert score_exam(views, ExamPooling.MEAN).exam == pytest.approx(logistic(-0.25))


def test_one_view_is_enough() -> None:
    scores = score_exam({ViewKey(Laterality.LEFT, View.MLO): z(0.4)}, ExamPooling.MAXIMUM)

    assert scores.exam == pytest.approx(logistic(0.4))
    assert list(scores.breasts) == [Laterality.LEFT]


def test_probabilities_of_extreme_values_are_finite() -> None:
    extreme = np.array([[0.0, 1e30], [1e30, 0.0]], np.float32)

    np.testing.assert_allclose(cancer_probability(extreme), [1.0, 0.0], atol=1e-20)


def test_a_view_pooled_over_the_breast_leaves_air_out() -> None:
    raw = np.zeros((2, 2, 2), np.float32)
    raw[..., 1] = [[1.0, 2.0], [3.0, 100.0]]
    pixels = np.full((8, 8), AIR, np.float32)
    pixels[:4] = 0.0  # both upper cells
    pixels[4:, :2] = 0.5  # half of the lower left one

    z = pool_view(raw, pixels, ViewPooling.BREAST)

    assert z[1] == pytest.approx((1.0 + 2.0 + 0.5 * 3.0) / 2.5)


def test_a_view_without_breast_pools_to_nothing() -> None:
    raw = np.ones((2, 2, 2), np.float32)

    z = pool_view(raw, np.full((8, 8), AIR, np.float32), ViewPooling.BREAST)

    assert z.tolist() == [0.0, 0.0]


def test_a_peak_is_decided_by_few_sure_cells_and_by_no_air() -> None:
    pixels = np.full((64, 64), AIR, np.float32)
    pixels[:, :32] = 0.0
    raw = np.zeros((8, 8, 2), np.float32)
    raw[:, :4, 1] = -5.0
    raw[:, 4:, 1] = 50.0  # air

    quiet = pool_view(raw, pixels, ViewPooling.PEAK)
    raw[3, 2, 1] = 9.0
    loud = pool_view(raw, pixels, ViewPooling.PEAK)

    assert quiet[1] - quiet[0] == pytest.approx(-5.0, abs=1e-4)
    assert loud[1] - loud[0] == pytest.approx(9.0 - np.log(32), abs=1e-3)
    assert pool_view(raw, pixels, ViewPooling.BREAST)[1] < 0
