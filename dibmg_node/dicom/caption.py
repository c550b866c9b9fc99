"""The words of an overlay and its color bar, as small pictures to be laid into the air."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from dibmg_node.dicom import colors, facts
from dibmg_node.dicom.codes import LATERALITIES
from dibmg_node.dicom.result_header import plain_text
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import ViewKey

RESEARCH_ONLY: Final = "RESEARCH USE ONLY - NOT FOR DIAGNOSIS"
SMALLEST_TEXT: Final = 13
"""Height of the smallest font, pixels: below it the letters of the font run into each other."""
_LISTED: Final = 6
_TITLE: Final = 1.6

Panel = NDArray[np.uint8]
"""(rows, columns, 3), RGB on black."""


class Worth(IntEnum):
    """What a line is worth where not all of them have room: the lowest goes first."""

    REGION = 0
    """Of one region; its number stands beside it, and reports have its score."""
    SCORE = 1
    """Of view or breast."""
    VERDICT = 2
    """What is to be made of the scores: left out only where it does not fit into the image at all."""
    IDENTITY = 3
    """What this is, of which view, by what: stays."""


@dataclass(frozen=True)
class Line:
    """One sentence of a caption, before it is wrapped."""

    words: str
    color: colors.Color = colors.WORDS
    is_title: bool = False
    worth: Worth = Worth.IDENTITY


def caption_lines(result: ExamResult, view: ViewKey, *, has_heat: bool = True) -> list[Line]:
    """What stands beside a view: that it is research, whose scores, above which threshold, by what.

    Args:
        result: What the model says of the exam.
        view: Which view of it.
        has_heat: Whether the heatmap is shown, and a reader must be told what it is worth.
    """
    model, point, scores = result.model, result.operating_point, result.scores
    lines = [Line(RESEARCH_ONLY, colors.WARNING), Line(str(view), is_title=True)]
    if view in scores.views:
        lines.append(Line(f"View score {scores.views[view]:.3f}", worth=Worth.SCORE))
    if view.laterality in scores.breasts:
        breast, score = LATERALITIES[view.laterality].meaning, scores.breasts[view.laterality]
        lines.append(Line(f"{breast} score {score:.3f}", worth=Worth.SCORE))
    lines.append(Line(f"Exam score {scores.exam:.3f}", worth=Worth.VERDICT))
    side = "at or above" if scores.exam >= point.threshold else "below"
    verdict = f"Exam is {side} operating point {point.threshold:.3f} ({point.label})"
    lines.append(Line(verdict, worth=Worth.VERDICT))
    findings = [finding for finding in result.findings if finding.view == view]
    if scores.breasts.get(view.laterality, 1.0) < point.threshold:
        told = "Breast below operating point: no region marked"
        lines.append(Line(f"{told}, heat is no finding" if has_heat else told, worth=Worth.VERDICT))
    lines += [
        Line(f"Region {finding.number}: {finding.score:.3f}", colors.OUTLINE, worth=Worth.REGION)
        for finding in findings[:_LISTED]
    ]
    if len(findings) > _LISTED:
        more = f"and {len(findings) - _LISTED} regions more"
        lines.append(Line(more, colors.OUTLINE, worth=Worth.REGION))
    lines += [Line(note, colors.WARNING, worth=Worth.VERDICT) for note in result.notes.get(view, ())]
    lines.append(Line(f"{facts.ALGORITHM_NAME} {model.name} {model.version}"))
    return [replace(line, words=plain_text(line.words)) for line in lines]


def caption_panel(lines: Sequence[Line], size: int, width: int) -> Panel | None:
    """Draw a caption.

    Args:
        lines: Sentences; all of their letters are drawn.
        size: Height of the font, pixels.
        width: Columns at most; longer sentences are wrapped, longer words broken.

    Returns:
        A panel as wide as its widest line, None where not even single letters fit.
    """
    pad = max(3, size // 3)
    rows = [
        (part, line)
        for line in lines
        for part in _wrapped(line.words, _font(size, line.is_title), width - 2 * pad)
    ]
    if any(not part for part, _ in rows):
        return None
    heights = [round(1.3 * _size(size, line.is_title)) for _, line in rows]
    widest = max(_font(size, line.is_title).getlength(part) for part, line in rows)
    panel = PillowImage.new("RGB", (int(widest) + 1 + 2 * pad, sum(heights) + 2 * pad), colors.BLACK)
    draw = ImageDraw.Draw(panel)
    top = pad
    for (part, line), height in zip(rows, heights, strict=True):
        draw.text((pad, top), part, fill=line.color, font=_font(size, line.is_title))
        top += height
    return np.asarray(panel)


def color_bar(threshold: float, size: int, height: int, strength: float = 1.0) -> Panel:
    """Draw the colors as they look over gray tissue, with the operating point marked.

    Args:
        threshold: Operating point, 0..1.
        size: Height of the font, pixels.
        height: Of the bar without its margins, pixels.
        strength: That the heatmap is laid over the mammogram with.
    """
    font = _font(size, False)
    gap, bar_width = max(3, size // 3), max(8, size)
    label = f"{threshold:.3f}"
    left = gap + int(font.getlength(label)) + 1 + size
    width = left + bar_width + gap + int(font.getlength("0.5")) + 1 + gap
    values = np.linspace(1.0, 0.0, height, dtype=np.float32)[:, np.newaxis].repeat(bar_width, axis=1)
    bar = colors.blend(np.full_like(values, 0.45), values, colors.heat_start(threshold), strength)
    top = round(0.75 * size) + gap
    panel = PillowImage.new("RGB", (width, height + 2 * top), colors.BLACK)
    panel.paste(PillowImage.fromarray(bar), (left, top))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((left - 1, top - 1, left + bar_width, top + height), outline=colors.WORDS)
    for value in (0.0, 0.5, 1.0):
        row = top + (1.0 - value) * (height - 1)
        draw.text((left + bar_width + gap, row), f"{value:g}", fill=colors.WORDS, font=font, anchor="lm")
    row = round(top + (1.0 - threshold) * (height - 1))
    tip, wing = left - 2, size * 0.3
    draw.polygon(
        [(tip, row), (tip - 0.7 * size, row - wing), (tip - 0.7 * size, row + wing)], fill=colors.OUTLINE
    )
    draw.line((left, row, left + bar_width - 1, row), fill=colors.OUTLINE, width=max(1, size // 12))
    draw.text((tip - 0.8 * size, row), label, fill=colors.OUTLINE, font=font, anchor="rm")
    return np.asarray(panel)


def draw_number(
    draw: ImageDraw.ImageDraw,
    number: int,
    place: tuple[float, float],
    size: int,
    color: colors.Color = colors.OUTLINE,
) -> None:
    """Write a finding's number, middle at a place (column, row)."""
    draw.text(
        place,
        str(number),
        fill=color,
        font=_font(size, False),
        anchor="mm",
        stroke_width=max(1, size // 10),
        stroke_fill=colors.BLACK,
    )


def _size(size: int, is_title: bool) -> int:
    return round(_TITLE * size) if is_title else size


@lru_cache(64)
def _font(size: int, is_title: bool) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font, so that every machine draws the same letters; it takes a while to load."""
    font = ImageFont.load_default(_size(size, is_title))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: it has no scalable font to write with")
    return font


def _wrapped(words: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a sentence between words, and a word that is too long between letters; [""] if no letter fits."""
    lines: list[str] = []
    line = ""
    for word in words.split():
        extended = f"{line} {word}".strip()
        if font.getlength(extended) <= width:
            line = extended
            continue
        if line:
            lines.append(line)
        line = word
        while font.getlength(line) > width:
            fitting = next(
                (end for end in range(len(line) - 1, 0, -1) if font.getlength(line[:end]) <= width), 0
            )
            if fitting == 0:
                return [""]
            lines.append(line[:fitting])
            line = line[fitting:]
    return [*lines, line]
