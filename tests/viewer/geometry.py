"""Where things of an image lie in a viewport, and where colors lie in a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Picture = NDArray[np.uint8]


def in_viewport(points: Sequence[Sequence[float]], grid: tuple[int, int], picture: Picture) -> Points:
    """Where (column, row) points of an image lie in a viewport that it is fitted into.

    Args:
        grid: (rows, columns) of the image.
        picture: What the viewport shows, (rows, columns, 3).
    """
    rows, columns, _ = picture.shape
    scale = min(rows / grid[0], columns / grid[1])
    margin = np.array([columns - scale * grid[1], rows - scale * grid[0]]) / 2
    return np.asarray(points, dtype=np.float64) * scale + margin


def fitted(image: Picture, shape: Sequence[int]) -> Picture:
    """An RGB image as a viewport of that (rows, columns, ...) shows it, on black."""
    scale = min(shape[0] / image.shape[0], shape[1] / image.shape[1])
    margin = [(shape[1] - scale * image.shape[1]) / 2, (shape[0] - scale * image.shape[0]) / 2]
    # centers of pixels lie half a pixel off their corners on both grids
    offset = [one + 0.5 * (scale - 1) for one in margin]
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR))


def heat(picture: Picture) -> NDArray[np.float64]:
    """How hot each pixel is: red over green grows along the heatmap's colors; gray has none."""
    channels = picture.astype(np.float64)
    return np.asarray(np.maximum(channels[..., 0] - channels[..., 1], 0))


def hottest_place(picture: Picture) -> Points:
    """(column, row) of the center of what is nearly as hot as the hottest pixel of the largest warm region.

    The largest: the color bar and letters have the same colors, on fewer pixels.
    """
    values = cv2.GaussianBlur(heat(picture), (0, 0), 2)
    warm = (values > 25).astype(np.uint8)
    count, labels, numbers, _ = cv2.connectedComponentsWithStats(warm)
    assert count > 1, "nothing in this picture has the heatmap's colors"
    region = labels == 1 + int(np.argmax(numbers[1:, cv2.CC_STAT_AREA]))
    rows, columns = np.nonzero(region & (values > 0.9 * values[region].max()))
    return np.array([columns.mean(), rows.mean()]) + 0.5


def likeness(first: Picture, second: Picture) -> float:
    """Correlation of brightness, or of heat, whichever is less: 1 for the same picture.

    Both are smoothed: viewers draw pixels between pixels in their own ways.
    """
    return min(similarity(first, second), _correlation(heat(first), heat(second)))


def similarity(first: Picture, second: Picture) -> float:
    """Correlation of brightness alone."""
    return _correlation(first.mean(axis=2), second.mean(axis=2))


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    smooth = [cv2.GaussianBlur(one, (0, 0), 4).ravel() for one in (first, second)]
    return 0.0 if min(one.std() for one in smooth) == 0 else float(np.corrcoef(smooth)[0, 1])


def distance_to_cyan(picture: Picture, points: Points) -> NDArray[np.float64]:
    """Distance of each (column, row) point to the nearest pixel of the overlay's outlines, pixels."""
    channels = picture.astype(int)
    is_cyan = np.minimum(channels[..., 1], channels[..., 2]) - channels[..., 0] > 40
    distances = cv2.distanceTransform((~is_cyan).astype(np.uint8), cv2.DIST_L2, 5)
    columns, rows = np.clip(points.astype(int), 0, np.array(picture.shape[1::-1]) - 1).T
    return np.asarray(distances[rows, columns], dtype=np.float64)


def is_inside(place: Points, outline: Points) -> bool:
    """Whether a (column, row) place lies inside a closed polygon."""
    polygon = outline.astype(np.float32).reshape(-1, 1, 2)
    return bool(cv2.pointPolygonTest(polygon, (float(place[0]), float(place[1])), False) >= 0)


def center(outline: Points) -> Points:
    """Center of the corners of a closed polygon, whose first point is its last."""
    return np.asarray(outline[:-1].mean(axis=0))
