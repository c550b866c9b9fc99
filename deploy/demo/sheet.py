"""The contact sheet of one exam: its four overlays as a radiologist hangs them, and the scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_HANGING = (("R-CC", "L-CC"), ("R-MLO", "L-MLO"))
"""Chest walls back to back, the right breast on the left."""
_TILE_HEIGHT = 1000
_MARGIN = 16
_HEAD = 96


def write_sheet(overlays: Mapping[str, Path], title: str, subtitle: str, target: Path) -> None:
    """Write a contact sheet.

    Args:
        overlays: PNG of each view, by its name (R-CC …); views that were not read are left blank.
        title: Upper line.
        subtitle: Lower line.
        target: PNG to write.
    """
    tiles = {view: _tile(path) for view, path in overlays.items()}
    widths = [
        max((tiles[row[side]].width for row in _HANGING if row[side] in tiles), default=400)
        for side in (0, 1)
    ]
    rows = [row for row in _HANGING if any(view in tiles for view in row)]
    width = sum(widths) + 3 * _MARGIN
    sheet = Image.new("RGB", (width, _HEAD + len(rows) * (_TILE_HEIGHT + _MARGIN)), "black")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, 12), title, fill="white", font=ImageFont.load_default(30))
    draw.text((_MARGIN, 56), subtitle, fill=(200, 200, 200), font=ImageFont.load_default(20))
    for number, row in enumerate(rows):
        top = _HEAD + number * (_TILE_HEIGHT + _MARGIN)
        for side, view in enumerate(row):
            if view in tiles:
                # the chest walls meet in the middle
                left = _MARGIN + widths[0] - tiles[view].width if side == 0 else 2 * _MARGIN + widths[0]
                sheet.paste(tiles[view], (left, top))
    sheet.save(target)


def _tile(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGB")
    return picture.resize(
        (round(picture.width * _TILE_HEIGHT / picture.height), _TILE_HEIGHT), Image.Resampling.LANCZOS
    )
