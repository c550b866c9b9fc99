"""Pixels on another grid over the same extent: the edges of both grids coincide."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def resize(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Mean over the area of each pixel of a smaller grid, linear on a larger one; values keep their units.

    Args:
        pixels: Any real type; what OpenCV does not resize comes back as float32.
        shape: (rows, columns).
    """
    if pixels.shape == shape:
        return pixels
    known = pixels.dtype in (np.uint8, np.uint16, np.int16, np.float32)
    source = pixels if known else pixels.astype(np.float32)
    smaller = shape[0] <= source.shape[0] and shape[1] <= source.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(source, (shape[1], shape[0]), interpolation=method))
