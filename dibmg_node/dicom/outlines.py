"""Outlines of findings and their numbers, drawn over a mammogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from dibmg_node.dicom import colors
from dibmg_node.dicom.caption import draw_number
from dibmg_node.dicom.placement import Box
from dibmg_node.domain.result import Finding

_SHIFT: Final = 6
"""OpenCV draws at 1/64 of a pixel."""


def draw_outlines(canvas: NDArray[np.uint8], findings: Sequence[Finding], scale: tuple[float, float]) -> None:
    """Draw closed outlines in place; OpenCV's (0, 0) is the center of the first pixel, DICOM's its corner."""
    thickness = max(1, round(max(canvas.shape) / 900))
    for finding in findings:
        points = np.array(finding.outline, dtype=np.float64) * scale - 0.5
        fixed = np.rint(points * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2)
        for color, width in ((colors.BLACK, thickness + 2), (colors.OUTLINE, thickness)):
            cv2.polylines(canvas, [fixed], True, color, width, cv2.LINE_AA, _SHIFT)


def _bounds(finding: Finding, scale: tuple[float, float]) -> Box:
    """The box around a finding, in output pixels."""
    outline = np.array(finding.outline) * scale
    left, top = (max(0, int(low)) for low in outline.min(axis=0))
    right, bottom = (int(np.ceil(high)) for high in outline.max(axis=0))
    return Box(left, top, right - left, bottom - top)


def number(
    canvas: NDArray[np.uint8],
    findings: Sequence[Finding],
    scale: tuple[float, float],
    size: int,
    air_is_left: bool,
) -> None:
    """Write each finding's number beside its outline, at the side of the air."""
    rows, columns = canvas.shape[:2]
    for finding in findings:
        box = _bounds(finding, scale)
        row = min(max(box.top + box.height / 2, size), rows - size)
        left, right = _extent(finding, scale, row)
        column = left - size if air_is_left else right + size
        if not size <= column <= columns - size:
            column = right + size if air_is_left else left - size
        _number_at(canvas, finding.number, (column, row), size)


def _extent(finding: Finding, scale: tuple[float, float], row: float) -> tuple[float, float]:
    """Where an outline begins and ends in a row: its box may be much wider there than it is itself."""
    here = np.array(finding.outline, dtype=np.float64) * scale
    following = np.roll(here, -1, axis=0)
    crossing = (np.minimum(here, following)[:, 1] <= row) & (np.maximum(here, following)[:, 1] >= row)
    if not crossing.any():  # the row was moved off it, away from the edge of the picture
        return float(here[:, 0].min()), float(here[:, 0].max())
    here, following = here[crossing], following[crossing]
    height = following[:, 1] - here[:, 1]
    share = np.divide(row - here[:, 1], height, out=np.zeros_like(height), where=height != 0)
    at = here[:, 0] + share * (following[:, 0] - here[:, 0])
    return float(at.min()), float(at.max())


def _number_at(canvas: NDArray[np.uint8], number: int, place: tuple[float, float], size: int) -> None:
    """Write on the surroundings alone: Pillow takes a copy of what it writes on."""
    left, top = (max(0, int(coordinate) - 4 * size) for coordinate in place)
    around = canvas[top : top + 8 * size, left : left + 8 * size]
    picture = PillowImage.fromarray(np.ascontiguousarray(around))
    draw_number(ImageDraw.Draw(picture), number, (place[0] - left, place[1] - top), size)
    around[:] = np.asarray(picture)
