"""Textures of synthetic mammograms: power-law noise, clustered lumps, strands, muscle fibres."""

from __future__ import annotations

import cv2
import numpy as np

from dibmg_node.domain.image import Image


def power_law_noise(random: np.random.Generator, shape: tuple[int, int], exponent: float) -> Image:
    """Isotropic noise whose power falls as 1 / frequency ** exponent; mean 0, standard deviation 1.

    Source: mammographic backgrounds follow an exponent of about 3 (Burgess 2001).
    """
    rows, columns = shape
    spectrum = np.fft.rfft2(random.standard_normal(shape, dtype=np.float32))
    vertical = np.fft.fftfreq(rows)[:, None] * rows / max(rows, columns)
    horizontal = np.fft.rfftfreq(columns)[None, :] * columns / max(rows, columns)
    radius = np.sqrt(vertical**2 + horizontal**2)
    radius[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum * radius ** (-exponent / 2.0), s=shape).astype(np.float32)
    return np.asarray(noise / noise.std(), dtype=np.float32)


def clustered_lumps(
    random: np.random.Generator, shape: tuple[int, int], pixel_mm: float, angles: int = 8
) -> Image:
    """Clustered lumpy background; mean 0, standard deviation 1.

    Clusters of elongated blobs, one angle a cluster; blob exp(-2.1 r^0.5 / L(angle)), L from 1.5 to
    0.6 mm. Drawn as impulses and one convolution for each of `angles` directions.

    Source: Bochud, Abbey, Eckstein, Optics Express 4 (1999) 33-43; K, N, L, sigma of two independent
    implementations at 0.3 mm a pixel.
    """
    rows, columns = shape
    area_mm2 = rows * columns * pixel_mm**2
    count = int(random.poisson(150.0 * area_mm2 / (128 * 0.3) ** 2 / 2.0))
    blobs = random.poisson(20.0, count)
    owner = np.repeat(np.arange(count), blobs)
    place = random.uniform((0.0, 0.0), (rows, columns), (count, 2))[owner]
    place = place + random.normal(0.0, 12 * 0.3 / pixel_mm, place.shape)
    direction = random.integers(0, angles, count)[owner]
    row, column = np.floor(place).astype(np.int64).T
    ok = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    flat = (direction * rows + row) * columns + column
    impulses = (
        np.bincount(flat[ok], minlength=angles * rows * columns)
        .astype(np.float32)
        .reshape(angles, rows, columns)
    )
    reach = max(3, round(7.0 / pixel_mm))
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32) * np.float32(pixel_mm / 0.3)
    total = np.zeros(shape, np.float32)
    for number in range(angles):
        turn = np.pi * number / angles
        along, across = u * np.cos(turn) + v * np.sin(turn), -u * np.sin(turn) + v * np.cos(turn)
        radius = np.hypot(along, across) + 1e-3
        length = radius / (np.hypot(along / 5.0, across / 2.0) + 1e-3)
        kernel = np.exp(-2.1 * np.sqrt(radius) / np.sqrt(length)).astype(np.float32)
        total += cv2.filter2D(impulses[number], cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray((total - total.mean()) / total.std(), dtype=np.float32)


def strands_towards(
    random: np.random.Generator, shape: tuple[int, int], pixel_mm: float, nipple: tuple[float, float]
) -> Image:
    """Cooper's ligaments, ducts and vessels: ridges of stretched noise that run towards the nipple."""
    rows, columns = shape
    v = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) * pixel_mm - nipple[1]
    u = nipple[0] * 1.15 - (np.arange(columns, dtype=np.float32)[None, :] + 0.5) * pixel_mm
    angle, distance = np.arctan2(v, u), np.hypot(u, v)
    sway = enlarge_field(power_law_noise(random, (64, 64), 3.0), shape)
    strands = np.full(shape, -1.0, np.float32)
    for spokes, length in ((40.0, 0.40), (80.0, 0.8)):
        grain = random.standard_normal((256, 256), dtype=np.float32)
        noise = np.asarray(cv2.GaussianBlur(grain, (0, 0), 3.5), dtype=np.float32)
        noise /= noise.std()
        map_u = ((distance * length + 8.0 * sway) % 255).astype(np.float32)
        map_v = (((angle + np.pi) * spokes + 14.0 * sway) % 255).astype(np.float32)
        ridge = 1.0 - 3.6 * np.abs(cv2.remap(noise, map_u, map_v, cv2.INTER_LINEAR))
        strands = np.maximum(strands, ridge)
    return np.asarray(np.clip(strands, -0.5, 1.0), dtype=np.float32)


def muscle_fibres(x: Image, y: Image, random: np.random.Generator) -> Image:
    """Fibres of the pectoral muscle."""
    turn, phase = random.uniform(0.9, 1.3), random.uniform(0, 6)
    return np.asarray(np.sin((x * np.sin(turn) + y * np.cos(turn)) / 1.7 + phase), dtype=np.float32)


def enlarge_field(field: Image, shape: tuple[int, int]) -> Image:
    """A coarse field on a finer grid, by cubic interpolation."""
    rows, columns = shape
    return np.asarray(cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
