"""Pictures for a screen: a mammogram at a window, an overlay, as JPEG."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom.encode import read_native
from dibmg_node.domain.image import Mammogram

_QUALITY: Final = 90


def shrunk(mammogram: Mammogram, longest: int) -> Mammogram:
    """The same mammogram on a grid of at most so many pixels on its longer side."""
    rows, columns = mammogram.shape
    scale = longest / max(rows, columns)
    if scale >= 1:
        return mammogram
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    pixels = cv2.resize(mammogram.pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return replace(mammogram, pixels=np.asarray(pixels))


def windowed(mammogram: Mammogram, center: float, width: float) -> NDArray[np.uint8]:
    """Show a mammogram at another window than its own.

    Args:
        mammogram: What to show.
        center: Of the window, in widths of the mammogram's own window from that one's center.
        width: In widths of the mammogram's own window, above 0.

    Returns:
        uint8 (rows, columns), 255 = bright.
    """
    own = mammogram.high - mammogram.low
    middle = (mammogram.low + mammogram.high) / 2 + center * own
    low, high = middle - width * own / 2, middle + width * own / 2
    image = replace(mammogram, low=low, high=high).image()
    return np.asarray(np.rint(image * 255), dtype=np.uint8)


def overlay_pixels(part10: bytes) -> NDArray[np.uint8]:
    """All of an overlay that this node made: uint8 (rows, columns, 3), RGB."""
    dataset = read_native(part10)
    shape = (dataset.Rows, dataset.Columns, 3)
    return np.frombuffer(dataset.PixelData, np.uint8, count=int(np.prod(shape))).reshape(shape)


def read_overlay(part10: bytes, source_shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The marked panel of an overlay that this node made.

    Args:
        part10: The result.
        source_shape: (rows, columns) of its mammogram: an overlay that is much wider has the mammogram
            without marks in its left half.

    Returns:
        uint8 (rows, columns, 3), RGB.
    """
    pixels = overlay_pixels(part10)
    rows, columns = pixels.shape[:2]
    two_panels = columns / rows > 1.5 * source_shape[1] / source_shape[0]
    return pixels[:, columns // 2 :] if two_panels else pixels


def jpeg(pixels: NDArray[Any], longest: int) -> bytes:
    """A JPEG of at most so many pixels on its longer side.

    Args:
        pixels: uint8 (rows, columns) or (rows, columns, 3) in RGB.
        longest: Side.
    """
    scale = longest / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()
