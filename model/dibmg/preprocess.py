"""One mammogram as the network reads it: the same function for training and for the node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import AIR
from dibmg.placement import Placement
from dibmg_node.dicom.breast import breast_mask, wall_is_right
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.study import Laterality
from dibmg_node.errors import RejectedError

_ENOUGH: Final = 2000
"""Longer side, pixels: of JPEG 2000, an image that is decoded smaller differs more from means of all its
pixels; and an overlay is made of as many anyway."""


class NoBreastError(RejectedError):
    """No breast was found in an image."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A mammogram ready for the network.

    Attributes:
        pixels: float32 (size, size), -1 = air, 1 = brightest, standard orientation.
        breast: bool (size, size), where the breast is.
        placement: Way back to the stored image.
        orientation_found: False where the header had no usable orientation, and pixels decided.
        rule: Where its window comes from.
    """

    pixels: NDArray[np.float32]
    breast: NDArray[np.bool_]
    placement: Placement
    orientation_found: bool
    rule: WindowRule


def least_side(size: int) -> int:
    """How many pixels on its longer side an image needs, to be read by a network of that input size."""
    return max(_ENOUGH, size)


def preprocess(
    mammogram: Mammogram, laterality: Laterality, orientation: Sequence[str], size: int
) -> Prepared:
    """Prepare one mammogram for the network.

    Args:
        mammogram: Stored values with their window, decoded to `least_side(size)` or further.
        laterality: RIGHT or LEFT; standard orientation and padding depend on it.
        orientation: Patient Orientation, direction of rows and of columns; may be empty or unusable.
        size: Side of the square network input, pixels.

    Raises:
        NoBreastError: Nothing in the image stands out from air as a breast does.

    Source: Kim et al. 2018, Training Set-up; Patient Orientation (0020,0020), PS3.3 C.7.6.1.1.1.
    """
    source_rows, source_columns = mammogram.shape
    scale = size / max(source_rows, source_columns)
    rows, columns = max(1, round(source_rows * scale)), max(1, round(source_columns * scale))
    reduced = resize(mammogram.pixels, (rows, columns))
    breast = breast_mask(reduced, inverted=mammogram.inverted)
    if not breast.any():
        raise NoBreastError(f"no breast found in an image of {source_rows} rows x {source_columns} columns")
    shown = mammogram.window(reduced)
    shown *= np.float32(2.0)
    shown -= np.float32(1.0)
    shown[~breast] = AIR
    horizontally, vertically = flips_to_standard(laterality, orientation)
    found = horizontally is not None
    if horizontally is None:
        horizontally = wall_is_right(breast) != (laterality is Laterality.RIGHT)
    placement = Placement(
        size=size,
        source_rows=source_rows,
        source_columns=source_columns,
        rows=rows,
        columns=columns,
        offset_row=(size - rows) // 2,
        offset_column=0,
        flipped_horizontally=horizontally,
        flipped_vertically=vertically,
    )
    turn = (slice(None, None, -1 if vertically else 1), slice(None, None, -1 if horizontally else 1))
    shown, breast = shown[turn], breast[turn]
    placement = replace(placement, offset_column=_offset_to_wall(breast, laterality, size))
    pixels = placement.put(shown, np.full((size, size), AIR, np.float32))
    mask = placement.put(breast, np.zeros((size, size), bool))
    return Prepared(pixels, mask, placement, found, mammogram.rule)


def flips_to_standard(laterality: Laterality, orientation: Sequence[str]) -> tuple[bool | None, bool]:
    r"""Whether an image must be turned left to right (None: the header does not say) and top to bottom.

    Standard is R-CC P\L, L-CC A\R, R-MLO P\FL, L-MLO A\FR: the chest wall is on the right of a right
    breast, lateral (CC) or head (MLO) is up. Many scanned films carry a view name here, or nothing.
    """
    if len(orientation) != 2 or any(not part or set(part) - set("APLRHF") for part in orientation):
        return None, False
    along_rows, along_columns = orientation
    if along_rows[0] not in "AP":  # turned by a quarter, or a frontal view: nothing to go by
        return None, False
    towards_wall = along_rows[0] == "P"
    horizontally = towards_wall != (laterality is Laterality.RIGHT)
    if "F" in along_columns or "H" in along_columns:
        return horizontally, "H" in along_columns
    medial = "L" if laterality is Laterality.RIGHT else "R"
    return horizontally, medial not in along_columns and bool(set(along_columns) & set("LR"))


def _offset_to_wall(breast: NDArray[np.bool_], laterality: Laterality, size: int) -> int:
    """Column of the square where the image begins, so that the breast touches the edge at its wall.

    The breast begins at the first column that holds a tenth of the rows of its tallest one: what remains
    of a tilted film's border is thinner.
    """
    rows = breast.sum(axis=0)
    tall = np.flatnonzero(rows >= 0.1 * rows.max())
    if laterality is Laterality.RIGHT:
        return size - (int(tall[-1]) + 1)
    return -int(tall[0])
