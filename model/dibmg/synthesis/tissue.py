"""The normal breast of a synthetic mammogram: thickness, parenchyma, pectoral muscle, skin.

All arrays are drawn with the chest wall at column 0 and are mirrored for right breasts later.
Lengths are millimeters in the detector plane; y runs down, x runs from the chest wall to the nipple.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dibmg.synthesis.outline import Outline, draw_outline, muscle_edge
from dibmg.synthesis.texture import enlarge_field, lumps, power_law_noise, ridges, strands_towards
from dibmg_node.domain.image import Image, Point

FIBROGLANDULAR_FRACTION = {"A": (0.04, 0.14), "B": (0.18, 0.38), "C": (0.42, 0.62), "D": (0.68, 0.88)}
"""Share of the breast's area that is fibroglandular, by BI-RADS density."""

FAT, GLAND, MUSCLE = 0.25, 0.60, 0.60
"""Signal of full thickness."""


@dataclass(frozen=True)
class Anatomy:
    """What both views of one breast share.

    Attributes:
        depth_mm: Chest wall to nipple.
        height_mm: Extent along the chest wall in CC.
        rim_mm: Width of the border in which the compressed breast gets thinner.
        fraction: Share of fibroglandular tissue, 0..1.
        tangle: 0 = strands run straight to the nipple, 1 = a net.
        strands: Height of strands, 1 = ordinary.
        lobules: How much fat lobules break up the parenchyma, 0..1.
    """

    density: str
    depth_mm: float
    height_mm: float
    rim_mm: float
    fraction: float
    tangle: float
    strands: float
    lobules: float


@dataclass(frozen=True, eq=False)
class Tissue:
    """One normal view before a detector sees it.

    Attributes:
        signal: float32 (rows, columns); 0 = air, about 0.25 = fat, about 0.6 = fibroglandular.
        inside: Depth below the skin, mm; 0 outside the breast.
        gland: Fibroglandular share of each pixel, 0..1.
        muscle: Share of pectoral muscle of each pixel, 0..1.
        nipple: (x, y) in mm.
        reach_mm: Lowest and highest y of breast without axilla.
    """

    signal: Image
    inside: Image
    gland: Image
    muscle: Image
    nipple: Point
    reach_mm: tuple[float, float]
    pixel_mm: float


def draw_anatomy(random: np.random.Generator) -> Anatomy:
    """One woman's breast; densities A-D with 10, 40, 40 and 10 %."""
    density = str(random.choice(["A", "B", "C", "D"], p=[0.1, 0.4, 0.4, 0.1]))
    depth = float(np.clip(random.normal(108.0 if density in "AB" else 94.0, 17.0), 64.0, 148.0))
    return Anatomy(
        density=density,
        depth_mm=depth,
        height_mm=float(np.clip(depth * random.normal(2.0, 0.17), 120.0, 240.0)),
        rim_mm=float(random.uniform(10.0, 24.0)),
        fraction=float(random.uniform(*FIBROGLANDULAR_FRACTION[density])),
        tangle=float(random.uniform(0.0, 0.8)),
        strands=float(random.uniform(0.6, 1.4)),
        lobules=float(random.uniform(0.2, 1.0)),
    )


def other_breast(anatomy: Anatomy, random: np.random.Generator) -> Anatomy:
    """The same woman's other breast: nearly the same."""
    return replace(
        anatomy,
        depth_mm=anatomy.depth_mm * float(random.normal(1.0, 0.03)),
        height_mm=anatomy.height_mm * float(random.normal(1.0, 0.03)),
        fraction=float(np.clip(anatomy.fraction * random.normal(1.0, 0.08), 0.03, 0.92)),
    )


def draw_tissue(
    anatomy: Anatomy,
    oblique: bool,
    shape: tuple[int, int],
    pixel_mm: float,
    equalization: float,
    random: np.random.Generator,
) -> Tissue:
    """One normal view of a breast, chest wall at column 0.

    Args:
        anatomy: What both views share.
        oblique: MLO (drooping outline, pectoral wedge) instead of CC.
        shape: (rows, columns) of the detector.
        pixel_mm: Side of a pixel.
        equalization: How far the vendor's processing lifts the thin rim, 0..1.
        random: For what differs between the views.
    """
    rows, columns = shape
    y = (np.arange(rows, dtype=np.float32) + 0.5) * np.float32(pixel_mm)
    x = ((np.arange(columns, dtype=np.float32) + 0.5) * np.float32(pixel_mm))[None, :]
    outline = draw_outline(y, anatomy.depth_mm, anatomy.height_mm, oblique, random)
    breast = (x < outline.edge[:, None]).astype(np.uint8)
    # the breast goes on beyond the wall, and beyond the upper edge of an MLO
    padded = cv2.copyMakeBorder(breast, 8, 8, 8, 0, cv2.BORDER_REPLICATE)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[8:-8, 8:] * np.float32(pixel_mm)
    inside = np.asarray(inside, dtype=np.float32)
    rim = np.clip(inside * np.float32(1.0 / anatomy.rim_mm), 0.0, 1.0)
    thickness = np.sqrt(1.0 - (1.0 - rim) ** 2) ** np.float32(1.0 - equalization)

    nipple = (anatomy.depth_mm, outline.nipple_y)
    cloud = power_law_noise(random, shape, float(random.uniform(2.6, 3.2)))
    strands, bands = strands_towards(random, shape, pixel_mm, nipple, anatomy.tangle)
    septa = ridges(power_law_noise(random, shape, 4.0, max(shape) * pixel_mm / 32.0), 0.16)
    gland = _parenchyma(anatomy, x, y[:, None], inside, outline, cloud, bands, pixel_mm, random)
    uneven = np.clip(0.7 + 0.35 * lumps(random, shape, pixel_mm, 18.0), 0.15, 1.3)
    lines = np.maximum(strands, 0.5 * septa) * uneven * np.float32(anatomy.strands)
    fat = FAT + 0.018 * cloud + 0.008 * bands + (0.10 + 0.08 * gland) * lines
    dense = GLAND - 0.09 + 0.06 * cloud + 0.05 * bands + 0.17 * lines
    body = fat + gland * np.maximum(dense - fat, 0.03)
    muscle, fibers = _muscle(anatomy, x, y, oblique, cloud, random)
    body = body + muscle * (np.maximum(MUSCLE + fibers, body) - body)
    skin = np.exp(-(((inside - 1.0) / 0.8) ** 2)) * np.float32(random.uniform(0.05, 0.14))
    areola = np.hypot(x - nipple[0] + 1.0, y[:, None] - nipple[1])
    skin = skin + np.float32(random.uniform(0.05, 0.16)) * np.exp(-((areola / 4.5) ** 2))
    signal = (thickness * body + skin) * breast
    return Tissue(
        signal=np.asarray(signal, dtype=np.float32),
        inside=inside,
        gland=np.asarray(gland * breast, dtype=np.float32),
        muscle=np.asarray(muscle * breast, dtype=np.float32),
        nipple=nipple,
        reach_mm=(outline.top, outline.bottom),
        pixel_mm=pixel_mm,
    )


def _parenchyma(
    anatomy: Anatomy,
    x: Image,
    y: Image,
    inside: Image,
    outline: Outline,
    cloud: Image,
    bands: Image,
    pixel_mm: float,
    random: np.random.Generator,
) -> Image:
    """Fibroglandular share of each pixel: a cone behind the nipple, ragged by noise, cut to its share."""
    height = outline.bottom - outline.top
    center = outline.nipple_y - 0.08 * height
    # the cone narrows towards the nipple, and leaves fat before the wall and below the skin
    along = x * np.float32(1.0 / anatomy.depth_mm)
    half = (0.46 - 0.30 * np.clip(along - 0.3, 0.0, 1.0)) * height
    across = (y - center) / half
    before_wall = np.clip(0.35 - along, 0.0, 1.0) * np.float32(random.uniform(1.0, 5.0))
    lobes = lumps(random, inside.shape, pixel_mm, float(random.uniform(7.0, 13.0)))
    # a bent second cloud keeps the border of the parenchyma from following the texture inside it
    ragged = enlarge_field(
        power_law_noise(random, (max(8, inside.shape[0] // 4), max(8, inside.shape[1] // 4)), 3.2),
        inside.shape,
    )
    field = -1.1 * across**2 - before_wall**2 + 0.38 * ragged + 0.10 * cloud + 0.34 * bands
    field = field - np.float32(0.35 * anatomy.lobules) * np.maximum(lobes, 0.0) - 1.8 * np.exp(-inside / 5.0)
    breast = inside > 0
    cut = float(np.quantile(field[breast][::7], 1.0 - anatomy.fraction)) if breast.any() else 0.0
    share = 1.0 / (1.0 + np.exp(np.clip((cut - field) * np.float32(3.0), -8.0, 8.0)))
    return np.asarray(share, dtype=np.float32)


def _muscle(
    anatomy: Anatomy, x: Image, y: Image, oblique: bool, cloud: Image, random: np.random.Generator
) -> tuple[Image, Image]:
    """Share of pectoral muscle of each pixel, and what its fibers add to the signal."""
    found = muscle_edge(y, anatomy.depth_mm, oblique, random)
    if found is None:
        nothing = np.zeros_like(cloud)
        return nothing, nothing
    line, slope = found
    edge = line[:, None] + np.float32(0.5) * cloud
    share = np.clip((edge - x) / np.float32(random.uniform(3.0, 8.0)) + 0.5, 0.0, 1.0) * (line > 0.5)[:, None]
    tile = power_law_noise(random, (192, 192), 2.0, 6.0)
    along = (y[:, None] * np.sin(slope) - x * np.cos(slope)).astype(np.float32)
    across = (y[:, None] * np.cos(slope) + x * np.sin(slope)).astype(np.float32)
    fibers = cv2.remap(
        tile, across * np.float32(1.6), along * np.float32(0.22), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    thicker = 0.10 * np.clip((edge - x) / 30.0, 0.0, 1.0) - 0.06
    inner = thicker + 0.015 * cloud + 0.014 * fibers
    return np.asarray(share, dtype=np.float32), np.asarray(inner, dtype=np.float32)
