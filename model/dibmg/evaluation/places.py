"""Where a map points, and whether the lesion is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.localize import cells_inside, hottest_cell

_NEIGHBORHOOD: Final = 0.05
"""Two marks are at least this share of the square apart: about 1 cm of the breast."""


@dataclass(frozen=True, eq=False)
class Places:
    """Marks on one image, rated by cancer minus normal: local maxima of its map among cells on the breast.

    Attributes:
        hit: Whether the center of the hottest cell is in the lesion; None where its place is not known.
        chance: Share of the breast's cells whose center is; None likewise.
        best_inside: Rating of the best mark in the lesion; None where there is none.
        outside: Ratings of the other marks, float32.
    """

    hit: bool | None
    chance: float | None
    best_inside: float | None
    outside: NDArray[np.float32]


def find_places(
    raw_map: NDArray[np.float32], breast: NDArray[np.bool_], lesion: NDArray[np.bool_] | None
) -> Places:
    """What a map says, beside where the lesion is.

    Args:
        raw_map: float32 (h, w, 2).
        breast: bool (size, size), the breast in the network's square.
        lesion: bool (h, w), cells whose center is in the lesion; None: none, or its place is not known.
    """
    shape = (raw_map.shape[0], raw_map.shape[1])
    on_breast = cells_inside(breast, shape)
    strength = (raw_map[..., 1] - raw_map[..., 0]).astype(np.float32)
    strength = np.where(on_breast, strength, -np.inf).astype(np.float32)
    reach = max(1, round(_NEIGHBORHOOD * shape[0]))
    around = cv2.dilate(strength, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    peaks = (strength == around) & on_breast
    if lesion is None:
        return Places(None, None, None, strength[peaks])
    inside = strength[peaks & lesion]
    hottest = hottest_cell(raw_map, breast)
    return Places(
        hit=hottest is not None and _is_inside(lesion, hottest, breast.shape[0]),
        chance=float((lesion & on_breast).sum() / max(int(on_breast.sum()), 1)),
        best_inside=float(inside.max()) if inside.size else None,
        outside=strength[peaks & ~lesion],
    )


def _is_inside(cells: NDArray[np.bool_], point: tuple[float, float], size: int) -> bool:
    """Whether the cell that a point (column, row) of the square lies in is one of `cells` (h, w)."""
    row, column = int(point[1] * cells.shape[0] / size), int(point[0] * cells.shape[1] / size)
    return bool(cells[row, column])
