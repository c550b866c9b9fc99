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


def bounds(finding: Finding, scale: tuple[float, float]) -> Box:
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
) -> NDArray[np.uint8]:
    """Write each finding's number beside its outline, at the side of the air."""
    picture = PillowImage.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    rows, columns = canvas.shape[:2]
    for finding in findings:
        box = bounds(finding, scale)
        column = box.left - size if air_is_left else box.left + box.width + size
        if not size <= column <= columns - size:
            column = box.left + box.width + size if air_is_left else box.left - size
        row = min(max(box.top + box.height / 2, size), rows - size)
        draw_number(draw, finding.number, (column, row), size)
    return np.array(picture)
