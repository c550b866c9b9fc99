"""A mammogram's pixels and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.float32]
"""(rows, columns), 0..1, 1 = bright, on the stored grid and in the stored orientation."""

Heatmap: TypeAlias = NDArray[np.float32]
"""(rows, columns), 0..1: the DIB map on a grid over the extent of its image."""


class Heat(Protocol):
    """The DIB map of one view, drawn on whatever grid it is wanted on."""

    def on(self, shape: tuple[int, int]) -> Heatmap:
        """Its values at the pixels of a grid (rows, columns) over the extent of the stored image."""


Point: TypeAlias = tuple[float, float]
"""(column, row) in pixels of the stored image; (0, 0) is the top left corner of its first pixel,
(0.5, 0.5) that pixel's center. Source: PS3.3 C.18.6.1.1."""


class WindowRule(StrEnum):
    """Which rule gave the window of an image; the first that applies is taken."""

    WINDOW = "WINDOW"
    VOI_LUT = "VOI_LUT"
    WINDOW_ESTIMATED = "WINDOW_ESTIMATED"


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One decoded mammogram: pixel values and the window that they are shown with.

    Attributes:
        pixels: Integer (rows, columns), stored orientation; stored values, or the values that a
            VOI LUT maps them to; of a smaller grid, means of those, or what JPEG 2000 has in their place.
        low: Pixel value at and below which the display is at its minimum.
        high: Pixel value at and above which the display is at its maximum; above `low`.
        inverted: The minimum is shown white (MONOCHROME1, or Presentation LUT Shape INVERSE).
        rule: Where `low` and `high` come from.
        stored: (rows, columns) of the stored image, where `pixels` are fewer over the same extent.
    """

    pixels: NDArray[Any]
    low: float
    high: float
    inverted: bool
    rule: WindowRule
    stored: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the stored image."""
        rows, columns = self.stored or self.pixels.shape
        return rows, columns

    def on(self, pixels: NDArray[Any]) -> Mammogram:
        """The same with its pixels on another grid, or with none."""
        return replace(self, pixels=pixels, stored=self.shape)

    def window(self, pixels: NDArray[Any]) -> Image:
        """Show pixel values of this image (any grid) with its window.

        Args:
            pixels: (rows, columns), any real type, in the units of `self.pixels`.

        Returns:
            float32 (rows, columns) in 0..1, 1 = bright.
        """
        image = pixels.astype(np.float32)
        image -= np.float32(self.low)
        image *= np.float32(1.0 / (self.high - self.low))
        np.clip(image, 0.0, 1.0, out=image)
        if self.inverted:
            np.subtract(np.float32(1.0), image, out=image)
        return image

    def image(self) -> Image:
        """The whole image on the grid of its pixels."""
        return self.window(self.pixels)
