"""Circles around lesions that a publisher drew otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

import cv2
import numpy as np

from dibmg.data.manifest import Circle
from dibmg_node.domain.image import Point

_SMALLEST: Final = 0.5
"""Radius in pixels of a place that is marked by one point: a circle has one."""


def around_points(points: Sequence[Point]) -> Circle:
    """The smallest circle around an outline.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("expected at least one point, found none")
    (column, row), radius = cv2.minEnclosingCircle(np.array(points, np.float32).reshape(-1, 1, 2))
    return Circle(float(column), float(row), max(float(radius), _SMALLEST))


def around_box(left: float, top: float, right: float, bottom: float) -> Circle:
    """A circle for a box: its center, and half the geometric mean of its sides as radius.

    Its area is π/4 of the box's, that of the ellipse which fills the box. A circle through the corners would
    take in much that the reader left out.
    """
    side = sqrt(abs(right - left) * abs(bottom - top))
    return Circle((left + right) / 2, (top + bottom) / 2, max(side / 2, _SMALLEST))
