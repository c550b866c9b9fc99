"""Images unlike those of training, told by how strongly their tissue is drawn."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg.contrast_range import ContrastRange
from dibmg.local_contrast import local_contrast, usual_contrast
from dibmg.preprocess import preprocess
from dibmg.synthesis.exam import synthesize_exam
from dibmg.weights import load_weights


def tissue(size: int, texture: float, brightness: float = 0.5) -> NDArray[np.float32]:
    """A half ellipse of one brightness (0 to 1) with waves of a fortieth of the side; air around it."""
    v, u = np.mgrid[0:size, 0:size] / size
    waves = np.sin(2 * np.pi * 40 * u) * np.sin(2 * np.pi * 40 * v)
    inside = (u / 0.6) ** 2 + ((v - 0.5) / 0.4) ** 2 < 1
    return np.where(inside, 2 * (brightness + texture * waves) - 1, -1).astype(np.float32)


def found(view: NDArray[np.float32]) -> float:
    contrast = local_contrast(view)
    assert contrast is not None
    return contrast


def test_it_grows_with_the_texture_and_is_a_share_of_the_brightness() -> None:
    plain, weak, strong = (found(tissue(512, texture)) for texture in (0.0, 0.02, 0.2))

    assert plain == pytest.approx(0.0, abs=1e-3)
    assert strong == pytest.approx(10 * weak, rel=0.05)
    assert found(tissue(512, 0.02, 0.25)) == pytest.approx(2 * weak, rel=0.05)


@pytest.mark.parametrize("size", [256, 768, 1600])
def test_it_does_not_depend_on_the_input_size(size: int) -> None:
    assert found(tissue(size, 0.1)) == pytest.approx(found(tissue(512, 0.1)), rel=0.1)


def test_a_slow_change_of_brightness_and_the_skin_line_are_none() -> None:
    view = tissue(512, 0.0)
    ramp = np.linspace(0.0, 0.4, 512, dtype=np.float32)

    assert found(np.where(view > -1, view + ramp, view)) < 0.02


def test_a_marker_on_the_breast_counts_for_nothing() -> None:
    view = tissue(512, 0.05)
    marked = view.copy()
    cv2.circle(marked, (120, 256), 8, 1.0, -1)

    assert found(marked) == pytest.approx(found(view), rel=0.02)


def test_air_has_none() -> None:
    assert local_contrast(np.full((512, 512), -1.0, np.float32)) is None
    assert not ContrastRange(0.0, 1.0).holds(None)


def test_what_is_usual_is_the_middle_of_the_views_of_training() -> None:
    textures = np.linspace(0.05, 0.15, 45)
    usual = usual_contrast(tissue(256, texture) for texture in textures)

    assert usual is not None
    held = [usual.holds(found(tissue(256, texture))) for texture in (*textures, 0.01, 0.3)]
    assert held == [False, False, *[True] * 41, False, False, False, False]
    assert ContrastRange.from_json(usual.as_json()) == usual


def test_without_views_that_differ_nothing_is_usual() -> None:
    assert usual_contrast([]) is None
    assert usual_contrast([tissue(256, 0.1)] * 3) is None


@pytest.mark.parametrize(
    "entry", [None, [], [0.1], [0.3, 0.1], [-0.1, 0.2], ["a", "b"], "12", [0.1, nan], [0.1, inf]]
)
def test_an_entry_that_is_no_range_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match="two rising numbers"):
        ContrastRange.from_json(entry)


def test_most_exams_of_the_generator_are_as_those_that_the_set_synthetic_was_trained_on() -> None:
    usual = load_weights("synthetic").local_contrast
    assert usual is not None

    views = [
        preprocess(mammogram, key.laterality, exam.orientations[key], 512).pixels
        for exam in (synthesize_exam(5, index) for index in range(3))
        for key, mammogram in exam.mammograms.items()
    ]

    assert sum(usual.holds(found(view)) for view in views) >= 10
    assert not usual.holds(found(tissue(512, 0.0)))
