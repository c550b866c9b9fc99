from __future__ import annotations

import numpy as np
import pytest

from dibmg.localize import cells_inside, dib_map, enlarge, find_regions, hottest_cell
from dibmg.placement import Placement
from dibmg.preprocess import preprocess
from dibmg_node.domain.study import Laterality
from tests.model.factories_model import breast, raw_map

SIZE, CELLS = 256, 16
WHOLE = Placement(SIZE, SIZE, SIZE, SIZE, SIZE, 0, 0, False, False)
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def area_of(outline: tuple[tuple[float, float], ...]) -> float:
    x, y = np.array(outline).T
    return float(abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2)


def test_heat_at_the_center_of_a_cell_is_the_value_of_the_cell() -> None:
    cells = np.random.default_rng(1).random((CELLS, CELLS), dtype=np.float32)
    odd = Placement(SIZE, SIZE * 3, SIZE * 3, SIZE, SIZE, 0, 0, False, False)

    heat = enlarge(cells, odd, (odd.source_rows, odd.source_columns))

    step = SIZE * 3 // CELLS
    assert heat.shape == (SIZE * 3, SIZE * 3)
    between = heat[step // 2 - 1 :: step, step // 2 - 1 :: step] + heat[step // 2 :: step, step // 2 :: step]
    np.testing.assert_allclose(between / 2, cells, atol=0.03)


@pytest.mark.parametrize("laterality", [Laterality.RIGHT, Laterality.LEFT])
@pytest.mark.parametrize("wall_on_left", [False, True])
def test_a_hot_cell_is_hottest_at_its_place_in_the_stored_image(
    laterality: Laterality, wall_on_left: bool
) -> None:
    column, row = (70, 300) if wall_on_left else (410, 300)
    image = breast(laterality, 640, 480, {(column, row): 4095}, wall_on_left)
    prepared = preprocess(image, laterality, (), SIZE)
    x, y = prepared.placement.to_network((column, row))
    raw = raw_map({(int(y // 16), int(x // 16)): 6.0})

    heat = enlarge(dib_map(raw), prepared.placement, image.shape)

    assert heat.shape == (640, 480)
    assert 0.0 <= heat.min() <= heat.max() <= 1.0
    hottest = np.unravel_index(int(heat.argmax()), heat.shape)
    cell = 16 / prepared.placement.scale
    assert abs(hottest[1] + 0.5 - column) <= cell / 2 + 1
    assert abs(hottest[0] + 0.5 - row) <= cell / 2 + 1


def test_a_region_has_its_center_at_the_hottest_cell_and_a_closed_outline_around_it() -> None:
    raw = raw_map({(5, 7): 3.0, (5, 8): 8.0, (6, 8): 2.0})

    (region,) = find_regions(raw, EVERYWHERE, WHOLE, 0.5)

    assert region.center == (8.5 * 16, 5.5 * 16)
    assert region.score == pytest.approx(1 / (1 + np.exp(-8.0)), abs=1e-4)
    assert region.outline[0] == region.outline[-1]
    assert 4 <= len(region.outline) <= 64
    x, y = np.array(region.outline).T
    assert x.min() < 7.5 * 16 < 8.5 * 16 < x.max()
    assert y.min() < 5.5 * 16 < 6.5 * 16 < y.max()


def test_an_outline_encloses_the_pixels_that_reach_the_threshold() -> None:
    raw = raw_map({(8, 8): 20.0})

    (region,) = find_regions(raw, EVERYWHERE, WHOLE, 0.5)

    pixels = (enlarge(dib_map(raw), WHOLE, (WHOLE.source_rows, WHOLE.source_columns)) >= 0.5).sum()
    rows, columns = np.nonzero(enlarge(dib_map(raw), WHOLE, (WHOLE.source_rows, WHOLE.source_columns)) >= 0.5)
    x, y = np.array(region.outline).T
    assert area_of(region.outline) == pytest.approx(pixels, rel=0.08)
    assert (x.min(), x.max()) == pytest.approx((columns.min(), columns.max() + 1), abs=0.4)
    assert (y.min(), y.max()) == pytest.approx((rows.min(), rows.max() + 1), abs=0.4)


def test_regions_are_apart_where_the_heat_between_them_is_low_and_come_by_falling_strength() -> None:
    raw = raw_map({(2, 2): 700.0, (12, 12): 900.0, (2, 12): 0.5})

    regions = find_regions(raw, EVERYWHERE, WHOLE, 0.5)

    assert [region.center for region in regions] == [(200.0, 200.0), (40.0, 40.0), (200.0, 40.0)]
    assert regions[0].score == regions[1].score, "both are 1 to rounding; the raw map decides"


def test_what_lies_outside_the_breast_is_no_region() -> None:
    breast_area = EVERYWHERE.copy()
    breast_area[:, 128:] = False

    regions = find_regions(raw_map({(8, 12): 9.0}), breast_area, WHOLE, 0.5)

    assert regions == ()


def test_a_region_cut_by_the_breasts_border_has_its_center_inside() -> None:
    breast_area = EVERYWHERE.copy()
    breast_area[:, 197:] = False

    (region,) = find_regions(raw_map({(8, 12): 9.0}), breast_area, WHOLE, 0.5)

    assert region.center[0] <= 197
    assert max(x for x, _ in region.outline) <= 197 + 0.5


@pytest.mark.parametrize("seed", range(8))
def test_outlines_of_ragged_regions_are_simplified_and_stay_in_the_image(seed: int) -> None:
    random = np.random.default_rng(seed)
    raw = np.zeros((CELLS, CELLS, 2), np.float32)
    raw[..., 1] = random.normal(0.0, 4.0, (CELLS, CELLS))
    placement = Placement(SIZE, 900, 700, 256, 199, 0, 57, True, False)
    breast_area = random.random((SIZE, SIZE)) < 0.97

    regions = find_regions(raw, breast_area, placement, 0.5)

    for region in regions:
        assert 4 <= len(region.outline) <= 64
        assert region.outline[0] == region.outline[-1]
        assert all(0 <= x <= 700 and 0 <= y <= 900 for x, y in region.outline)


def test_one_pixel_is_a_region_with_an_outline() -> None:
    breast_area = np.zeros((SIZE, SIZE), bool)
    breast_area[100, 50] = True

    (region,) = find_regions(raw_map({}, cold=5.0), breast_area, WHOLE, 0.5)

    assert region.center == (50.5, 100.5)
    assert len(region.outline) >= 4


def test_the_hottest_cell_inside_an_area_ignores_hotter_ones_outside() -> None:
    raw = raw_map({(3, 3): 2.0, (3, 12): 9.0})
    left_half = EVERYWHERE.copy()
    left_half[:, 128:] = False

    assert hottest_cell(raw, left_half) == (3.5 * 16, 3.5 * 16)
    assert hottest_cell(raw, np.zeros_like(left_half)) is None


def test_a_cell_counts_as_inside_when_its_center_is() -> None:
    area = np.zeros((SIZE, SIZE), bool)
    area[20:41, 20:41] = True

    inside = cells_inside(area, (CELLS, CELLS))

    assert list(zip(*np.nonzero(inside), strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
