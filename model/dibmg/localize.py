"""From raw maps to places: the DIB map, the heatmap on the stored grid, and findings with outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.placement import Placement
from dibmg.scores import cancer_probability
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.image import Heatmap, Point

MAXIMUM_OUTLINE_POINTS: Final = 64
_ENLARGEMENT: Final = 3
"""Outlines are traced on a region enlarged this much, so that they run along pixel borders to 1/6 pixel."""


@dataclass(frozen=True)
class Region:
    """One connected region of a view whose heatmap reaches the operating point.

    Attributes:
        score: Highest value of the heatmap inside it, 0..1.
        center: Place of that value in the stored image.
        outline: Closed polygon in the stored image, 4 to 64 points, first = last.
        strength: Raw cancer minus normal of the hottest cell: ranks regions of equal score.
    """

    score: float
    center: Point
    outline: tuple[Point, ...]
    strength: float


def dib_map(raw_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of cancer of each map cell: float32 (h, w) in 0..1 from a raw map (h, w, 2).

    Source: Kim et al. 2018, Evaluation of the Algorithm: "class number of per-view maps".
    """
    return cancer_probability(raw_map)


def enlarge(cells: NDArray[np.float32], placement: Placement, shape: tuple[int, int]) -> Heatmap:
    """The DIB map on a grid over the stored image, linear between the centers of the cells.

    What lies outside the stored image is cut off; half a cell at its border repeats the outermost value.

    Args:
        cells: float32 (h, w), the square of the network.
        placement: Of the view.
        shape: (rows, columns) of the grid.

    Returns:
        float32 of that shape.
    """
    rows, columns = shape
    row_places = (np.arange(rows, dtype=np.float64) + 0.5) * (placement.source_rows / rows)
    column_places = (np.arange(columns, dtype=np.float64) + 0.5) * (placement.source_columns / columns)
    down = placement.to_network_rows(row_places)
    across = placement.to_network_columns(column_places)
    vertical = _interpolation(down, cells.shape[0], placement.size)
    horizontal = _interpolation(across, cells.shape[1], placement.size)
    return np.asarray(vertical @ cells @ horizontal.T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ViewHeat:
    """The heatmap of a view: its DIB map, 0 outside the breast; satisfies `Heat`.

    Cells beside the breast see part of it, so their values are no statement about the air that they lie on.

    Attributes:
        raw_map: float32 (h, w, 2).
        breast: bool (size, size), the breast in the network square.
        placement: Of the view.
    """

    raw_map: NDArray[np.float32]
    breast: NDArray[np.bool_]
    placement: Placement

    def on(self, shape: tuple[int, int]) -> Heatmap:
        """Its values on a grid (rows, columns) over the extent of the stored image."""
        heat = enlarge(dib_map(self.raw_map), self.placement, shape)
        heat[~_on_grid(self.breast, self.placement, shape)] = 0.0
        return heat


def find_regions(
    raw_map: NDArray[np.float32], breast: NDArray[np.bool_], placement: Placement, threshold: float
) -> tuple[Region, ...]:
    """Connected regions inside the breast where the heatmap reaches the threshold.

    Args:
        raw_map: float32 (h, w, 2).
        breast: bool (size, size), the breast in the network square.
        placement: Of the view.
        threshold: Of the operating point, 0..1.

    Returns:
        By falling strength; empty where nothing inside the breast reaches the threshold.
    """
    cells = dib_map(raw_map)
    square = (placement.size, placement.size)
    heat = np.asarray(cv2.resize(cells, square, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    reached = ((heat >= threshold) & breast).astype(np.uint8)
    count, labels = cv2.connectedComponents(reached, connectivity=8)
    regions = [_region(labels == number, heat, raw_map, placement) for number in range(1, count)]
    return tuple(sorted(regions, key=lambda region: (-region.strength, region.center)))


def cell_centers(shape: tuple[int, int], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns (w,) and rows (h,) of the centers of map cells, in network pixels."""
    rows, columns = shape
    return (np.arange(columns) + 0.5) * size / columns, (np.arange(rows) + 0.5) * size / rows


def cells_inside(area: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Map cells (h, w) whose center lies in an area (size, size) of the network square."""
    columns, rows = cell_centers(shape, area.shape[0])
    return np.asarray(area[np.ix_(rows.astype(np.int64), columns.astype(np.int64))], dtype=bool)


def project(area: NDArray[np.bool_], placement: Placement, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Points of a regular grid over the network's square that lie in an area of the stored image.

    Args:
        area: bool (rows, columns) on the stored grid.
        placement: Of the image.
        shape: (h, w) of the grid: the map, or the square itself.

    Returns:
        bool (h, w), for the center of each cell.
    """
    columns, rows = cell_centers(shape, placement.size)
    across = np.array([placement.to_stored((column, 0.0))[0] for column in columns])
    down = np.array([placement.to_stored((0.0, row))[1] for row in rows])
    inside = np.zeros(shape, bool)
    on_rows = (down >= 0) & (down < area.shape[0])
    on_columns = (across >= 0) & (across < area.shape[1])
    inside[np.ix_(on_rows, on_columns)] = area[
        np.ix_(down[on_rows].astype(np.int64), across[on_columns].astype(np.int64))
    ]
    return inside


def hottest_cell(raw_map: NDArray[np.float32], area: NDArray[np.bool_]) -> Point | None:
    """Center, in network pixels, of the cell with the largest cancer minus normal among those in an area.

    Returns:
        None where no cell has its center in the area.
    """
    inside = cells_inside(area, (raw_map.shape[0], raw_map.shape[1]))
    if not inside.any():
        return None
    row, column = _hottest(raw_map, inside)
    columns, rows = cell_centers(inside.shape, area.shape[0])
    return float(columns[column]), float(rows[row])


def _on_grid(area: NDArray[np.bool_], placement: Placement, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """An area of the network square on a grid over the stored image, its border smoothed."""
    part = placement.take(area)
    down, across = -1 if placement.flipped_vertically else 1, -1 if placement.flipped_horizontally else 1
    stored = np.ascontiguousarray(part[::down, ::across]).astype(np.uint8) * np.uint8(255)
    return resize(stored, shape) >= 128


def _interpolation(places: NDArray[np.float64], cells: int, size: int) -> NDArray[np.float32]:
    """(places, cells) weights: linear between cell centers, constant beyond the outer ones."""
    position = np.clip(places * cells / size - 0.5, 0.0, cells - 1.0)
    below = np.minimum(position.astype(np.int64), max(cells - 2, 0))
    share = position - below
    weights = np.zeros((places.size, cells), np.float32)
    every = np.arange(places.size)
    weights[every, below] = 1.0 - share
    weights[every, np.minimum(below + 1, cells - 1)] += share
    return weights


def _region(
    inside: NDArray[np.bool_], heat: NDArray[np.float32], raw_map: NDArray[np.float32], placement: Placement
) -> Region:
    """Center, score and outline of one region of the network square."""
    within = cells_inside(inside, (raw_map.shape[0], raw_map.shape[1]))
    if within.any():
        row, column = _hottest(raw_map, within)
        columns, rows = cell_centers(within.shape, placement.size)
        place = (float(columns[column]), float(rows[row]))
        score, strength = float(dib_map(raw_map)[row, column]), _strength(raw_map)[row, column]
    else:  # the breast's border cut the region off from the center of its cell
        row, column = divmod(int(np.argmax(np.where(inside, heat, -1.0))), heat.shape[1])
        place = (float(column) + 0.5, float(row) + 0.5)
        score = float(heat[row, column])
        strength = np.log(max(score, 1e-9) / max(1.0 - score, 1e-9))
    outline = tuple(_clip(placement.to_stored(point), placement) for point in _outline(inside))
    return Region(score, placement.to_stored(place), outline, float(strength))


def _outline(inside: NDArray[np.bool_]) -> Sequence[Point]:
    """Closed polygon around one region, in the pixels of its grid."""
    left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
    part = inside[top : top + height, left : left + width].astype(np.uint8)
    part = part.repeat(_ENLARGEMENT, axis=0).repeat(_ENLARGEMENT, axis=1)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    tolerance = 0.4 * _ENLARGEMENT
    simple = cv2.approxPolyDP(contour, tolerance, True)
    while len(simple) > MAXIMUM_OUTLINE_POINTS - 1:
        tolerance *= 1.4
        simple = cv2.approxPolyDP(contour, tolerance, True)
    if len(simple) < 3:
        far = np.array([width, height]) * _ENLARGEMENT - 1
        simple = np.array([[0, 0], [far[0], 0], far, [0, far[1]]])
    points = (simple.reshape(-1, 2) + 0.5) / _ENLARGEMENT + np.array([left, top])
    return [(float(column), float(row)) for column, row in (*points, points[0])]


def _clip(point: Point, placement: Placement) -> Point:
    column = min(max(point[0], 0.0), float(placement.source_columns))
    return column, min(max(point[1], 0.0), float(placement.source_rows))


def _strength(raw_map: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(raw_map[..., 1] - raw_map[..., 0], dtype=np.float32)


def _hottest(raw_map: NDArray[np.float32], among: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the hottest cell; the raw difference decides, since probabilities saturate."""
    hottest = int(np.argmax(np.where(among, _strength(raw_map), -np.inf)))
    return hottest // among.shape[1], hottest % among.shape[1]
