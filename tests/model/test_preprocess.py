from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dibmg.architecture import AIR
from dibmg.preprocess import NoBreastError, flips_to_standard, preprocess
from dibmg.synthesis.exam import ORIENTATIONS
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, ViewKey
from tests.model.factories_model import SIZE, breast

OPPOSITE = {"P": "A", "A": "P", "L": "R", "R": "L", "F": "H", "H": "F"}


def turned(text: str) -> str:
    return "".join(OPPOSITE[letter] for letter in text)


def bright_place(pixels: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(pixels > 0.5)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


@pytest.mark.parametrize("key", STANDARD_VIEWS, ids=str)
@pytest.mark.parametrize("horizontally", [False, True])
@pytest.mark.parametrize("vertically", [False, True])
@pytest.mark.parametrize("shape", [(640, 480), (2294, 1914), (333, 517)])
def test_a_square_planted_in_the_stored_image_comes_back_at_its_place(
    key: ViewKey, horizontally: bool, vertically: bool, shape: tuple[int, int]
) -> None:
    along_rows, along_columns = ORIENTATIONS[key]
    orientation = (
        turned(along_rows) if horizontally else along_rows,
        turned(along_columns) if vertically else along_columns,
    )
    rows, columns = shape
    on_left = (key.laterality is Laterality.LEFT) != horizontally
    column, row = (60 if on_left else columns - 60), rows // 2 + 31
    image = breast(key.laterality, rows, columns, {(column, row): 4095}, wall_on_left=on_left)

    prepared = preprocess(image, key.laterality, orientation, SIZE)

    found = prepared.placement.to_stored(bright_place(prepared.pixels))
    half_a_network_pixel = 0.5 / prepared.placement.scale
    assert found == pytest.approx((column, row), abs=half_a_network_pixel)
    assert prepared.placement.flipped_horizontally == horizontally
    assert prepared.placement.flipped_vertically == vertically


@pytest.mark.parametrize("laterality", [Laterality.RIGHT, Laterality.LEFT])
@pytest.mark.parametrize("flipped", [False, True])
def test_places_survive_the_way_to_the_network_and_back(laterality: Laterality, flipped: bool) -> None:
    wall_on_left = (laterality is Laterality.LEFT) != flipped
    image = breast(laterality, 2294, 1914, wall_on_left=wall_on_left)
    placement = preprocess(image, laterality, (), 512).placement

    for place in [(0.0, 0.0), (1914.0, 2294.0), (0.5, 0.5), (700.25, 1300.75)]:
        assert placement.to_stored(placement.to_network(place)) == pytest.approx(place, abs=1e-6)


def test_padding_lies_away_from_the_chest_wall() -> None:
    right = preprocess(breast(Laterality.RIGHT), Laterality.RIGHT, ("P", "L"), SIZE)
    left = preprocess(breast(Laterality.LEFT), Laterality.LEFT, ("A", "R"), SIZE)

    assert (right.placement.offset_column, left.placement.offset_column) == (SIZE * 1 // 4, 0)
    assert right.breast[:, -1].any()
    assert left.breast[:, 0].any()
    assert (right.pixels[:, :64] == AIR).all()
    assert (left.pixels[:, -64:] == AIR).all()


def test_monochrome1_gives_the_input_of_monochrome2() -> None:
    plain = breast(Laterality.LEFT, squares={(60, 300): 4000})
    inverse = breast(Laterality.LEFT, squares={(60, 300): 4000}, inverted=True)

    a = preprocess(plain, Laterality.LEFT, ("A", "R"), SIZE)
    b = preprocess(inverse, Laterality.LEFT, ("A", "R"), SIZE)

    np.testing.assert_allclose(a.pixels, b.pixels, atol=2e-3)


def test_values_are_air_outside_the_breast_and_windowed_inside() -> None:
    image = dataclasses.replace(breast(Laterality.LEFT, squares={(440, 40): 4095}), low=500.0, high=2500.0)

    prepared = preprocess(image, Laterality.LEFT, ("A", "R"), SIZE)

    assert prepared.pixels.dtype == np.float32
    assert (prepared.pixels[~prepared.breast] == AIR).all(), "a marker in the air must not reach the network"
    assert prepared.pixels[SIZE // 2, 10] == pytest.approx(2 * (1500 - 500) / 2000 - 1, abs=1e-3)


@pytest.mark.parametrize("laterality", [Laterality.RIGHT, Laterality.LEFT])
@pytest.mark.parametrize("wall_on_left", [False, True])
@pytest.mark.parametrize("orientation", [(), ("MLO",), ("CC", ""), ("L", "F")])
def test_without_a_usable_orientation_the_chest_wall_is_found_from_the_pixels(
    laterality: Laterality, wall_on_left: bool, orientation: tuple[str, ...]
) -> None:
    image = breast(laterality, wall_on_left=wall_on_left)

    prepared = preprocess(image, laterality, orientation, SIZE)

    wall = prepared.breast[:, 0] if laterality is Laterality.LEFT else prepared.breast[:, -1]
    assert wall.any()
    assert not prepared.orientation_found
    assert prepared.placement.flipped_horizontally == (wall_on_left != (laterality is Laterality.LEFT))


@pytest.mark.parametrize(
    ("laterality", "orientation", "expected"),
    [
        (Laterality.RIGHT, ("P", "L"), (False, False)),
        (Laterality.RIGHT, ("A", "R"), (True, True)),
        (Laterality.LEFT, ("A", "FR"), (False, False)),
        (Laterality.LEFT, ("P", "HL"), (True, True)),
        (Laterality.RIGHT, ("PR", "FL"), (False, False)),
        (Laterality.LEFT, ("A", "L"), (False, True)),
        (Laterality.LEFT, ("F", "A"), (None, False)),
    ],
)
def test_flips_follow_from_laterality_and_patient_orientation(
    laterality: Laterality, orientation: tuple[str, str], expected: tuple[bool | None, bool]
) -> None:
    assert flips_to_standard(laterality, orientation) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float64])
def test_pixels_of_any_type_are_read(kind: type) -> None:
    wide = breast(Laterality.LEFT)
    image = Mammogram((wide.pixels // 16).astype(kind), 0.0, 255.0, False, WindowRule.WINDOW)

    prepared = preprocess(image, Laterality.LEFT, ("A", "R"), SIZE)

    assert prepared.pixels[SIZE // 2, 10] == pytest.approx(2 * 93 / 255 - 1, abs=1e-2)


@pytest.mark.parametrize("value", [0, 4095])
def test_a_blank_image_is_rejected_and_its_size_named(value: int) -> None:
    blank = Mammogram(np.full((300, 200), value, np.uint16), 0.0, 4095.0, False, WindowRule.WINDOW)

    with pytest.raises(NoBreastError, match="300 rows x 200 columns"):
        preprocess(blank, Laterality.LEFT, (), SIZE)


def test_preprocessing_leaves_the_mammogram_as_it_was() -> None:
    image = breast(Laterality.RIGHT)
    before = image.pixels.copy()

    preprocess(image, Laterality.RIGHT, ("P", "L"), SIZE)

    np.testing.assert_array_equal(image.pixels, before)


@pytest.mark.parametrize("laterality", [Laterality.LEFT, Laterality.RIGHT])
def test_padding_beyond_the_wall_is_taken_off(laterality: Laterality) -> None:
    plain = breast(laterality)
    sides = ((0, 0), (100, 40)) if laterality is Laterality.LEFT else ((0, 0), (40, 100))
    padded = dataclasses.replace(plain, pixels=np.pad(plain.pixels, sides))

    expected = preprocess(plain, laterality, (), SIZE)
    found = preprocess(padded, laterality, (), SIZE)

    np.testing.assert_allclose(found.pixels, expected.pixels, atol=0.05)
    point = (60.0, 300.0) if laterality is Laterality.LEFT else (420.0, 300.0)
    moved = (point[0] + sides[1][0], point[1])
    assert found.placement.to_network(moved) == pytest.approx(expected.placement.to_network(point), abs=0.6)


def test_what_is_put_into_the_square_is_taken_out_again() -> None:
    placement = preprocess(breast(Laterality.LEFT), Laterality.LEFT, (), SIZE).placement
    for offset in (-10, 0, 7, SIZE - placement.columns + 5):
        shifted = dataclasses.replace(placement, offset_column=offset)
        image = np.random.default_rng(1).random((placement.rows, placement.columns))

        back = shifted.take(shifted.put(image, np.zeros((SIZE, SIZE))))

        seen = back > 0
        np.testing.assert_array_equal(back[seen], image[seen])
        assert seen.mean() > 0.9 or offset != 0
