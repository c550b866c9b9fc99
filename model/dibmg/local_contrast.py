"""How strongly a view's tissue is drawn: by it, images unlike those of training are told from the others.

Digital images are processed until contrast is high everywhere; films are bright and flat. A network that has
learned from the one calls the other cancer everywhere, or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import AIR
from dibmg.contrast_range import ContrastRange

_GRID: Final = 256
"""Side, pixels, of what is looked at, whatever the input size."""
_NEARBY: Final = 4.0
"""Standard deviation, pixels of that grid, of the neighborhood that a place is compared with."""
_SURROUNDED: Final = 0.9
"""Share of the neighborhood that has to be breast: the skin line is no contrast of tissue."""
_SPREAD: Final = (16.0, 84.0)
"""Percentiles two standard deviations apart: a clip or a marker counts for nothing."""
_USUAL: Final = (2.5, 97.5)
"""Percentiles of the views of training that count as usual there."""


def local_contrast(view: NDArray[np.float32]) -> float | None:
    """Standard deviation of how places differ from their neighborhood, as a share of the median brightness.

    Args:
        view: float32 (size, size), what the network reads: -1 = air, 1 = brightest.

    Returns:
        None where hardly any tissue is brighter than air.
    """
    shape = (_GRID, _GRID)
    gray = (cv2.resize(view, shape, interpolation=cv2.INTER_AREA) + np.float32(1)) / np.float32(2)
    tissue = cv2.resize((view > AIR).astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    whole = (tissue > 1 - 1e-3).astype(np.float32)
    share = _nearby(whole)
    inside = (whole > 0) & (share > _SURROUNDED)
    if not inside.any():
        return None
    difference = gray[inside] - _nearby(gray * whole)[inside] / share[inside]
    low, high = np.percentile(difference, _SPREAD)
    return float((high - low) / 2.0 / np.median(gray[inside]))


def usual_contrast(views: Iterable[NDArray[np.float32]]) -> ContrastRange | None:
    """That of the middle 95 % of some views; None where they have none, or one and the same."""
    found = [one for one in map(local_contrast, views) if one is not None]
    if not found:
        return None
    low, high = (round(float(value), 4) for value in np.percentile(found, _USUAL))
    return ContrastRange(low, high) if low < high else None


def _nearby(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _NEARBY, borderType=cv2.BORDER_REPLICATE))
