from __future__ import annotations

import numpy as np
import pytest

from dibmg.synthesis.designs import LesionKind
from dibmg.synthesis.exam import synthesize_exam
from dibmg.synthesis.insert import NoRoomError, insert_into, insert_lesion
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import STANDARD_VIEWS

ROWS = 256
R_CC, L_CC, R_MLO, L_MLO = STANDARD_VIEWS
NORMAL = synthesize_exam(31, 0, ROWS, cancer=False)
INVERTED = next(
    exam
    for index in range(1, 40)
    if (exam := synthesize_exam(31, index, 64, cancer=False)).mammograms[R_CC].inverted
)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("key", [L_CC, R_MLO])
def test_an_insertion_stays_inside_the_breast_and_around_its_stated_place(key, seed) -> None:
    image = NORMAL.mammograms[key].image()
    breast = breast_mask(image)

    changed, (column, row, radius), kind = insert_into(
        image, breast, np.random.default_rng(seed), NORMAL.pixel_mm
    )

    difference = np.abs(changed - image)
    assert not difference[~breast].any()
    assert breast[int(row), int(column)]
    assert kind in LesionKind
    rows, columns = np.nonzero(difference > 0.02)
    assert rows.size > 0
    assert np.hypot(columns + 0.5 - column, rows + 0.5 - row).max() < 3.5 * radius
    assert changed.min() >= 0.0
    assert changed.max() <= 1.0


def test_the_given_image_is_left_as_it_is() -> None:
    image = NORMAL.mammograms[L_CC].image()
    kept = image.copy()

    insert_into(image, breast_mask(image), np.random.default_rng(1), NORMAL.pixel_mm)

    np.testing.assert_array_equal(image, kept)


def test_a_view_that_is_turned_in_memory_is_read_too() -> None:
    image = NORMAL.mammograms[L_CC].image()[:, ::-1]

    changed, _, _ = insert_into(image, breast_mask(image)[:, :], np.random.default_rng(1), NORMAL.pixel_mm)

    assert (changed != image).any()


def test_the_same_generator_state_gives_the_same_insertion() -> None:
    image = NORMAL.mammograms[L_CC].image()
    breast = breast_mask(image)

    first, second = (insert_into(image, breast, np.random.default_rng(5), NORMAL.pixel_mm) for _ in range(2))

    np.testing.assert_array_equal(first[0], second[0])
    assert first[1:] == second[1:]


def test_all_kinds_of_lesions_are_inserted() -> None:
    image = NORMAL.mammograms[L_CC].image()
    breast = breast_mask(image)
    random = np.random.default_rng(2)

    kinds = {insert_into(image, breast, random, NORMAL.pixel_mm)[2] for _ in range(60)}

    assert kinds == set(LesionKind)


def test_a_mammogram_keeps_its_window_and_its_pixels_away_from_the_lesion() -> None:
    normal = NORMAL.mammograms[R_MLO]

    changed, lesion = insert_lesion(normal, np.random.default_rng(3), pixel_mm=NORMAL.pixel_mm)

    assert (changed.low, changed.high, changed.rule) == (normal.low, normal.high, normal.rule)
    assert changed.pixels.dtype == normal.pixels.dtype
    rows, columns = np.nonzero(changed.pixels != normal.pixels)
    assert rows.size > 0
    distance = np.hypot(columns + 0.5 - lesion.center[0], rows + 0.5 - lesion.center[1])
    assert distance.max() < 4.0 * lesion.radius


def test_a_lesion_is_bright_where_pixel_values_fall_with_brightness() -> None:
    normal = INVERTED.mammograms[R_CC]

    changed, _ = insert_lesion(normal, np.random.default_rng(4), pixel_mm=INVERTED.pixel_mm)

    assert (changed.image() - normal.image()).sum() > 0
    assert (changed.pixels.astype(int) - normal.pixels).sum() < 0


def test_an_image_without_a_breast_has_no_room() -> None:
    empty = Mammogram(np.zeros((96, 64), np.uint16), 0.0, 4095.0, False, WindowRule.WINDOW)

    with pytest.raises(NoRoomError, match="no place"):
        insert_lesion(empty, np.random.default_rng(0))
