"""Where the breast is in a mammogram: the largest connected region brighter than the air around it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_ANALYSIS_SIDE = 512
"""Longer side, pixels, of the reduced image that the mask is found on: 0.5 mm a pixel."""

_BRIDGE = 15
"""Widest connection, pixels of the reduced image, that an opening cuts: to labels, film edges, glow."""
_FLAT = 1e-5
"""Contrast, as a fraction of the highest value, that rounding alone brings about."""


def breast_mask(pixels: NDArray[Any], *, inverted: bool = False) -> NDArray[np.bool_]:
    """Find the breast.

    Air is the darkest large population of a mammogram, and labels, markers and film edges are not
    connected to the breast: Otsu's threshold on the logarithm separates air from tissue, an opening
    cuts thin bridges to labels, and the largest region that remains is the breast. Fat between skin and
    chest wall, which some systems show as dark as air, belongs to it.

    Args:
        pixels: (rows, columns), any real type; air is dark, or bright where `inverted`.
        inverted: Pixel values fall with brightness.

    Returns:
        (rows, columns) of the same grid, True on the breast; all False where there is none.
    """
    rows, columns = pixels.shape
    scale = _ANALYSIS_SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(pixels.astype(np.float32, copy=False), size, interpolation=cv2.INTER_AREA)
    highest = float(np.abs(small).max())
    if inverted:
        small = small.max() - small
    small = small - small.min()
    top = float(np.percentile(small, 99.5))
    if top <= _FLAT * highest:
        return np.zeros((rows, columns), dtype=bool)
    levels = np.log1p(np.clip(small / top, 0, 1) * 100.0)
    grey = np.asarray(levels * (255.0 / np.log1p(100.0)), dtype=np.uint8)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = (grey > threshold).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BRIDGE, _BRIDGE))
    # beyond the border counts as air: white film edges and the glow along the wall are thin there
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    mask = np.asarray(opened, dtype=np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros((rows, columns), dtype=bool)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    if statistics[largest, cv2.CC_STAT_AREA] < 0.01 * mask.size:
        return np.zeros((rows, columns), dtype=bool)
    breast = np.asarray(labels == largest, dtype=np.uint8)
    breast = np.asarray(cv2.morphologyEx(breast, cv2.MORPH_CLOSE, kernel), dtype=np.uint8)
    breast = _fill_to_wall(breast)
    whole = cv2.resize(breast, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return np.asarray(whole, dtype=np.uint8).view(np.bool_)


def wall_is_right(breast: NDArray[np.bool_] | NDArray[np.uint8]) -> bool:
    """Whether the chest wall is on the right: a breast bows away from its wall, even where fat is missing."""
    rows = np.flatnonzero(breast.any(axis=1))
    columns = np.arange(breast.shape[1])
    centers = (breast[rows] * columns).sum(axis=1) / breast[rows].sum(axis=1)
    end = max(1, rows.size // 6)
    middle = centers[rows.size // 4 : rows.size - rows.size // 4]
    return float((centers[:end].mean() + centers[-end:].mean()) / 2) > float(middle.mean())


def _fill_to_wall(breast: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every row from the skin to the chest wall: the outermost column of the region on that side."""
    right = wall_is_right(breast)
    from_wall = breast[:, ::-1] if right else breast
    present = np.flatnonzero(from_wall.any(axis=0))
    columns = np.arange(breast.shape[1])
    skin = np.where(from_wall.any(axis=1), breast.shape[1] - from_wall[:, ::-1].argmax(axis=1), 0)
    filled = ((columns >= present[0]) & (columns < skin[:, None])).astype(np.uint8)
    return np.ascontiguousarray(filled[:, ::-1] if right else filled)
