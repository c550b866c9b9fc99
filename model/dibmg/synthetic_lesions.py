"""Lesions of synthetic mammograms: masses, spiculated masses and clusters of calcifications."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dibmg.synthetic_tissue import Tissue
from dibmg_node.domain.image import Image


class LesionKind(StrEnum):
    """What a synthetic cancer looks like."""

    MASS = "mass"
    SPICULATED_MASS = "spiculated mass"
    CALCIFICATIONS = "calcifications"
    MASS_WITH_CALCIFICATIONS = "mass with calcifications"


@dataclass(frozen=True)
class LesionDesign:
    """What both views of one lesion share.

    Attributes:
        radius_mm: Mean radius of the mass or of the cluster.
        contrast: Height of the mass in signal units (fat to gland is about 0.35).
        specks: Number of calcifications.
    """

    kind: LesionKind
    radius_mm: float
    contrast: float
    specks: int


def draw_lesion_design(random: np.random.Generator, visibility: float = 1.0) -> LesionDesign:
    """A lesion of 10 to 30 mm across; `visibility` above 1 makes it more conspicuous."""
    kind = LesionKind(str(random.choice([str(kind) for kind in LesionKind], p=[0.3, 0.3, 0.2, 0.2])))
    return LesionDesign(
        kind=kind,
        radius_mm=float(np.exp(random.uniform(np.log(5.0), np.log(14.0)))),
        contrast=float(random.uniform(0.15, 0.30)) * visibility,
        specks=int(random.integers(8, 21)),
    )


def place_lesion(
    tissues: list[Tissue], design: LesionDesign, pixel_mm: list[float], random: np.random.Generator
) -> list[tuple[float, float]]:
    """One (x, y) in mm for each view: the same share of the depth, inside the breast, off the muscle."""
    margin = 0.6 * design.radius_mm + 3.0
    for _ in range(60):
        share = float(random.uniform(0.12, 0.88))
        places = []
        for tissue, pitch in zip(tissues, pixel_mm, strict=True):
            x = share * tissue.nipple[0] * float(random.normal(1.0, 0.02))
            column = min(int(x / pitch), tissue.signal.shape[1] - 1)
            y_mm = (np.arange(tissue.signal.shape[0]) + 0.5) * pitch
            allowed = (tissue.inside[:, column] > margin) & (tissue.muscle[:, column] < 0.3)
            allowed &= (y_mm > tissue.reach_mm[0]) & (y_mm < tissue.reach_mm[1])
            if allowed.any():
                places.append((x, float(random.choice(y_mm[allowed]))))
        if len(places) == len(tissues):
            return places
    return [(0.5 * tissue.nipple[0], tissue.nipple[1]) for tissue in tissues]


def add_lesion(
    tissue: Tissue,
    design: LesionDesign,
    place: tuple[float, float],
    pixel_mm: float,
    random: np.random.Generator,
) -> Image:
    """The signal of one view with the lesion in it.

    Args:
        tissue: The view without it.
        design: What both views share.
        place: (x, y) in mm from the chest wall and the top.
        pixel_mm: Side of a pixel.
        random: For what differs between the views.
    """
    signal = tissue.signal.copy()
    if design.kind is not LesionKind.CALCIFICATIONS:
        spiculated = design.kind in (LesionKind.SPICULATED_MASS, LesionKind.MASS_WITH_CALCIFICATIONS)
        _add_mass(signal, tissue, design, place, pixel_mm, spiculated, random)
    if design.kind in (LesionKind.CALCIFICATIONS, LesionKind.MASS_WITH_CALCIFICATIONS):
        spread = design.radius_mm * 0.5
        where = np.clip(random.normal(0.0, spread, (design.specks, 2)), -1.9 * spread, 1.9 * spread)
        add_specks(
            signal, tissue, where + np.asarray(place), random.uniform(0.25, 0.55, design.specks), pixel_mm
        )
    return signal


def _add_mass(
    signal: Image,
    tissue: Tissue,
    design: LesionDesign,
    place: tuple[float, float],
    pixel_mm: float,
    spiculated: bool,
    random: np.random.Generator,
) -> None:
    """Draw an irregular, optionally spiculated mass into `signal`."""
    reach = int(2.6 * design.radius_mm / pixel_mm) + 3
    column, row = int(place[0] / pixel_mm), int(place[1] / pixel_mm)
    top, left = max(row - reach, 0), max(column - reach, 0)
    bottom, right = min(row + reach + 1, signal.shape[0]), min(column + reach + 1, signal.shape[1])
    v = ((np.arange(top, bottom) + 0.5) * pixel_mm - place[1])[:, None]
    u = ((np.arange(left, right) + 0.5) * pixel_mm - place[0])[None, :]
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    boundary = np.full_like(radius, design.radius_mm)
    for order in range(2, 9):
        amplitude = design.radius_mm * (0.16 if spiculated else 0.09) * 2.0 / order
        boundary += amplitude * random.normal() * np.cos(order * angle + random.uniform(0, 2 * np.pi))
    boundary = np.maximum(boundary, 0.4 * design.radius_mm)
    softness = random.uniform(0.8, 2.0)
    ball = np.sqrt(np.clip(1.15 - 0.8 * (radius / boundary) ** 2, 0.0, 1.0))
    shape = ball * np.clip((boundary - radius) / softness + 0.5, 0.0, 1.0)
    if spiculated:
        spokes = np.zeros_like(radius)
        for direction in random.uniform(0, 2 * np.pi, int(random.integers(10, 22))):
            length = design.radius_mm * random.uniform(1.4, 2.4)
            off = (
                np.abs(np.sin(angle - direction + 0.03 * (radius - design.radius_mm) * random.normal()))
                * radius
            )
            ahead = np.cos(angle - direction) > 0
            fade = np.clip((length - radius) / length * 1.6, 0.0, 1.0)
            spokes = np.maximum(spokes, ahead * fade * np.exp(-((off / random.uniform(0.5, 0.9)) ** 2)))
        shape = np.maximum(shape, 0.75 * spokes)
    depth = np.clip(tissue.inside[top:bottom, left:right] / 6.0, 0.0, 1.0)
    signal[top:bottom, left:right] += np.asarray(design.contrast * shape * depth, dtype=np.float32)


def add_specks(
    signal: Image, tissue: Tissue, places_mm: np.ndarray, sizes_mm: np.ndarray, pixel_mm: float
) -> None:
    """Draw calcifications: Gaussian dots whose height falls where a pixel is larger than the speck.

    Args:
        signal: Changed in place.
        tissue: The view that it belongs to.
        places_mm: (n, 2), x and y.
        sizes_mm: (n,), full width.
        pixel_mm: Side of a pixel.
    """
    for (x, y), size in zip(places_mm, sizes_mm, strict=True):
        sigma = np.hypot(size / 2.0, 0.55 * pixel_mm)
        height = 2.2 * (size / 2.0) ** 2 / sigma**2
        reach = int(3 * sigma / pixel_mm) + 1
        column, row = int(x / pixel_mm), int(y / pixel_mm)
        rows = np.arange(max(row - reach, 0), min(row + reach + 1, signal.shape[0]))
        columns = np.arange(max(column - reach, 0), min(column + reach + 1, signal.shape[1]))
        if (
            rows.size == 0
            or columns.size == 0
            or tissue.inside[rows[0] : rows[-1] + 1, columns[0]].max() <= 0
        ):
            continue
        v, u = (rows[:, None] + 0.5) * pixel_mm - y, (columns[None, :] + 0.5) * pixel_mm - x
        dot = height * np.exp(-(u**2 + v**2) / (2 * sigma**2))
        signal[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += dot.astype(np.float32)
