from __future__ import annotations

import numpy as np
import pytest

from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View, ViewKey
from tests.factories import R_CC, instance


@pytest.mark.parametrize("key", [ViewKey(side, view) for side in Laterality for view in View])
def test_a_view_reads_back_what_it_writes(key: ViewKey) -> None:
    assert ViewKey.parse(str(key)) == key


def test_standard_views_stand_in_the_order_of_the_paper() -> None:
    assert [str(key) for key in STANDARD_VIEWS] == ["R-CC", "L-CC", "R-MLO", "L-MLO"]


def test_a_view_needs_side_and_projection() -> None:
    assert instance(R_CC).view_key == R_CC
    assert instance(R_CC, view=None).view_key is None
    assert instance(R_CC, laterality=None).view_key is None


def test_a_window_maps_its_ends_to_black_and_white_and_cuts_what_is_beyond() -> None:
    pixels = np.array([[0, 100, 150, 200, 4095]], dtype=np.uint16)

    image = Mammogram(pixels, 100.0, 200.0, False, WindowRule.WINDOW).image()

    assert image.dtype == np.float32
    assert image.tolist() == [[0, 0, 0.5, 1, 1]]
    assert pixels.tolist() == [[0, 100, 150, 200, 4095]]


def test_an_inverted_image_is_bright_where_its_values_are_low() -> None:
    pixels = np.array([[0, 50, 100]], dtype=np.uint16)

    image = Mammogram(pixels, 0.0, 100.0, True, WindowRule.WINDOW).image()

    assert image.tolist() == [[1, 0.5, 0]]
