"""Shapes of findings on a patch of pixels: bodies of masses, spicules, specks. Heights are 0..1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from dibmg_node.domain.image import Image, Point

SEEN_MM: Final = 0.5
"""Grid on which the height of specks is set: what a network with 512 pixels a view still sees."""


@dataclass(frozen=True)
class Patch:
    """A square part of an image around a finding, cut at the image's border.

    Attributes:
        top, left, bottom, right: Pixels; bottom and right are not part of it.
        center: (column, row) in pixels of the whole image.
        pixel_mm: Side of a pixel.
    """

    top: int
    left: int
    bottom: int
    right: int
    center: Point
    pixel_mm: float

    @property
    def area(self) -> tuple[slice, slice]:
        """Index of the patch in its image."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.bottom - self.top, self.right - self.left

    def offsets_mm(self) -> tuple[Image, Image]:
        """Distance of every pixel's center from the finding's: (1, columns) along x, (rows, 1) along y."""
        x = (np.arange(self.left, self.right, dtype=np.float32) + 0.5 - self.center[0]) * self.pixel_mm
        y = (np.arange(self.top, self.bottom, dtype=np.float32) + 0.5 - self.center[1]) * self.pixel_mm
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]


def patch_around(shape: tuple[int, int], center: Point, reach_mm: float, pixel_mm: float) -> Patch:
    """The part of an image that lies within `reach_mm` of a point, along rows and columns."""
    reach = int(np.ceil(reach_mm / pixel_mm)) + 1
    column, row = int(center[0]), int(center[1])
    top, left = max(row - reach, 0), max(column - reach, 0)
    bottom, right = min(row + reach + 1, shape[0]), min(column + reach + 1, shape[1])
    return Patch(top, left, bottom, right, center, pixel_mm)


def body_shape(patch: Patch, radius_mm: float, roughness: float, random: np.random.Generator) -> Image:
    """The body of a mass: thick in the middle, soft at an irregular edge.

    Args:
        patch: Where it is drawn.
        radius_mm: Mean radius.
        roughness: Of the outline: 0.05 = oval, 0.2 = irregular.
        random: Outline, orientation, softness of the edge, lumps inside.
    """
    x, y = patch.offsets_mm()
    turn, stretch = random.uniform(0.0, np.pi), random.uniform(0.82, 1.0)
    along = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(stretch)
    across = (y * np.cos(turn) - x * np.sin(turn)) / np.sqrt(stretch)
    radius = np.hypot(along, across)
    steps = 256
    angles = np.arange(steps) * (2 * np.pi / steps)
    orders = np.arange(2, 10)
    amplitudes = roughness * 1.8 / orders * random.normal(size=orders.size)
    phases = random.uniform(0, 2 * np.pi, orders.size)
    outline = 1.0 + (amplitudes[:, None] * np.cos(orders[:, None] * angles + phases[:, None])).sum(axis=0)
    outline = (radius_mm * np.clip(outline, 0.55, 1.5)).astype(np.float32)
    turn_of = ((np.arctan2(across, along) + np.pi) * np.float32((steps - 1) / (2 * np.pi))).astype(np.int32)
    boundary = outline[turn_of]
    softness = random.uniform(0.15, 0.45) * radius_mm
    share = radius / boundary
    thick = np.sqrt(np.clip(1.1 - 0.8 * share**2, 0.0, 1.0))
    edge = np.clip((boundary - radius) / softness + 0.5, 0.0, 1.0)
    grain = cv2.resize(
        random.standard_normal((9, 9), dtype=np.float32), patch.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(thick * edge * (1.0 + 0.10 * np.clip(grain, -2.0, 2.0)), dtype=np.float32)


def spicule_shape(
    patch: Patch, inner_mm: float, outer_mm: float, count: int, random: np.random.Generator
) -> Image:
    """Thin, slightly bent lines that run outwards from a finding and fade.

    Args:
        patch: Where they are drawn.
        inner_mm: Distance from the center at which they start.
        outer_mm: Distance of the farthest end.
        count: Number of lines.
        random: Directions, lengths, bends.
    """
    canvas = np.zeros(patch.shape, np.uint8)
    origin = np.array([patch.center[0] - patch.left, patch.center[1] - patch.top])
    even = np.arange(count) * (2 * np.pi / count)
    directions = even + random.uniform(-1.2, 1.2, count) * (2 * np.pi / count) + random.uniform(0, 2 * np.pi)
    lengths = outer_mm * random.uniform(0.5, 1.0, count)
    bends = random.normal(0.0, 0.16, count)
    heights = random.uniform(0.7, 1.0, count)
    widths = np.maximum(1, np.round(random.uniform(0.35, 0.75, count) / patch.pixel_mm)).astype(int)
    steps = 5
    shares = np.arange(steps + 1) / steps
    distances = inner_mm + shares * (lengths[:, None] - inner_mm)
    angles = directions[:, None] + bends[:, None] * shares
    points = np.stack((np.cos(angles), np.sin(angles)), axis=-1) * distances[..., None] / patch.pixel_mm
    knots = np.round((points + origin - 0.5) * 16).astype(np.int32).tolist()
    levels = (255 * heights[:, None] * (1.0 - 0.8 * shares)).astype(int).tolist()
    for step in reversed(range(steps)):  # from the faint ends inwards: what is drawn later covers
        for knot, level, width in zip(knots, levels, widths.tolist(), strict=True):
            cv2.line(canvas, knot[step], knot[step + 1], level[step], width, cv2.LINE_AA, 4)
    lines = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), max(0.45, 0.25 / patch.pixel_mm))
    return np.asarray(lines / max(float(lines.max()), 1.0), dtype=np.float32)


def speck_shape(patch: Patch, places_mm: Image, lengths_mm: Image, random: np.random.Generator) -> Image:
    """Calcifications; the highest has height 1 once pixels are averaged to `SEEN_MM`.

    Args:
        patch: Where they are drawn.
        places_mm: (n, 2), x and y from the patch's center.
        lengths_mm: (n,), longest extent of each; they are about 0.35 mm wide.
        random: Directions and heights.
    """
    finer = int(np.clip(np.ceil(patch.pixel_mm / 0.15), 1, 4))
    rows, columns = patch.shape
    canvas = np.zeros((rows * finer, columns * finer), np.uint8)
    origin = np.array([patch.center[0] - patch.left, patch.center[1] - patch.top])
    levels = random.integers(140, 256, len(places_mm)).tolist()
    turns = random.uniform(0.0, np.pi, len(places_mm))
    width = max(1, round(0.35 / patch.pixel_mm * finer))
    half = np.column_stack((np.cos(turns), np.sin(turns))) * np.maximum(0.0, lengths_mm - 0.35)[:, None] / 2
    middle = origin + places_mm / patch.pixel_mm
    ends = np.stack((middle - half / patch.pixel_mm, middle + half / patch.pixel_mm), axis=1) * finer - 0.5
    for (first, second), level in zip(np.round(ends * 16).astype(np.int32).tolist(), levels, strict=True):
        cv2.line(canvas, first, second, level, width, cv2.LINE_AA, 4)
    coarser = cv2.resize(canvas.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    drawn: Image = cv2.GaussianBlur(coarser, (0, 0), max(0.4, 0.1 / patch.pixel_mm)).astype(np.float32)
    highest = float(seen(drawn, patch.pixel_mm).max())
    return np.asarray(drawn / max(highest, 1e-6), dtype=np.float32)


def seen(image: Image, pixel_mm: float) -> Image:
    """The same grid, averaged over `SEEN_MM`."""
    side = max(1, round(SEEN_MM / pixel_mm))
    return image if side == 1 else np.asarray(cv2.blur(image, (side, side)), dtype=np.float32)
