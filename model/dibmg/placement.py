"""Where a stored image lies in the square that the network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.image import Point

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class Placement:
    """The way from stored pixels to network pixels and back, exact to rounding errors.

    Both grids count as `Point` does: (0, 0) is the corner of the first pixel, (0.5, 0.5) its center,
    so scaling needs no half-pixel terms.

    Attributes:
        size: Side of the network input, pixels.
        source_rows, source_columns: The stored grid.
        rows, columns: The reduced image inside the square.
        offset_row, offset_column: Its top left corner in the square; an image may reach beyond the square
            where it has padding at the chest wall.
        flipped_horizontally, flipped_vertically: What turned the stored image into the standard orientation.
    """

    size: int
    source_rows: int
    source_columns: int
    rows: int
    columns: int
    offset_row: int
    offset_column: int
    flipped_horizontally: bool
    flipped_vertically: bool

    @property
    def scale(self) -> float:
        """Network pixels a stored pixel, along the longer side."""
        return max(self.rows, self.columns) / max(self.source_rows, self.source_columns)

    @property
    def flips(self) -> str:
        """What was turned, in words; empty for nothing."""
        words = ("left to right",) * self.flipped_horizontally + ("top to bottom",) * self.flipped_vertically
        return " and ".join(words)

    def to_stored(self, point: Point) -> Point:
        """(column, row) in the network square → (column, row) in the stored image."""
        column = (point[0] - self.offset_column) * self.source_columns / self.columns
        row = (point[1] - self.offset_row) * self.source_rows / self.rows
        if self.flipped_horizontally:
            column = self.source_columns - column
        if self.flipped_vertically:
            row = self.source_rows - row
        return column, row

    def to_network(self, point: Point) -> Point:
        """(column, row) in the stored image → (column, row) in the network square."""
        columns, rows = np.asarray([point[0]], np.float64), np.asarray([point[1]], np.float64)
        return float(self.to_network_columns(columns)[0]), float(self.to_network_rows(rows)[0])

    def to_network_columns(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns in the stored image → columns in the network square."""
        turned = self.source_columns - columns if self.flipped_horizontally else columns
        return np.asarray(turned * self.columns / self.source_columns + self.offset_column, dtype=np.float64)

    def to_network_rows(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows in the stored image → rows in the network square."""
        turned = self.source_rows - rows if self.flipped_vertically else rows
        return np.asarray(turned * self.rows / self.source_rows + self.offset_row, dtype=np.float64)

    def put(self, image: NDArray[Pixel], square: NDArray[Pixel]) -> NDArray[Pixel]:
        """Lay a reduced, turned image (rows, columns) into the square (size, size), in place."""
        onto, of = self._overlap()
        square[onto] = image[of]
        return square

    def take(self, square: NDArray[Pixel]) -> NDArray[Pixel]:
        """The reduced, turned image (rows, columns) out of the square; 0 where the square does not reach."""
        onto, of = self._overlap()
        image = np.zeros((self.rows, self.columns), square.dtype)
        image[of] = square[onto]
        return image

    def _overlap(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where the image and the square lie over each other: in the square, and in the image."""
        pairs = [
            (
                slice(max(offset, 0), min(offset + length, self.size)),
                slice(max(-offset, 0), min(self.size - offset, length)),
            )
            for offset, length in ((self.offset_row, self.rows), (self.offset_column, self.columns))
        ]
        return (pairs[0][0], pairs[1][0]), (pairs[0][1], pairs[1][1])
