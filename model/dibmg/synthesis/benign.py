"""What normal and cancer exams alike contain: vessels, lymph nodes, coarse calcifications, cysts.

Without them the brightest spot or the only round thing of an exam would give its label away.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dibmg.synthesis.placing import place_finding
from dibmg.synthesis.shapes import body_shape, patch_around
from dibmg.synthesis.tissue import Tissue
from dibmg_node.domain.image import Point

_STEP_MM = 3.0
"""Length of the straight pieces of a vessel."""


def add_benign(tissues: Sequence[Tissue], random: np.random.Generator) -> None:
    """Add what is benign to the views of one breast (CC, then MLO), in place."""
    calcified = random.random() < 0.08
    for tissue in tissues:
        for number in range(int(random.integers(1, 5))):
            _add_vessel(tissue, calcified and number == 0, random)
        for _ in range(int(random.integers(0, 4))):
            _add_coarse_calcification(tissue, random)
    if random.random() < 0.12:
        _add_cyst(tissues, random)
    if random.random() < 0.5:
        for _ in range(int(random.integers(1, 3))):
            _add_lymph_node(tissues[-1], random)


def _add_vessel(tissue: Tissue, calcified: bool, random: np.random.Generator) -> None:
    """A winding vessel from the chest wall outwards; in old women with calcified walls."""
    pitch = tissue.pixel_mm
    steps = int(random.integers(14, 36))
    turns = np.cumsum(random.normal(0.0, 0.13, steps)) + random.uniform(-0.7, 0.7)
    start = np.array([0.0, random.uniform(*tissue.reach_mm)])
    path = start + np.cumsum(np.column_stack((np.cos(turns), np.sin(turns))) * _STEP_MM, axis=0)
    path[:, 0] = np.abs(path[:, 0])
    widths = np.linspace(random.uniform(1.0, 2.2), 0.6, steps)
    canvas = np.zeros(tissue.signal.shape, np.uint8)
    points = np.round((path / pitch - 0.5) * 16).astype(np.int32)
    for number in range(steps - 1):
        width = max(1, round(float(widths[number]) / pitch))
        first, second = points[number].tolist(), points[number + 1].tolist()
        cv2.line(canvas, first, second, int(255 - 120 * number / steps), width, cv2.LINE_AA, 4)
    # only the part of the image that the vessel crosses
    left, top = (np.floor(path.min(axis=0) / pitch) - 8).astype(int).clip(0)
    right, bottom = (np.ceil(path.max(axis=0) / pitch) + 8).astype(int).clip(1)
    area = (slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1)))
    part = cv2.GaussianBlur(canvas[area].astype(np.float32), (0, 0), max(0.5, 0.35 / pitch))
    height = float(random.uniform(0.035, 0.085)) / 255
    tissue.signal[area] += np.float32(height) * part * np.clip(tissue.inside[area] / 8.0, 0.0, 1.0)
    if calcified:
        _calcify(tissue, path, widths, random)


def _calcify(
    tissue: Tissue,
    path: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    widths: np.ndarray[tuple[int], np.dtype[np.float64]],
    random: np.random.Generator,
) -> None:
    """Two dotted parallel lines along a part of a vessel."""
    first = int(random.integers(0, max(1, len(path) - 8)))
    for number in range(first, min(first + 8, len(path) - 1)):
        along = path[number + 1] - path[number]
        normal = np.array([-along[1], along[0]]) / _STEP_MM
        for side in (-0.5, 0.5):
            for share in np.arange(0.0, 1.0, 0.25):
                if random.random() < 0.6:
                    place = path[number] + share * along + side * max(1.2, widths[number]) * normal
                    _add_dot(tissue, (float(place[0]), float(place[1])), 0.5, random.uniform(0.10, 0.22))


def _add_coarse_calcification(tissue: Tissue, random: np.random.Generator) -> None:
    """A single coarse calcification anywhere in the breast, some with a lucent center."""
    place = (
        float(random.uniform(0.1, 0.9)) * tissue.nipple[0],
        float(random.uniform(*tissue.reach_mm)),
    )
    size, height = float(random.uniform(0.7, 2.2)), float(random.uniform(0.2, 0.5))
    _add_dot(tissue, place, size, height)
    if size > 1.5 and random.random() < 0.5:
        _add_dot(tissue, place, 0.5 * size, -0.6 * height)


def _add_dot(tissue: Tissue, place_mm: Point, size_mm: float, height: float) -> None:
    """A round dot of this diameter, averaged over the pixels that it covers."""
    pitch = tissue.pixel_mm
    patch = patch_around(
        tissue.signal.shape, (place_mm[0] / pitch, place_mm[1] / pitch), 2 * size_mm + pitch, pitch
    )
    if patch.bottom <= patch.top or patch.right <= patch.left:
        return
    x, y = patch.offsets_mm()
    blur = float(np.hypot(0.35 * size_mm, 0.45 * pitch))
    dot = np.exp(-(x**2 + y**2) / np.float32(2 * blur**2)) * np.float32((0.35 * size_mm / blur) ** 2 * height)
    tissue.signal[patch.area] += dot * (tissue.inside[patch.area] > 1.5)


def _add_cyst(tissues: Sequence[Tissue], random: np.random.Generator) -> None:
    """A smooth, round, faint mass with a dark halo, in both views."""
    radius = float(random.uniform(4.0, 11.0))
    height = float(random.uniform(0.035, 0.065))
    for tissue, (x, y) in zip(tissues, place_finding(tissues, radius, random), strict=True):
        pitch = tissue.pixel_mm
        patch = patch_around(tissue.signal.shape, (x / pitch, y / pitch), radius + 4.0, pitch)
        across, down = patch.offsets_mm()
        distance = np.hypot(across, down)
        disk = np.clip((radius - distance) / 0.8 + 0.5, 0.0, 1.0)
        halo = np.exp(-(((distance - radius - 1.2) / 0.7) ** 2))
        added = np.float32(height) * (disk - 0.5 * halo)
        tissue.signal[patch.area] += added * np.clip(tissue.inside[patch.area] / 6.0, 0.0, 1.0)


def _add_lymph_node(tissue: Tissue, random: np.random.Generator) -> None:
    """A bean with a fatty hilum in the axilla of an MLO."""
    pitch, radius = tissue.pixel_mm, float(random.uniform(3.0, 6.5))
    x = float(random.uniform(0.15, 0.6)) * tissue.nipple[0]
    y = float(random.uniform(radius + 2.0, max(0.25 * tissue.signal.shape[0] * pitch, radius + 3.0)))
    patch = patch_around(tissue.signal.shape, (x / pitch, y / pitch), 2 * radius, pitch)
    bean = body_shape(patch, radius, 0.04, random)
    turn = random.uniform(0, 2 * np.pi)
    hilum = (x + 0.45 * radius * np.cos(turn), y + 0.45 * radius * np.sin(turn))
    across, down = patch.offsets_mm()
    away = (across + (x - hilum[0])) ** 2 + (down + (y - hilum[1])) ** 2
    bean = bean * (1.0 - 0.8 * np.exp(-away / np.float32((0.45 * radius) ** 2)))
    height = np.float32(random.uniform(0.12, 0.22))
    tissue.signal[patch.area] += height * bean * np.clip(tissue.inside[patch.area] / 6.0, 0.0, 1.0)
