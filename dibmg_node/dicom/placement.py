"""Where words may stand on a mammogram: in the air, away from the chest wall, not over the breast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.image import Image
from dibmg_node.domain.study import Laterality

_GUARD: Final = 0.012
"""Distance kept from the breast, as a share of the longer side."""
_MARKER: Final = 0.25
"""Brightness in the air from which something (a lead marker, a label) is worth not covering."""
_POSITIONS: Final = 160
_LOOKED_AT: Final = 512
"""Least longer side of what is looked at, pixels: places are steps of a few pixels in a larger picture."""
_PRECIOUS: Final = 20
"""How much worse it is to cover a finding than as much of the breast."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Place:
    """Where a box fits best.

    Attributes:
        covered: Pixels of breast and findings that it covers, to a step.
        harm: The same, where pixels of findings count more: what the place was chosen by.
    """

    box: Box
    covered: int
    harm: int


class FreeSpace:
    """What is free of one image, and what is left of it after each box."""

    def __init__(self, image: Image, laterality: Laterality) -> None:
        """Look at an image.

        Args:
            image: float32 (rows, columns) in 0..1, 1 = bright.
            laterality: Says where the chest wall is, should the image not.
        """
        self._shape = image.shape
        self._step = max(1, max(image.shape) // _LOOKED_AT)
        reduced = _reduced(image, self._step)
        self._rows, self._columns = reduced.shape
        breast = breast_mask(reduced)
        half = self._columns // 2
        left, right = int(breast[:, :half].sum()), int(breast[:, -half:].sum())
        self.air_is_left = right > left if left != right else laterality is Laterality.RIGHT
        self._margin = _steps_of(max(4, round(_GUARD * max(image.shape))), self._step)
        self._taken = self._with_margin(breast.astype(np.uint8))
        self._closed = np.zeros_like(self._taken)
        self._bright = _any_of((image > _MARKER).astype(np.uint8), self._step)

    def best(self, width: int, height: int, *, at_top: bool) -> Place | None:
        """The best place of a box: off findings, breast and markers, then near its corner at the air side.

        Args:
            width: Pixels.
            height: Pixels.
            at_top: Whether its corner is the upper one.

        Returns:
            None where the image, or what is not closed of it, has no room for the box.
        """
        rows, columns = self._shape
        if width > columns or height > rows:
            return None
        wide, high = _steps_of(width, self._step), _steps_of(height, self._step)
        margin = min(self._margin, (self._columns - wide) // 2, (self._rows - high) // 2)
        lefts = _places(margin, self._columns - wide - margin)
        tops = _places(margin, self._rows - high - margin)
        is_open = _sums(self._closed, lefts, tops, wide, high) == 0
        if not is_open.any():
            return None
        harm = _sums(self._taken, lefts, tops, wide, high)
        bright = _sums(self._bright, lefts, tops, wide, high)
        sideways = (lefts if self.air_is_left else self._columns - wide - lefts) / self._columns
        upright = (tops if at_top else self._rows - high - tops) / self._rows
        far = sideways[np.newaxis, :] + upright[:, np.newaxis]
        # to sort all places by the three, to take the first one, took most of the time of this
        best = is_open & (harm == harm[is_open].min())
        best &= bright == bright[best].min()
        top, left = np.unravel_index(np.argmin(np.where(best, far, np.inf)), far.shape)
        # the last step may be cut off by the edge of the image
        first = min(int(lefts[left]) * self._step, columns - width)
        box = Box(first, min(int(tops[top]) * self._step, rows - height), width, height)
        here = self._taken[tops[top] : tops[top] + high, lefts[left] : lefts[left] + wide]
        pixels = self._step**2
        return Place(box, int(np.count_nonzero(here)) * pixels, int(harm[top, left]) * pixels)

    def take(self, outline: NDArray[np.float64]) -> None:
        """Mark a finding, with a margin: it is covered only where there is no other place.

        Args:
            outline: (points, 2): column and row, in pixels from the upper left corner.
        """
        inside = np.zeros_like(self._taken)
        # its box would not do: that of a large finding holds much of the air
        cv2.fillPoly(inside, [np.floor(outline / self._step).astype(np.int32)], 1)
        self._taken[self._with_margin(inside) > 0] = _PRECIOUS

    def close(self, box: Box) -> None:
        """Close a box, with a margin, for words that stand there: nothing else is to."""
        self._closed[self._around(box)] = 1

    def _with_margin(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        kernel = np.ones((2 * self._margin + 1, 2 * self._margin + 1), dtype=np.uint8)
        return np.asarray(cv2.dilate(mask, kernel), dtype=np.uint8)

    def _around(self, box: Box) -> tuple[slice, slice]:
        """A box in steps, with the margin on all sides."""
        return self._along(box.top, box.height), self._along(box.left, box.width)

    def _along(self, first: int, count: int) -> slice:
        last = _steps_of(first + count, self._step) + self._margin
        return slice(max(0, first // self._step - self._margin), last)


def _reduced(image: Image, step: int) -> Image:
    """Means of squares of `step` pixels; beyond the lower and right edge the last ones are repeated."""
    below, beside = (-side % step for side in image.shape)
    whole = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // step, whole.shape[0] // step)
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _any_of(mask: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Whether a square of `step` pixels holds any of a mask: a thin line would drown in its mean."""
    spread = cv2.dilate(mask, np.ones((step, step), np.uint8), anchor=(0, 0))
    return np.ascontiguousarray(spread[::step, ::step], dtype=np.uint8)


def _steps_of(pixels: int, step: int) -> int:
    """Steps that hold so many pixels."""
    return -(-pixels // step)


def _places(first: int, last: int) -> NDArray[np.intp]:
    count = min(_POSITIONS, last - first + 1)
    return np.unique(np.rint(np.linspace(first, last, count)).astype(np.intp))


def _sums(
    mask: NDArray[np.uint8], lefts: NDArray[np.intp], tops: NDArray[np.intp], width: int, height: int
) -> NDArray[np.int64]:
    """Pixels of a mask in a box, for every (top, left)."""
    total = np.asarray(cv2.integral(mask))
    bottoms, rights = tops + height, lefts + width

    def upto(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.asarray(total[np.ix_(rows, columns)], dtype=np.int64)

    return upto(bottoms, rights) - upto(tops, rights) - upto(bottoms, lefts) + upto(tops, lefts)
