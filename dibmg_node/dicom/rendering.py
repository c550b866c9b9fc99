"""What an overlay looks like: heatmap, outlines, color bar and words over a mammogram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from dibmg_node.dicom import colors
from dibmg_node.dicom.caption import (
    SMALLEST_TEXT,
    Line,
    Panel,
    caption_lines,
    caption_panel,
    color_bar,
    draw_number,
)
from dibmg_node.dicom.placement import Box, FreeSpace
from dibmg_node.domain.image import Heatmap, Image
from dibmg_node.domain.result import ExamResult, Finding
from dibmg_node.domain.study import ViewKey

MAX_SIDE: Final = 2048
"""Longer side of an overlay by default, pixels."""
_TEXT_SHARE: Final = 72
"""The longer side has room for so many lines of text."""
_CAPTION_WIDTHS: Final = (0.42, 0.34, 0.28, 0.23, 0.18, 0.55, 0.75, 1.0)
"""Shares of the image's width that a caption may take, best first."""
_TOLERABLE: Final = 0.1
"""Share of the image that words may cover of the breast where there is no air for them."""
_BAR_HEIGHTS: Final = (0.22, 0.16, 0.12)
_SHIFT: Final = 6
"""OpenCV draws at 1/64 of a pixel."""


_FAINT: Final = 0.4
"""Strength of the heatmap over a breast below the operating point, where nothing is marked."""


class OverlayStyle(StrEnum):
    """How an overlay shows the findings."""

    COLOR = "color"


def output_shape(rows: int, columns: int, max_side: int = MAX_SIDE) -> tuple[int, int]:
    """(rows, columns) of the overlay of an image of that size; `max_side` 0 keeps the image's own."""
    longer = max(rows, columns)
    if max_side <= 0 or longer <= max_side:
        return rows, columns
    return max(1, round(rows * max_side / longer)), max(1, round(columns * max_side / longer))


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

    Places are right to half an output pixel. Words stand in the air, wrapped and in smaller letters
    where that is small; only where no letter would be legible do they cover the breast.

    Args:
        image: float32 (rows, columns) in 0..1, 1 = bright, stored orientation.
        heatmap: Same grid and range; low values leave the image untouched.
        view: Which view of the exam this is; its findings are outlined.
        result: What the model says of the exam.
        max_side: Longer side of the output at most, pixels; 0 keeps the image's own grid.
        style: How to show it.

    Returns:
        uint8 (rows, columns, 3), RGB.

    Raises:
        ValueError: The grids differ; the message gives both shapes.
    """
    if image.shape != heatmap.shape:
        raise ValueError(f"image {image.shape} and heatmap {heatmap.shape} are on different grids")
    rows, columns = image.shape
    shape = output_shape(rows, columns, max_side)
    gray, heat = _resized(image, shape), _resized(heatmap, shape)
    findings = [finding for finding in result.findings if finding.view == view]
    threshold = result.operating_point.threshold
    # strong color beside a score that calls the breast negative would be taken for a mark
    strength = 1.0 if result.scores.breasts.get(view.laterality, 1.0) >= threshold else _FAINT
    canvas = _STYLES[style](gray, heat, threshold, strength)
    scale = (shape[1] / columns, shape[0] / rows)
    size = max(SMALLEST_TEXT, round(max(shape) / _TEXT_SHARE))
    space = FreeSpace(gray, view.laterality)
    for finding in findings:
        space.take(_bounds(finding, scale))
    _draw_outlines(canvas, findings, scale)
    canvas = _number(canvas, findings, scale, size, space.air_is_left)
    _lay_caption(canvas, space, result, view, size)
    _lay_color_bar(canvas, space, threshold, size, strength)
    return canvas


def _in_color(gray: Image, heat: Heatmap, threshold: float, strength: float) -> NDArray[np.uint8]:
    return colors.blend(gray, heat, colors.heat_start(threshold), strength)


_STYLES: Final = {OverlayStyle.COLOR: _in_color}


def _resized(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Mean over the area of each output pixel: the edges of both grids coincide."""
    if pixels.shape == shape:
        return pixels
    return np.asarray(
        cv2.resize(pixels, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), dtype=np.float32
    )


def _draw_outlines(
    canvas: NDArray[np.uint8], findings: Sequence[Finding], scale: tuple[float, float]
) -> None:
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


def _number(
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
        box = _bounds(finding, scale)
        column = box.left - size if air_is_left else box.left + box.width + size
        if not size <= column <= columns - size:
            column = box.left + box.width + size if air_is_left else box.left - size
        row = min(max(box.top + box.height / 2, size), rows - size)
        draw_number(draw, finding.number, (column, row), size)
    return np.array(picture)


def _lay_caption(
    canvas: NDArray[np.uint8], space: FreeSpace, result: ExamResult, view: ViewKey, size: int
) -> None:
    """Lay the words where they cover nothing of the breast, in the largest letters that allow it.

    Where there is no such place, they cover some of the breast; in an image so small that this would be
    much of it, there are fewer of them.
    """
    tolerable = _TOLERABLE * canvas.shape[0] * canvas.shape[1]
    least: tuple[int, Panel, Box] | None = None
    for lines in _shortened(caption_lines(result, view)):
        least = None
        for letters, share in product(_sizes(size), _CAPTION_WIDTHS):
            panel = caption_panel(lines, letters, int(share * canvas.shape[1]))
            place = None if panel is None else space.best(panel.shape[1], panel.shape[0], at_top=True)
            if panel is not None and place is not None and (least is None or place.covered < least[0]):
                least = (place.covered, panel, place.box)
            if least is not None and least[0] == 0:
                break
        if least is not None and least[0] <= tolerable:
            break
    if least is not None:
        _lay(canvas, space, least[1], least[2])


def _shortened(lines: list[Line]) -> Iterator[list[Line]]:
    """All lines; then, for an image too small for them, fewer: the first two and the last stay."""
    for kept in range(len(lines), 2, -1):
        yield [*lines[: kept - 1], lines[-1]]


def _lay_color_bar(
    canvas: NDArray[np.uint8], space: FreeSpace, threshold: float, size: int, strength: float
) -> None:
    """Lay the color bar where it covers nothing; it is left out where there is no such place."""
    for letters, share in product(_sizes(size), _BAR_HEIGHTS):
        panel = color_bar(threshold, letters, round(share * max(canvas.shape[:2])), strength)
        place = space.best(panel.shape[1], panel.shape[0], at_top=False)
        if place is not None and place.covered == 0:
            _lay(canvas, space, panel, place.box)
            return


def _sizes(size: int) -> list[int]:
    """Heights of the font to try, largest first."""
    heights = {max(SMALLEST_TEXT, round(share * size)) for share in (1.0, 0.85, 0.7)}
    return sorted(heights, reverse=True)


def _lay(canvas: NDArray[np.uint8], space: FreeSpace, panel: Panel, box: Box) -> None:
    """Lay a panel on a darkened ground, so that its words stand out over film and breast too."""
    ground = canvas[box.top : box.top + box.height, box.left : box.left + box.width]
    ground[:] = np.maximum(panel, (ground * 0.35).astype(np.uint8))
    space.take(box)
