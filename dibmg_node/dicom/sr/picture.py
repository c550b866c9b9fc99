"""Findings of a report drawn over the image that they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from dibmg_node.dicom import colors
from dibmg_node.dicom.caption import RESEARCH_ONLY, SMALLEST_TEXT, Line, Panel, caption_panel, draw_number
from dibmg_node.dicom.placement import Box, FreeSpace
from dibmg_node.dicom.rendering import MAX_SIDE, output_shape
from dibmg_node.dicom.sr.cad_content import CadFinding, Intent, LibraryImage, Shape
from dibmg_node.domain.image import Image, Point
from dibmg_node.domain.study import Laterality

_COLORS: Final[dict[Intent | None, colors.Color]] = {
    Intent.REQUIRED: colors.OUTLINE,
    Intent.OPTIONAL: colors.WARNING,
    Intent.NOT: (150, 150, 150),
    None: colors.OUTLINE,
}
_SHIFT: Final = 6
"""OpenCV draws at 1/64 of a pixel."""
_FARTHEST: Final = 2.0**20
"""Coordinates are held to this: OpenCV counts in 32 bits."""
_ROUND: Final = 96
"""Corners of a circle."""
_WIDTHS: Final = (0.42, 0.34, 0.28, 0.55, 0.75, 1.0)
_LISTED: Final = 12


@dataclass(frozen=True)
class Marked:
    """A finding with the number that it has in the table."""

    number: int
    finding: CadFinding


def draw_findings(
    image: Image, about: LibraryImage, marked: Sequence[Marked], title: str, max_side: int = MAX_SIDE
) -> NDArray[np.uint8]:
    """One image with its findings.

    Calcifications of a cluster are drawn, but neither numbered nor listed.

    Args:
        image: float32 (rows, columns) in 0..1, 1 = bright, stored orientation.
        about: Which image it is; shapes on other images are left out.
        marked: Findings, the first drawn last.
        title: Whose findings they are.
        max_side: Longer side of the picture at most, pixels; 0 keeps the image's own grid.

    Returns:
        uint8 (rows, columns, 3), RGB.
    """
    height, width = image.shape
    rows, columns = output_shape(height, width, max_side)
    gray = image
    if (rows, columns) != (height, width):
        resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        gray = np.asarray(resized, dtype=np.float32)
    scale = (columns / width, rows / height)
    levels = np.rint(np.clip(gray, 0.0, 1.0) * 255.0).astype(np.uint8)
    canvas = np.repeat(levels[..., np.newaxis], 3, axis=2)
    size = max(SMALLEST_TEXT, round(max(rows, columns) / 72))
    space = FreeSpace(gray, about.laterality or Laterality.RIGHT)
    boxes: list[tuple[Marked, Box]] = []
    for one in reversed(marked):
        shapes = [shape for shape in one.finding.shapes if shape.sop_uid == about.sop_uid]
        paths = [_path(shape) * scale for shape in shapes]
        for shape, path in zip(shapes, paths, strict=True):
            _draw(canvas, shape, path, _COLORS[one.finding.intent], size)
        if paths:
            box = _bounds(np.concatenate(paths), rows, columns)
            boxes.append((one, box))
            if one.finding.intent is not Intent.NOT:
                # the outline of a whole breast would leave no place for words
                for path in paths:
                    space.take(path)
    parts = {path for one in marked for path in one.finding.parts if not one.finding.composite}
    boxes = [(one, box) for one, box in boxes if one.finding.path not in parts]
    canvas = _numbers(canvas, boxes, size, space.air_is_left)
    _lay_caption(canvas, space, _lines(about, [one for one, _ in reversed(boxes)], title), size)
    return canvas


def describe(finding: CadFinding) -> str:
    """A finding in a few words."""
    parts = [finding.kind.meaning or finding.kind.value]
    if finding.parts:
        parts[0] += f" of {len(finding.parts)}"
    if finding.certainty is not None:
        parts.append(f"certainty {finding.certainty:g} %")
    if finding.probability is not None:
        parts.append(f"probability {finding.probability:g} %")
    return ", ".join(parts)


def _path(shape: Shape) -> NDArray[np.float64]:
    """(n, 2) points along a shape, in pixels of its image. Source: PS3.3 C.18.6.1.2."""
    points = np.clip(np.array(shape.points, dtype=np.float64), -_FARTHEST, _FARTHEST)
    turn = np.linspace(0.0, 2.0 * np.pi, _ROUND + 1)
    if shape.kind == "CIRCLE":
        center, rim = points
        radius = np.hypot(*(rim - center))
        return np.asarray(center + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    if shape.kind == "ELLIPSE":
        center = (points[0] + points[1]) / 2.0
        long, short = (points[1] - points[0]) / 2.0, (points[3] - points[2]) / 2.0
        return np.asarray(center + np.cos(turn)[:, None] * long + np.sin(turn)[:, None] * short)
    return points


def _draw(
    canvas: NDArray[np.uint8], shape: Shape, path: NDArray[np.float64], color: colors.Color, size: int
) -> None:
    """Lines on a black ground; OpenCV's (0, 0) is the center of the first pixel, DICOM's its corner."""
    thickness = max(1, round(max(canvas.shape) / 900))
    lines = [path]
    if shape.kind in ("POINT", "MULTIPOINT"):
        arm = size / 2.0
        lines = [
            np.array([point - step, point + step]) for point in path for step in ((arm, 0.0), (0.0, arm))
        ]
    for tone, width in ((colors.BLACK, thickness + 2), (color, thickness)):
        for line in lines:
            fixed = np.clip(np.rint((line - 0.5) * 2**_SHIFT), -(2**30), 2**30)
            cv2.polylines(
                canvas, [fixed.astype(np.int32).reshape(-1, 1, 2)], False, tone, width, cv2.LINE_AA, _SHIFT
            )


def _bounds(path: NDArray[np.float64], rows: int, columns: int) -> Box:
    """The box around points, as much of it as lies on the picture."""
    left, top = np.floor(np.clip(path.min(axis=0), 0.0, (columns - 1, rows - 1))).astype(int)
    right, bottom = np.ceil(np.clip(path.max(axis=0), 1.0, (columns, rows))).astype(int)
    return Box(int(left), int(top), max(1, int(right - left)), max(1, int(bottom - top)))


def _numbers(
    canvas: NDArray[np.uint8], boxes: Sequence[tuple[Marked, Box]], size: int, air_is_left: bool
) -> NDArray[np.uint8]:
    """Each finding's number beside it, at the side of the air where there is room."""
    picture = PillowImage.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    rows, columns = canvas.shape[:2]
    for one, box in boxes:
        sides: tuple[float, float] = (box.left - size, box.left + box.width + size)
        first, second = sides if air_is_left else sides[::-1]
        column = first if size <= first <= columns - size else second
        place: Point = (
            min(max(column, size), columns - size),
            min(max(box.top + box.height / 2, size), rows - size),
        )
        draw_number(draw, one.number, place, size, _COLORS[one.finding.intent])
    return np.array(picture)


def _lines(about: LibraryImage, marked: Sequence[Marked], title: str) -> list[Line]:
    lines = [Line(RESEARCH_ONLY), Line(about.name, is_title=True), Line(title)]
    lines += [
        Line(f"{one.number} {describe(one.finding)}", _COLORS[one.finding.intent]) for one in marked[:_LISTED]
    ]
    if len(marked) > _LISTED:
        lines.append(Line(f"and {len(marked) - _LISTED} findings more"))
    return lines if marked else [*lines, Line("no finding on this image")]


def _lay_caption(canvas: NDArray[np.uint8], space: FreeSpace, lines: Sequence[Line], size: int) -> None:
    """Lay the words where they cover least, in the largest letters that cover nothing."""
    best: tuple[int, Panel, Box] | None = None
    for letters, share in product((size, max(SMALLEST_TEXT, round(0.7 * size))), _WIDTHS):
        panel = caption_panel(lines, letters, int(share * canvas.shape[1]))
        place = None if panel is None else space.best(panel.shape[1], panel.shape[0], at_top=True)
        if panel is not None and place is not None and (best is None or place.harm < best[0]):
            best = (place.harm, panel, place.box)
    if best is None:
        return
    _, panel, box = best
    ground = canvas[box.top : box.top + box.height, box.left : box.left + box.width]
    ground[:] = np.maximum(panel, (ground * 0.35).astype(np.uint8))
