"""Lesions inserted into real normal mammograms."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.synthesis.designs import Lesion, LesionDesign, LesionKind, draw_lesion_design
from dibmg.synthesis.painting import paint_lesion
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.image import Image, Mammogram, Point
from dibmg_node.errors import RejectedError

_LONGER_SIDE_MM = 240.0
"""Assumed where an image does not say how large its pixels are."""

_COARSE = 4
"""A place is chosen on a grid that many times coarser than the image."""


class NoRoomError(RejectedError):
    """No place of a breast is large enough for a lesion."""


def insert_lesion(
    mammogram: Mammogram,
    random: np.random.Generator,
    visibility: float = 1.0,
    pixel_mm: float | None = None,
) -> tuple[Mammogram, Lesion]:
    """A normal mammogram with a lesion in it.

    Args:
        mammogram: Head or lateral side up; the lesion is drawn within its window.
        random: Place and looks of the lesion.
        visibility: 1 = findable; less for harder ones.
        pixel_mm: Side of a pixel; None assumes that the longer side has 240 mm.

    Raises:
        NoRoomError: There is no breast in the image, or none that is large enough.
    """
    pitch = pixel_mm or _LONGER_SIDE_MM / max(mammogram.shape)
    breast = breast_mask(mammogram.pixels, inverted=mammogram.inverted)
    shown = mammogram.image()
    with_lesion, (column, row, radius), kind = insert_into(shown, breast, random, pitch, visibility)
    change = (with_lesion - mammogram.image()) * np.float32(mammogram.high - mammogram.low)
    if mammogram.inverted:
        change = -change
    pixels = mammogram.pixels.astype(np.float32) + change
    if np.issubdtype(mammogram.pixels.dtype, np.integer):
        limits = np.iinfo(mammogram.pixels.dtype)
        pixels = np.clip(np.rint(pixels), limits.min, limits.max)
    stored = np.where(change == 0, mammogram.pixels, pixels.astype(mammogram.pixels.dtype))
    return replace(mammogram, pixels=stored), Lesion(kind, (column, row), radius)


def insert_into(
    image: Image,
    breast: NDArray[np.bool_],
    random: np.random.Generator,
    pixel_mm: float,
    visibility: float = 1.0,
) -> tuple[Image, tuple[float, float, float], LesionKind]:
    """A copy of a displayed view with a lesion in its parenchyma.

    Args:
        image: float32 (rows, columns) in 0..1, 1 = bright.
        breast: Same grid, True on the breast.
        random: Place and looks of the lesion.
        pixel_mm: Side of a pixel.
        visibility: As for `insert_lesion`.

    Returns:
        The image, (column, row, radius) of the lesion in pixels, and its kind.

    Raises:
        NoRoomError: No place of the breast is far enough from the skin.
    """
    design = draw_lesion_design(random, visibility)
    center = _choose_place(image, breast, design, pixel_mm, random)
    inserted = image.copy()
    values = image[::_COARSE, ::_COARSE][breast[::_COARSE, ::_COARSE]]
    low, high = np.percentile(values, (10.0, 95.0))
    span = float(np.clip(high - low, 0.15, 0.45))
    paint_lesion(inserted, breast.astype(np.float32), design, center, pixel_mm, span, random)
    np.clip(inserted, 0.0, 1.0, out=inserted)
    return inserted, (*center, design.radius_mm / pixel_mm), design.kind


def disc(shape: tuple[int, ...], center: Point, radius: float) -> NDArray[np.uint8]:
    """Pixels of a lesion: uint8 (rows, columns), 1 where the middle of a pixel lies within the radius."""
    v, u = np.ogrid[0 : shape[0], 0 : shape[1]]
    column, row = center
    return np.asarray((u + 0.5 - column) ** 2 + (v + 0.5 - row) ** 2 <= radius**2, dtype=np.uint8)


def _choose_place(
    image: Image,
    breast: NDArray[np.bool_],
    design: LesionDesign,
    pixel_mm: float,
    random: np.random.Generator,
) -> Point:
    """A point off skin, pectoral muscle and what is white already; rather in gland than in fat."""
    rows, columns = image.shape
    size = (max(1, columns // _COARSE), max(1, rows // _COARSE))
    mask = cv2.resize(breast.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    local = cv2.blur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (5, 5))
    # beyond the image the breast goes on: the wall side is no skin
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1] * np.float32(pixel_mm * _COARSE)
    for margin in (1.15 * design.radius_mm + 4.0, 0.8 * design.radius_mm + 2.0, 2.0):
        allowed = (depth > margin) & ~_muscle_corner(mask > 0)
        # half a lesion beyond the film's edge would be no lesion
        edge = int(np.ceil(min(margin, design.radius_mm) / (pixel_mm * _COARSE)))
        allowed[:edge], allowed[-edge:], allowed[:, :edge], allowed[:, -edge:] = False, False, False, False
        if allowed.any():
            break
    else:
        raise NoRoomError("no place for a lesion: the breast is nowhere 2 mm deep")
    inside = local[allowed]
    low, high = np.percentile(inside, (30.0, 97.0))
    weight = np.clip((inside - low) / max(float(high - low), 1e-3), 0.0, 1.0) + 0.08
    weight[inside > 0.82] *= 0.1
    chosen = int(np.flatnonzero(allowed)[random.choice(inside.size, p=weight / weight.sum())])
    row, column = divmod(chosen, allowed.shape[1])
    jitter = random.uniform(0.0, 1.0, 2)
    return (column + float(jitter[0])) * columns / size[0], (row + float(jitter[1])) * rows / size[1]


def _muscle_corner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The triangle at the top of the chest wall in which an MLO has its pectoral muscle; empty for a CC."""
    corner = np.zeros(mask.shape, bool)
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if down.size < 8 or across.size < 8:
        return corner
    height, width = down[-1] - down[0] + 1, across[-1] - across[0] + 1
    upper = mask[down[0] : down[0] + max(1, height // 20), across[0] : across[-1] + 1]
    if down[0] > 2 or upper.mean() < 0.25:
        return corner
    strip = max(1, width // 5)
    wall_is_left = mask[:, across[0] : across[0] + strip].sum() > mask[:, across[-1] - strip + 1 :].sum()
    y = (np.arange(mask.shape[0])[:, None] - down[0]) / (0.55 * height)
    x = (np.arange(mask.shape[1])[None, :] - across[0]) / (0.5 * width)
    x = x if wall_is_left else 2.0 - x
    return np.asarray(x + y < 1.0, dtype=bool)
