"""Where caption and color bar of an overlay go: into the air, in letters as large as fit there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom.caption import SMALLEST_TEXT, Line, Panel, Worth, caption_panel, color_bar
from dibmg_node.dicom.placement import FreeSpace, Place

_CAPTION_WIDTHS: Final = (0.42, 0.34, 0.28, 0.23, 0.18, 0.55, 0.75, 1.0)
"""Shares of the image's width that a caption may take, best first."""
_NARROWEST: Final = 7
"""Width of a caption at least, in heights of its letters: in a narrower one, words are broken."""
_TOLERABLE: Final = 0.1
"""Share of the image that words or color bar may cover of the breast where there is no air for them."""
_BAR_HEIGHTS: Final = (0.22, 0.16, 0.12)


@dataclass(frozen=True)
class _Choice:
    """A panel and its place."""

    panel: Panel
    place: Place


def lay_caption(canvas: NDArray[np.uint8], space: FreeSpace, sentences: Sequence[Line], size: int) -> None:
    """Lay the words where they cover nothing of the breast, in the largest letters that allow it.

    Where there is no such place, they cover some of the breast; in an image so small that this would be
    much of it, regions and scores are left out, but no verdict and no warning that fits into the image.
    """
    choice = None
    for lines in _shortened(sentences):
        panels = (
            caption_panel(lines, letters, width)
            for letters in _sizes(size)
            for width in _widths(letters, canvas.shape[1])
        )
        choice = _least_harmful(panels, space, at_top=True)
        must_stay = all(line.worth >= Worth.VERDICT for line in lines)
        if choice is not None and (must_stay or _is_tolerable(choice.place, canvas)):
            break
    if choice is not None:
        _lay(canvas, space, choice)


def _shortened(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """All lines; then fewer, one by one: those worth least first, of these the last."""
    kept = list(lines)
    yield kept
    for worth, line in product((Worth.REGION, Worth.SCORE, Worth.VERDICT), reversed(lines)):
        if line.worth is worth:
            kept = [one for one in kept if one is not line]
            yield kept


def lay_color_bar(
    canvas: NDArray[np.uint8], space: FreeSpace, threshold: float, size: int, strength: float
) -> None:
    """Lay the color bar where it covers nothing, or else little of the breast; never over the words.

    It is left out where there is no such place.
    """
    panels = (
        color_bar(threshold, letters, round(share * max(canvas.shape[:2])), strength)
        for letters, share in product(_sizes(size), _BAR_HEIGHTS)
    )
    choice = _least_harmful(panels, space, at_top=False)
    if choice is not None and _is_tolerable(choice.place, canvas):
        _lay(canvas, space, choice)


def _least_harmful(panels: Iterable[Panel | None], space: FreeSpace, *, at_top: bool) -> _Choice | None:
    """The first panel that harms nothing, or else the one that does least; None where none fits."""
    best: _Choice | None = None
    for panel in panels:
        place = None if panel is None else space.best(panel.shape[1], panel.shape[0], at_top=at_top)
        if panel is not None and place is not None and (best is None or place.harm < best.place.harm):
            best = _Choice(panel, place)
            if place.harm == 0:
                break
    return best


def _is_tolerable(place: Place, canvas: NDArray[np.uint8]) -> bool:
    return place.covered <= _TOLERABLE * canvas[..., 0].size


def _widths(letters: int, columns: int) -> list[int]:
    """Columns that a caption may take, best first."""
    narrowest = min(columns, _NARROWEST * letters)
    return list(dict.fromkeys(max(narrowest, int(share * columns)) for share in _CAPTION_WIDTHS))


def _sizes(size: int) -> list[int]:
    """Heights of the font to try, largest first."""
    heights = {max(SMALLEST_TEXT, round(share * size)) for share in (1.0, 0.85, 0.7)}
    return sorted(heights, reverse=True)


def _lay(canvas: NDArray[np.uint8], space: FreeSpace, choice: _Choice) -> None:
    """Lay a panel on a darkened ground, so that its words stand out over film and breast too."""
    box = choice.place.box
    ground = canvas[box.top : box.top + box.height, box.left : box.left + box.width]
    ground[:] = np.maximum(choice.panel, (ground * 0.35).astype(np.uint8))
    space.close(box)
