"""Paint a lesion into an image: contrast follows the tissue that it lies in."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dibmg.synthesis.conspicuity import Conspicuity
from dibmg.synthesis.designs import CALCIFIED, MASSES, SPICULATED, LesionDesign, LesionKind
from dibmg.synthesis.shapes import Patch, body_shape, patch_around, seen, speck_shape, spicule_shape
from dibmg_node.domain.image import Image, Point

_STRONGEST = 3.0
"""How often the drawn contrast may be multiplied to reach the floor of conspicuity."""


def paint_lesion(
    image: Image,
    room: Image,
    design: LesionDesign,
    center: Point,
    pixel_mm: float,
    span: float,
    random: np.random.Generator,
    response: Callable[[Image], Image] = np.asarray,
) -> None:
    """Paint a lesion into one view.

    Args:
        image: float32 (rows, columns), bright = dense; changed in place.
        room: Same grid, 0..1: how much of the lesion a pixel shows; 0 outside the breast.
        design: What both views share.
        center: (column, row) in pixels.
        pixel_mm: Side of a pixel.
        span: Difference between dense and fatty tissue in units of the image; sets the lowest heights.
        random: For what differs between the views.
        response: What a reader is shown of a part of the image: conspicuity is measured there.
    """
    patch = patch_around(image.shape, center, 2.4 * design.body_mm + 1.0, pixel_mm)
    before = image[patch.area].copy()
    cover = room[patch.area]
    tissue = before
    if design.kind is LesionKind.DISTORTION:
        tissue = _pulled_together(before, cover, patch, design.body_mm, random)
    added = _heights(tissue, cover, patch, design, span, random) * cover
    conspicuity = Conspicuity(response(image), room > 0.9, pixel_mm, random)
    factor = 1.0
    for _ in range(2):  # the response is not linear
        reached = conspicuity.of(response(tissue + factor * added) - response(before))
        missing = design.conspicuity * design.visibility / max(reached, 1e-6)
        factor = min(factor * max(missing, 1.0), _STRONGEST)
    image[patch.area] = tissue + factor * added


def _heights(
    part: Image,
    cover: Image,
    patch: Patch,
    design: LesionDesign,
    span: float,
    random: np.random.Generator,
) -> Image:
    """What the lesion adds to its patch before conspicuity is looked at."""
    coarse, fine = _spreads(part, cover, patch, design)
    body = float(np.clip(design.body_contrast * coarse, 0.28 * span, 1.1 * span)) * design.visibility
    lines = float(np.clip(design.line_contrast * fine, 0.20 * span, 0.5 * span)) * design.visibility
    specks = float(np.clip(design.speck_contrast * fine, 0.8 * span, 2.0 * span)) * design.visibility
    added = np.zeros(patch.shape, np.float32)
    if design.kind in MASSES:
        roughness = random.uniform(0.10, 0.18) if design.kind in SPICULATED else random.uniform(0.05, 0.13)
        added = body * body_shape(patch, design.body_mm, roughness, random)
    if design.kind in SPICULATED:
        count = int(random.integers(16, 34))
        spicules = spicule_shape(patch, 0.7 * design.body_mm, 2.3 * design.body_mm, count, random)
        added = np.maximum(added, min(max(0.45 * body, lines), 0.75 * body) * spicules)
    if design.kind is LesionKind.DISTORTION:
        count = int(random.integers(18, 30))
        spicules = spicule_shape(patch, 0.1 * design.body_mm, 1.7 * design.body_mm, count, random)
        core = body_shape(patch, 0.3 * design.body_mm, 0.15, random)
        added = np.maximum(1.2 * lines * spicules, 0.5 * body * core)
    if design.kind in CALCIFIED:
        added = added + specks * _cluster(patch, design, random)
    return np.asarray(added, dtype=np.float32)


def _spreads(part: Image, cover: Image, patch: Patch, design: LesionDesign) -> tuple[float, float]:
    """Standard deviations around the lesion: of the tissue as a whole, and of its fine structures."""
    smooth = seen(part, patch.pixel_mm)
    x, y = patch.offsets_mm()
    near = (np.hypot(x, y) < 1.7 * design.body_mm) & (cover > 0.5)
    if near.sum() < 20:
        return 0.0, 0.0
    detail = smooth - cv2.GaussianBlur(smooth, (0, 0), max(1.0, 1.2 / patch.pixel_mm))
    return float(smooth[near].std()), float(detail[near].std())


def _cluster(patch: Patch, design: LesionDesign, random: np.random.Generator) -> Image:
    """Specks within the body's radius, denser in the middle, often longer one way than the other."""
    turn, flat = random.uniform(0.0, np.pi), random.uniform(0.55, 1.0)
    distance = 0.92 * design.body_mm * np.sqrt(random.uniform(0.0, 1.0, design.specks)) ** 1.3
    angle = random.uniform(0.0, 2 * np.pi, design.specks)
    along, across = distance * np.cos(angle), flat * distance * np.sin(angle)
    places = np.column_stack(
        (along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn))
    )
    lengths = random.uniform(0.35, 1.1, design.specks)
    return speck_shape(patch, places.astype(np.float32), lengths.astype(np.float32), random)


def _pulled_together(
    part: Image, cover: Image, patch: Patch, radius_mm: float, random: np.random.Generator
) -> Image:
    """The tissue of a patch drawn towards its center, as a retracting scar does."""
    x, y = patch.offsets_mm()
    away = np.hypot(x, y) / np.float32(1.8 * radius_mm)
    pull = np.float32(random.uniform(0.25, 0.45)) * np.clip(1.0 - away, 0.0, 1.0) ** 2
    columns = np.arange(part.shape[1], dtype=np.float32)[None, :] + pull * x / np.float32(patch.pixel_mm)
    rows = np.arange(part.shape[0], dtype=np.float32)[:, None] + pull * y / np.float32(patch.pixel_mm)
    pulled = cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(part + (pulled - part) * (cover > 0), dtype=np.float32)
