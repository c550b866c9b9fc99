"""How far a lesion stands out: the answer of a filter matched to it, in spreads over normal tissue."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.image import Image

_SCALE_MM: Final = 5.0
"""Brightness that changes over more than that is no detail: neither reader nor network goes by it."""

_SAMPLES: Final = 64
"""Places of the normal breast that the filter is tried on."""


class Conspicuity:
    """The normal view that lesions are compared with."""

    def __init__(
        self, shown: Image, tissue: NDArray[np.bool_], pixel_mm: float, random: np.random.Generator
    ) -> None:
        """Keep the details of a normal view.

        Args:
            shown: float32 (rows, columns), as a reader sees it.
            tissue: Same grid, True where a lesion could lie.
            pixel_mm: Side of a pixel.
            random: Chooses the places to compare with.
        """
        self._sigma = _SCALE_MM / pixel_mm
        self._details = self._detail(shown)
        places = np.flatnonzero(tissue)
        chosen = places[random.integers(0, places.size, _SAMPLES)] if places.size else places
        self._rows, self._columns = np.divmod(chosen, shown.shape[1])

    def of(self, change: Image) -> float:
        """Answer to a lesion over the spread of answers to normal tissue; 0 where there is no tissue.

        Args:
            change: What the lesion changes of the shown view, on a part of its grid.
        """
        filtering = _without_margins(self._detail(change))
        strength = float((filtering * filtering).sum())
        if self._rows.size == 0 or strength == 0.0:
            return 0.0
        parts = np.lib.stride_tricks.sliding_window_view(self._details, filtering.shape)
        rows = np.clip(self._rows - filtering.shape[0] // 2, 0, parts.shape[0] - 1)
        columns = np.clip(self._columns - filtering.shape[1] // 2, 0, parts.shape[1] - 1)
        answers = parts[rows, columns].reshape(rows.size, -1) @ filtering.reshape(-1)
        return strength / max(float(np.std(answers)), 1e-9)

    def _detail(self, image: Image) -> Image:
        """An image without what changes slowly."""
        coarser = max(1, int(self._sigma / 2.5))
        size = (max(1, image.shape[1] // coarser), max(1, image.shape[0] // coarser))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        slow = cv2.GaussianBlur(small, (0, 0), self._sigma / coarser)
        return np.asarray(image - cv2.resize(slow, image.shape[::-1]), dtype=np.float32)


def _without_margins(change: Image) -> Image:
    """The part of a change that is worth looking at."""
    large = np.abs(change)
    large = large > 0.1 * large.max()
    rows, columns = np.flatnonzero(large.any(axis=1)), np.flatnonzero(large.any(axis=0))
    if rows.size == 0:
        return change
    return change[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
