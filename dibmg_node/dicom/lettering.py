"""Where caption and color bar of an overlay go: into the air, in letters as large as fit there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom.caption import SMALLEST_TEXT, Line, Panel, caption_panel, color_bar
from dibmg_node.dicom.placement import Box, FreeSpace

_CAPTION_WIDTHS: Final = (0.42, 0.34, 0.28, 0.23, 0.18, 0.55, 0.75, 1.0)
"""Shares of the image's width that a caption may take, best first."""
_TOLERABLE: Final = 0.1
"""Share of the image that words may cover of the breast where there is no air for them."""
_BAR_HEIGHTS: Final = (0.22, 0.16, 0.12)


def lay_caption(canvas: NDArray[np.uint8], space: FreeSpace, sentences: Sequence[Line], size: int) -> None:
    """Lay the words where they cover nothing of the breast, in the largest letters that allow it.

    Where there is no such place, they cover some of the breast; in an image so small that this would be
    much of it, there are fewer of them.
    """
    tolerable = _TOLERABLE * canvas.shape[0] * canvas.shape[1]
    least: tuple[int, Panel, Box] | None = None
    for lines in _shortened(sentences):
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


def _shortened(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """All lines; then, for an image too small for them, fewer: the first two and the last stay."""
    for kept in range(len(lines), min(len(lines), 3) - 1, -1):
        yield [*lines[: kept - 1], lines[-1]]


def lay_color_bar(
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
