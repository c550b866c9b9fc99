from __future__ import annotations

import numpy as np
import pytest

from dibmg_node.dicom.breast import breast_mask, wall_is_right
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, ViewKey
from tests.factories import L_CC, breast_pixels


def overlap(found: np.ndarray, expected: np.ndarray) -> float:
    return float((found & expected).sum() / (found | expected).sum())


@pytest.mark.parametrize("view", STANDARD_VIEWS)
@pytest.mark.parametrize("size", [(96, 64), (480, 320), (1000, 701)])
def test_the_breast_is_found_on_its_side(view: ViewKey, size: tuple[int, int]) -> None:
    pixels = breast_pixels(view, *size)

    mask = breast_mask(pixels)

    assert (mask.shape, mask.dtype) == (size, np.bool_)
    assert overlap(mask, pixels > 1000) > 0.9
    edge = mask[:, -1] if view.laterality is Laterality.RIGHT else mask[:, 0]
    assert edge.any()


def test_an_inverted_image_has_the_same_breast() -> None:
    pixels = breast_pixels(L_CC, 480, 320)

    assert overlap(breast_mask(4095 - pixels, inverted=True), breast_mask(pixels)) > 0.98


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.int32])
def test_any_type_of_pixels_has_the_same_breast(dtype: type) -> None:
    pixels = breast_pixels(L_CC, 480, 320)

    np.testing.assert_array_equal(breast_mask(pixels.astype(dtype)), breast_mask(pixels))


def test_a_label_is_no_part_of_the_breast() -> None:
    pixels = breast_pixels(L_CC, 480, 320)
    pixels[20:60, 250:300] = 4095

    mask = breast_mask(pixels)

    assert not mask[20:60, 250:300].any()
    assert overlap(mask, breast_pixels(L_CC, 480, 320) > 1000) > 0.9


@pytest.mark.parametrize("value", [0, 7, 4095])
@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (1, 300), (300, 1)])
def test_an_image_of_one_value_has_no_breast(value: int, shape: tuple[int, int]) -> None:
    for inverted in (False, True):
        mask = breast_mask(np.full(shape, value, dtype=np.uint16), inverted=inverted)

        assert mask.shape == shape
        assert not mask.any()


def test_a_speck_is_no_breast() -> None:
    pixels = np.zeros((480, 320), dtype=np.uint16)
    pixels[100:104, 100:104] = 4000

    assert not breast_mask(pixels).any()


def test_pixels_are_looked_at_and_not_changed() -> None:
    pixels = breast_pixels(L_CC)
    before = pixels.copy()

    breast_mask(pixels)

    np.testing.assert_array_equal(pixels, before)


def crescent() -> np.ndarray:
    """Skin and rim of a left breast; the fat between them and the wall is as dark as air."""
    v, u = np.mgrid[0:480, 0:320]
    depth = (u / 240) ** 2 + ((v - 240) / 200) ** 2
    pixels = np.where((depth < 1) & (depth > 0.5), 1500, 0)
    pixels[200:280, :160] = 1500  # a strand of gland towards the wall
    return pixels.astype(np.uint16)


def test_fat_as_dark_as_air_belongs_to_the_breast() -> None:
    v, u = np.mgrid[0:480, 0:320]
    whole = (u / 240) ** 2 + ((v - 240) / 200) ** 2 < 1

    assert overlap(breast_mask(crescent()), whole) > 0.95
    assert overlap(breast_mask(crescent()[:, ::-1]), whole[:, ::-1]) > 0.95


def test_the_wall_is_on_the_side_that_the_breast_bows_away_from() -> None:
    left = crescent() > 0

    assert not wall_is_right(left)
    assert wall_is_right(left[:, ::-1])
