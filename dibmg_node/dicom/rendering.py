"""What an overlay looks like: heatmap, outlines, color bar and words over a mammogram."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom import colors
from dibmg_node.dicom.caption import SMALLEST_TEXT, caption_lines
from dibmg_node.dicom.lettering import lay_caption, lay_color_bar
from dibmg_node.dicom.outlines import draw_outlines, number
from dibmg_node.dicom.placement import FreeSpace
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.image import Heat, Heatmap, Image, Mammogram
from dibmg_node.domain.result import ExamResult, OverlayStyle
from dibmg_node.domain.study import ViewKey

MAX_SIDE: Final = 2048
"""Longer side of an overlay by default, pixels."""
_TEXT_SHARE: Final = 72
"""The longer side has room for so many lines of text."""
_NEARLY: Final = 0.97
"""Share of the longest side that will do, where each pixel of an overlay is a square of whole ones then."""
_FAINT: Final = 0.4
"""Strength of the heatmap over a breast below the operating point, where nothing is marked."""


def output_shape(
    rows: int, columns: int, max_side: int = MAX_SIDE, style: OverlayStyle = OverlayStyle.COLOR
) -> tuple[int, int]:
    """(rows, columns) of the overlay of an image of that size, with all of its panels.

    `max_side` 0 keeps the image's own grid in each panel.
    """
    longer = max(rows, columns * style.panels)
    if max_side <= 0 or longer <= max_side:
        return rows, columns * style.panels
    step = -(-longer // max_side)
    whole = (-(-rows // step), -(-columns // step) * style.panels)
    if _NEARLY * max_side <= max(whole) <= max_side:
        return whole
    widest = max_side // style.panels
    panel = min(max(1, round(columns * max_side / longer)), widest)
    return max(1, round(rows * max_side / longer)), panel * style.panels


def for_overlay(
    mammogram: Mammogram, max_side: int = MAX_SIDE, style: OverlayStyle = OverlayStyle.COLOR
) -> Mammogram:
    """As many of its pixels as an overlay shows, each the mean of those it covers; arguments as below."""
    rows, columns = output_shape(*mammogram.shape, max_side, style)
    return mammogram.on(resize(mammogram.pixels, (rows, columns // style.panels)))


def render_overlay(
    mammogram: Mammogram,
    heat: Heat,
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
        mammogram: The image, in its stored orientation, with its window; or what `for_overlay` leaves of it.
        heat: Its heatmap; low values leave the image untouched.
        view: Which view of the exam this is; its findings are outlined.
        result: What the model says of the exam.
        max_side: Longer side of the output at most, pixels; 0 keeps the image's own grid. What is larger
            is averaged over each output pixel before the window is applied.
        style: How to show it. SIDE_BY_SIDE has the mammogram alone in its left half and heatmap and
            outlines in its right, both on one grid.

    Returns:
        uint8 (rows, columns, 3), RGB.
    """
    gray = for_overlay(mammogram, max_side, style).image()
    marked = _marked(gray, heat.on((gray.shape[0], gray.shape[1])), view, result, mammogram.shape, style)
    if style is not OverlayStyle.SIDE_BY_SIDE:
        return marked
    return np.concatenate([_plain(gray, view, result), marked], axis=1)


def _marked(
    gray: Image,
    heat: Heatmap,
    view: ViewKey,
    result: ExamResult,
    source: tuple[int, int],
    style: OverlayStyle,
) -> NDArray[np.uint8]:
    """The panel with the marks: heatmap (but for CONTOUR), outlines, numbers and words."""
    has_heat = style is not OverlayStyle.CONTOUR
    findings = [finding for finding in result.findings if finding.view == view]
    threshold = result.operating_point.threshold
    # strong color beside a score that calls the breast negative would be taken for a mark
    strength = 1.0 if result.scores.breasts.get(view.laterality, 1.0) >= threshold else _FAINT
    canvas = colors.blend(gray, heat if has_heat else 0 * heat, colors.heat_start(threshold), strength)
    scale = (gray.shape[1] / source[1], gray.shape[0] / source[0])
    size = _size(gray)
    space = FreeSpace(gray, view.laterality)
    for finding in findings:
        space.take(np.array(finding.outline) * scale)
    draw_outlines(canvas, findings, scale)
    number(canvas, findings, scale, size, space.air_is_left)
    lay_caption(canvas, space, caption_lines(result, view, has_heat=has_heat), size)
    if has_heat:
        lay_color_bar(canvas, space, threshold, size, strength)
    return canvas


def _plain(gray: Image, view: ViewKey, result: ExamResult) -> NDArray[np.uint8]:
    """The panel without marks; that it is research, and which view, stands in it too."""
    canvas = colors.blend(gray, np.zeros_like(gray), 0.0)
    lay_caption(canvas, FreeSpace(gray, view.laterality), caption_lines(result, view)[:2], _size(gray))
    return canvas


def _size(gray: Image) -> int:
    """Height of the font, pixels."""
    return max(SMALLEST_TEXT, round(int(max(gray.shape)) / _TEXT_SHARE))
