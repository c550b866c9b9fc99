"""What an overlay looks like: heatmap, outlines, color bar and words over a mammogram."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.image import Heatmap, Image
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import ViewKey

MAX_SIDE: Final = 2048
"""Longer side of an overlay by default, pixels."""


class OverlayStyle(StrEnum):
    """How an overlay shows the findings."""

    COLOR = "color"


def output_shape(rows: int, columns: int, max_side: int = MAX_SIDE) -> tuple[int, int]:
    """(rows, columns) of the overlay of an image of that size; `max_side` 0 keeps the image's own."""
    raise NotImplementedError


def render_overlay(
    image: Image,
    heatmap: Heatmap,
    view: ViewKey,
    result: ExamResult,
    *,
    max_side: int = MAX_SIDE,
    style: OverlayStyle = OverlayStyle.COLOR,
) -> NDArray[np.uint8]:
    """Draw one view's overlay.

    The findings are those of `result` on `view`. Places are right to half an output pixel.

    Args:
        image: float32 (rows, columns) in 0..1, 1 = bright, stored orientation.
        heatmap: Same grid and range; low values leave the image untouched.
        max_side: Longer side of the output at most, pixels; 0 keeps the image's own grid.

    Returns:
        uint8 (rows, columns, 3), RGB.

    Raises:
        ValueError: The grids differ; the message gives both shapes.
    """
    raise NotImplementedError
