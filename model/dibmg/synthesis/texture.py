"""Textures of synthetic mammograms: power-law noise, lumps, ridges, strands that run to the nipple."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from dibmg_node.domain.image import Image, Point

_TILE = 384
"""Side of the periodic noise tiles that strands are bent from."""


def power_law_noise(
    random: np.random.Generator, shape: tuple[int, int], exponent: float, outer: float = 1.5
) -> Image:
    """Isotropic noise whose power falls as 1 / frequency ** exponent; mean 0, standard deviation 1.

    Args:
        random: Where the noise comes from.
        shape: (rows, columns); the noise is periodic over it.
        exponent: Of the fall.
        outer: Waves over the longer side below which the power no longer rises.

    Source: mammographic backgrounds follow an exponent of about 3 (Burgess 2001).
    """
    rows, columns = shape
    half = columns // 2 + 1
    spectrum = random.standard_normal((rows, 2 * half), dtype=np.float32).view(np.complex64)
    amplitude = np.exp(np.float32(-exponent / 4.0) * _log_frequency(rows, columns, outer))
    noise = np.fft.irfft2(spectrum * amplitude, s=shape)
    return np.asarray((noise - noise.mean()) / noise.std(), dtype=np.float32)


@lru_cache(maxsize=32)
def _log_frequency(rows: int, columns: int, outer: float) -> Image:
    """Logarithm of the squared frequency of every bin of a real Fourier transform, flat below `outer`."""
    longest = max(rows, columns)
    down = np.fft.fftfreq(rows)[:, None] * longest
    across = np.fft.rfftfreq(columns)[None, :] * longest
    return np.asarray(np.log(down**2 + across**2 + outer**2), dtype=np.float32)


def lumps(random: np.random.Generator, shape: tuple[int, int], pixel_mm: float, size_mm: float) -> Image:
    """Rounded lumps of about one size: noise of one octave; mean 0, standard deviation 1."""
    side = max(shape) * pixel_mm / size_mm
    coarse = random.standard_normal(
        (max(4, int(shape[0] * pixel_mm / size_mm) + 3), max(4, int(shape[1] * pixel_mm / size_mm) + 3)),
        dtype=np.float32,
    )
    field = enlarge_field(coarse, shape) if side > 2 else np.zeros(shape, np.float32)
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def ridges(noise: Image, width: float) -> Image:
    """Thin bright lines, 0..1, where a noise changes its sign."""
    line = np.clip(1.0 - np.abs(noise) * np.float32(1.0 / width), 0.0, 1.0)
    return np.asarray(line * line, dtype=np.float32)


def strands_towards(
    random: np.random.Generator, shape: tuple[int, int], pixel_mm: float, nipple: Point, tangle: float
) -> tuple[Image, Image]:
    """What runs towards the nipple: lines (Cooper's ligaments and ducts), and bands of gland between fat.

    Args:
        random: Where they come from.
        shape: (rows, columns).
        pixel_mm: Side of a pixel.
        nipple: (x, y) in mm.
        tangle: 0 = they run straight, 1 = they wind like a net.

    Returns:
        Lines 0..1, and bands of mean 0 and standard deviation about 1.
    """
    rows, columns = shape
    pitch = np.float32(pixel_mm)
    y = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * pitch - np.float32(nipple[1])
    x = np.float32(nipple[0] * 1.25) - (np.arange(columns, dtype=np.float32)[None, :] + 0.5) * pitch
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    # gentle bends: a rougher field would turn strands into marble
    sway = lumps(random, shape, pixel_mm, 38.0)
    tremble = lumps(random, shape, pixel_mm, 15.0)

    def bent(exponent: float, along: float, across: float, winding: float) -> Image:
        tile = power_law_noise(random, (_TILE, _TILE), exponent, 10.0)
        map_x = distance * np.float32(along) + np.float32(winding) * sway
        map_y = angle * np.float32(across) + np.float32((0.4 + tangle) * winding) * (sway + 0.3 * tremble)
        moved = cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(moved, dtype=np.float32)

    lines = ridges(bent(3.4, 0.16, 50.0, 2.5), 0.16)
    np.maximum(lines, np.float32(0.65) * ridges(bent(3.2, 0.40, 110.0, 5.0), 0.28), out=lines)
    return lines, bent(2.9, 0.45, 62.0, 3.5)


def enlarge_field(field: Image, shape: tuple[int, int]) -> Image:
    """A coarse field on a finer grid, by cubic interpolation."""
    rows, columns = shape
    return np.asarray(cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
