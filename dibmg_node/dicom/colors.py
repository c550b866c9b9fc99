"""Colors of an overlay: from clear over amber and orange to red, in steps that look equal.

Source: Björn Ottosson, "A perceptual color space for image processing" (OKLab), 2020.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.image import Heatmap, Image

Color = tuple[int, int, int]

OUTLINE: Final[Color] = (70, 225, 255)
"""Cyan, which the heatmap never has."""
WORDS: Final[Color] = (235, 235, 235)
WARNING: Final[Color] = (255, 196, 64)
BLACK: Final[Color] = (0, 0, 0)

_STEPS: Final = 256
_BAND: Final = 32
"""Rows."""
_ANCHORS: Final[tuple[tuple[float, Color], ...]] = (
    (0.0, (255, 205, 80)),
    (0.5, (255, 128, 32)),
    (1.0, (230, 10, 40)),
)
_STRONGEST: Final = 0.66
"""Share of the color where the heatmap is 1; the rest is tissue."""
_HIGHEST_START: Final = 0.3
_GROWTH: Final = 0.7
_SHADE: Final = 0.85
"""How bright a color is over black tissue; over white tissue it is 1. So texture stays visible."""

_TO_LMS: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def heat_start(threshold: float) -> float:
    """Heatmap value up to which the image is left untouched: well below the operating point."""
    return min(_HIGHEST_START, threshold / 2.0)


def blend(image: Image, heatmap: Heatmap, start: float, strength: float = 1.0) -> NDArray[np.uint8]:
    """Lay a heatmap over its mammogram.

    Args:
        image: float32 (rows, columns) in 0..1, 1 = bright.
        heatmap: Same grid and range.
        start: Value up to which the image is left untouched; from there the color grows.
        strength: 0..1, of the color over the tissue.

    Returns:
        uint8 (rows, columns, 3), RGB.

    Source: Photometric Interpretation RGB, PS3.3 C.7.6.3.1.2.
    """
    out = np.empty((*image.shape, 3), np.uint8)
    colored = _colored(strength)
    # what a band takes stays in the processor's cache; the whole would be written and read a dozen times
    for top in range(0, image.shape[0], _BAND):
        band = slice(top, top + _BAND)
        out[band] = _blend_band(image[band], heatmap[band], start, colored)
    return out


def _blend_band(
    image: Image, heatmap: Heatmap, start: float, colored: NDArray[np.uint32]
) -> NDArray[np.uint8]:
    """As `blend`."""
    gray = _levels(image)
    if not (heatmap > start).any():
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    steps = _levels((heatmap - np.float32(start)) * np.float32(1.0 / (1.0 - start)))
    pairs = steps.astype(np.uint16)
    pairs <<= 8
    pairs |= gray
    # every pair has its color: to clip spares the check of each
    rgba = np.take(colored, pairs, mode="clip").view(np.uint8).reshape(*gray.shape, 4)
    return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


def _levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0..1 in steps of 1/255; what is beyond is 0 or 1."""
    levels = np.clip(values, 0.0, 1.0, dtype=np.float32)
    levels *= np.float32(_STEPS - 1)
    return np.asarray(np.rint(levels), dtype=np.uint8)


@lru_cache(8)
def _colored(strength: float) -> NDArray[np.uint32]:
    """RGBA in memory order of every step of heat (256 x its number) with every level of tissue.

    To look up what each pixel becomes takes a third of the time of calculating it.
    """
    heat, tissue = np.meshgrid(*[np.linspace(0.0, 1.0, _STEPS)] * 2, indexing="ij")
    shade = _SHADE + (1.0 - _SHADE) * tissue
    share = strength * _STRONGEST * heat**_GROWTH
    color = _RAMP[..., np.newaxis] * shade
    rgba = np.empty((_STEPS, _STEPS, 4), np.uint8)
    rgba[..., :3] = np.rint(255.0 * (tissue * (1.0 - share) + color * share)).transpose(1, 2, 0)
    rgba[..., 3] = 255
    return np.asarray(rgba.view(np.uint32).ravel(), dtype=np.uint32)


def _oklab(color: Color) -> NDArray[np.float64]:
    encoded = np.array(color) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.asarray(_TO_LAB @ np.cbrt(_TO_LMS @ linear), dtype=np.float64)


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    lms = (np.linalg.inv(_TO_LAB) @ lab.T) ** 3
    linear = np.clip(np.linalg.inv(_TO_LMS) @ lms, 0.0, 1.0).T
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _ramp() -> NDArray[np.float32]:
    """(3, steps) RGB in 0..1 from the first color to the last."""
    places = [place for place, _ in _ANCHORS]
    anchors = np.array([_oklab(color) for _, color in _ANCHORS])
    steps = np.linspace(0.0, 1.0, _STEPS)
    lab = np.stack([np.interp(steps, places, anchors[:, axis]) for axis in range(3)], axis=1)
    return np.ascontiguousarray(_srgb(lab).T, dtype=np.float32)


_RAMP: Final = _ramp()
