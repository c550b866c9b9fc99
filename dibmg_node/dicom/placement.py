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
_PRECIOUS: Final = 20
"""How much worse it is to cover a finding, or other words, than as much of the breast."""


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
        covered: Pixels of the breast that it covers; those of findings and other words count more.
    """

    box: Box
    covered: int


class FreeSpace:
    """What is free of one image, and what is left of it after each box."""

    def __init__(self, image: Image, laterality: Laterality) -> None:
        """Look at an image.

        Args:
            image: float32 (rows, columns) in 0..1, 1 = bright.
            laterality: Says where the chest wall is, should the image not.
        """
        self._rows, self._columns = image.shape
        breast = breast_mask(image)
        half = self._columns // 2
        left, right = int(breast[:, :half].sum()), int(breast[:, -half:].sum())
        self.air_is_left = right > left if left != right else laterality is Laterality.RIGHT
        self._margin = max(4, round(_GUARD * max(image.shape)))
        kernel = np.ones((2 * self._margin + 1, 2 * self._margin + 1), dtype=np.uint8)
        self._taken = np.asarray(cv2.dilate(breast.astype(np.uint8), kernel), dtype=np.uint8)
        self._bright = (image > _MARKER).astype(np.uint8)

    def best(self, width: int, height: int, *, at_top: bool) -> Place | None:
        """The best place of a box: off the breast, off markers, then near its corner at the air side.

        Args:
            width: Pixels.
            height: Pixels.
            at_top: Whether its corner is the upper one.

        Returns:
            None where the image is smaller than the box.
        """
        margin = min(self._margin, (self._columns - width) // 2, (self._rows - height) // 2)
        if margin < 0:
            return None
        lefts = _steps(margin, self._columns - width - margin)
        tops = _steps(margin, self._rows - height - margin)
        covered = _sums(self._taken, lefts, tops, width, height)
        bright = _sums(self._bright, lefts, tops, width, height)
        sideways = (lefts if self.air_is_left else self._columns - width - lefts) / self._columns
        upright = (tops if at_top else self._rows - height - tops) / self._rows
        far = sideways[np.newaxis, :] + upright[:, np.newaxis]
        # to sort all places by the three, to take the first one, took most of the time of this
        best = covered == covered.min()
        best &= bright == bright[best].min()
        top, left = np.unravel_index(np.argmin(np.where(best, far, np.inf)), far.shape)
        return Place(Box(int(lefts[left]), int(tops[top]), width, height), int(covered[top, left]))

    def take(self, box: Box) -> None:
        """Mark a box as taken, with a margin: a finding, or words that stand there already."""
        gap = self._margin
        rows = slice(max(0, box.top - gap), box.top + box.height + gap)
        self._taken[rows, max(0, box.left - gap) : box.left + box.width + gap] = _PRECIOUS


def _steps(first: int, last: int) -> NDArray[np.intp]:
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
