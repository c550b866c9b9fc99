"""Where words may stand on a mammogram."""

from __future__ import annotations

import numpy as np
import pytest

from dibmg_node.dicom.placement import FreeSpace
from dibmg_node.domain.study import Laterality
from tests.dicom.factories_results import L_MLO, R_CC, breast_image


def test_free_space_tells_the_air_side_from_the_image_before_the_laterality():
    turned = breast_image(L_MLO, 400, 320)

    assert not FreeSpace(turned, Laterality.RIGHT).air_is_left
    assert FreeSpace(np.zeros((400, 320), np.float32), Laterality.RIGHT).air_is_left


def test_a_second_box_does_not_cover_the_first():
    space = FreeSpace(breast_image(R_CC, 400, 320), Laterality.RIGHT)

    first = space.best(60, 60, at_top=True).box
    space.close(first)
    second = space.best(60, 60, at_top=True).box

    assert second.top >= first.top + 60 or second.left >= first.left + 60


@pytest.mark.parametrize("thickness", [1, 3])
def test_words_do_not_cover_a_thin_line_in_the_air_of_a_large_picture(thickness):
    image = breast_image(R_CC, 2048, 1600)
    image[100 : 100 + thickness, 30:500] = 1.0

    box = FreeSpace(image, Laterality.RIGHT).best(400, 90, at_top=True).box

    assert not image[box.top : box.top + box.height, box.left : box.left + box.width].max() > 0.9


@pytest.mark.parametrize("shape", [(2048, 43), (106, 2048), (4000, 75), (5119, 3001), (4000, 1), (1, 4000)])
def test_a_box_as_large_as_a_picture_or_smaller_has_its_place_within_it(shape):
    space = FreeSpace(np.zeros(shape, np.float32), Laterality.RIGHT)

    for rows, columns in (shape, (1, shape[1]), (shape[0], 1)):
        box = space.best(columns, rows, at_top=False).box
        assert (box.left >= 0, box.top >= 0) == (True, True)
        assert box.left + box.width <= shape[1]
        assert box.top + box.height <= shape[0]
    assert space.best(shape[1] + 1, 1, at_top=True) is None
    assert space.best(1, shape[0] + 1, at_top=True) is None


def test_the_air_beside_a_large_finding_is_free_though_its_box_holds_it():
    row, column = np.mgrid[0:600, 0:480]
    image = np.where(column > 470 - 0.75 * row, 0.5, 0.0).astype(np.float32)
    space = FreeSpace(image, Laterality.RIGHT)
    space.take(np.array([(480.0, 0.0), (480.0, 600.0), (30.0, 600.0), (480.0, 0.0)]))

    place = space.best(200, 200, at_top=True)

    assert (place.covered, place.harm) == (0, 0)
    assert not image[:200, :200].any()


def test_a_box_stands_on_the_breast_rather_than_on_a_finding():
    image = np.full((600, 480), 0.5, np.float32)
    image[:8] = 0.0
    space = FreeSpace(image, Laterality.RIGHT)
    space.take(np.array([(0.0, 0.0), (300.0, 0.0), (300.0, 600.0), (0.0, 600.0)]))

    place = space.best(120, 200, at_top=True)

    assert place.box.left >= 300
    assert place.covered == place.harm == 120 * 200
