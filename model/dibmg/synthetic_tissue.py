"""The normal breast of a synthetic mammogram: outline, thickness, parenchyma, pectoral muscle, skin.

All arrays are drawn with the chest wall at column 0 and are mirrored for right breasts later.
Lengths are millimeters in the detector plane; y runs down, x runs from the chest wall to the nipple.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dibmg.synthetic_texture import (
    clustered_lumps,
    enlarge_field,
    muscle_fibres,
    power_law_noise,
    strands_towards,
)
from dibmg_node.domain.image import Image

FIBROGLANDULAR_FRACTION = {"A": (0.04, 0.15), "B": (0.18, 0.38), "C": (0.42, 0.62), "D": (0.68, 0.88)}
"""Share of the breast's area that is fibroglandular, by BI-RADS density."""


@dataclass(frozen=True)
class Anatomy:
    """What both views of one breast share.

    Attributes:
        depth_mm: Chest wall to nipple.
        height_mm: Extent along the chest wall in CC.
        rim_mm: Width of the border in which the compressed breast gets thinner.
        fraction: Share of fibroglandular tissue, 0..1.
        strandiness: 0 = cloudy parenchyma, 1 = strands.
    """

    density: str
    depth_mm: float
    height_mm: float
    rim_mm: float
    fraction: float
    strandiness: float


@dataclass(frozen=True, eq=False)
class Tissue:
    """One normal view before a detector sees it.

    Attributes:
        signal: float32 (rows, columns); 0 = air, about 0.3 = fat, about 0.75 = fibroglandular.
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
    nipple: tuple[float, float]
    reach_mm: tuple[float, float]


def draw_anatomy(random: np.random.Generator) -> Anatomy:
    """One woman's breast; densities A-D with 10, 40, 40 and 10 %."""
    density = str(random.choice(["A", "B", "C", "D"], p=[0.1, 0.4, 0.4, 0.1]))
    depth = float(np.clip(random.normal(95.0 if density in "AB" else 80.0, 18.0), 50.0, 140.0))
    return Anatomy(
        density=density,
        depth_mm=depth,
        height_mm=float(np.clip(depth * random.normal(1.75, 0.15), 100.0, 225.0)),
        rim_mm=float(random.uniform(10.0, 22.0)),
        fraction=float(random.uniform(*FIBROGLANDULAR_FRACTION[density])),
        strandiness=float(random.uniform(0.2, 0.9)),
    )


def other_breast(anatomy: Anatomy, random: np.random.Generator) -> Anatomy:
    """The same woman's other breast: nearly the same."""
    return Anatomy(
        density=anatomy.density,
        depth_mm=anatomy.depth_mm * float(random.normal(1.0, 0.03)),
        height_mm=anatomy.height_mm * float(random.normal(1.0, 0.03)),
        rim_mm=anatomy.rim_mm,
        fraction=float(np.clip(anatomy.fraction * random.normal(1.0, 0.08), 0.03, 0.92)),
        strandiness=anatomy.strandiness,
    )


def draw_tissue(
    anatomy: Anatomy, oblique: bool, shape: tuple[int, int], pixel_mm: float, random: np.random.Generator
) -> Tissue:
    """One normal view of a breast, chest wall at column 0.

    Args:
        anatomy: What both views share.
        oblique: MLO (drooping outline, pectoral wedge) instead of CC.
        shape: (rows, columns) of the detector.
        pixel_mm: Side of a pixel.
        random: For what differs between the views.
    """
    rows, columns = shape
    y = ((np.arange(rows, dtype=np.float32) + 0.5) * pixel_mm)[:, None]
    x = ((np.arange(columns, dtype=np.float32) + 0.5) * pixel_mm)[None, :]
    extent = rows * pixel_mm
    top, bottom, nipple_y = _reach(anatomy, oblique, extent, random)
    edge = _outline(y[:, 0], top, bottom, nipple_y, anatomy.depth_mm, oblique, random)
    breast = (x < edge[:, None]).astype(np.uint8)
    padded = cv2.copyMakeBorder(breast, 0, 0, 8, 0, cv2.BORDER_REPLICATE)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[:, 8:] * np.float32(pixel_mm)
    rim = np.clip(inside / anatomy.rim_mm, 0.0, 1.0)
    thickness = np.sqrt(1.0 - (1.0 - rim) ** 2)

    coarse = (max(16, rows // 2), max(16, columns // 2))
    lumps = enlarge_field(clustered_lumps(random, coarse, pixel_mm * 2), shape)
    cloud = power_law_noise(random, shape, float(random.uniform(3.0, 3.6)))
    strands = strands_towards(random, shape, pixel_mm, (anatomy.depth_mm, nipple_y))
    gland = _parenchyma(anatomy, x, y, inside, nipple_y, top, bottom, cloud, lumps, strands)
    mix = anatomy.strandiness
    texture = 0.7 * cloud + (0.15 + 0.3 * (1 - mix)) * lumps + (0.5 + 0.9 * mix) * strands
    fat = 0.27 + 0.018 * cloud + 0.05 * np.maximum(strands, 0.0) + 0.006 * lumps
    dense = 0.60 + 0.05 * texture
    body = fat + gland * np.maximum(dense - fat, 0.05)
    skin = np.exp(-(((inside - 1.2) / 0.9) ** 2)) * (inside > 0) * float(random.uniform(0.05, 0.12))
    muscle = _muscle(anatomy, x, y, extent, random, oblique, pixel_mm)
    fibres = 0.60 + 0.02 * cloud + 0.012 * muscle_fibres(x, y, random)
    signal = thickness * (body * (1 - muscle) + np.maximum(fibres, body) * muscle) + skin
    signal *= breast
    return Tissue(
        signal=signal.astype(np.float32),
        inside=inside.astype(np.float32),
        gland=np.asarray(gland * breast, dtype=np.float32),
        muscle=np.asarray(muscle * breast, dtype=np.float32),
        nipple=(anatomy.depth_mm, nipple_y),
        reach_mm=(top, bottom),
    )


def _reach(
    anatomy: Anatomy, oblique: bool, extent: float, random: np.random.Generator
) -> tuple[float, float, float]:
    """Lowest y, highest y and the nipple's y of the breast, in mm."""
    height = min(anatomy.height_mm, 0.92 * extent)
    if oblique:
        bottom = extent * float(random.uniform(0.86, 0.97))
        nipple = bottom - height * float(random.uniform(0.36, 0.46))
        return bottom - 1.15 * height, bottom, nipple
    center = extent * float(random.uniform(0.46, 0.54))
    center = float(np.clip(center, height / 2 + 2, extent - height / 2 - 2))
    return center - height / 2, center + height / 2, center + height * float(random.uniform(-0.06, 0.06))


def _outline(
    y: Image,
    top: float,
    bottom: float,
    nipple: float,
    depth: float,
    oblique: bool,
    random: np.random.Generator,
) -> Image:
    """Distance of the skin from the chest wall for every row, mm; 0 where there is no breast."""
    upper = np.clip((nipple - y) / max(nipple - top, 1.0), 0.0, 1.0)
    lower = np.clip((y - nipple) / max(bottom - nipple, 1.0), 0.0, 1.0)
    roundness = float(random.uniform(1.7, 2.3))
    edge = np.where(y <= nipple, (1 - upper**roundness), (1 - lower**roundness))
    edge = depth * np.clip(edge, 0.0, 1.0) ** float(random.uniform(0.55, 0.75))
    if oblique:  # the axilla goes on to the top edge of the film
        axilla = depth * float(random.uniform(0.45, 0.75))
        above = np.clip((nipple - y) / max(nipple, 1.0), 0.0, 1.0)
        arm = axilla * (1.0 - 0.35 * above) * (y <= nipple)
        edge = (edge**4 + arm**4) ** 0.25
        edge *= depth / max(float(edge.max()), 1.0)
    bump = 6.0 * np.exp(-(((y - nipple) / 4.0) ** 2)) * float(random.uniform(0.0, 1.0))
    wobble = np.cumsum(random.normal(0.0, 0.05, y.shape)).astype(np.float32)
    return np.asarray(np.where(edge > 0.5, edge + bump + wobble, 0.0), dtype=np.float32)


def _parenchyma(
    anatomy: Anatomy,
    x: Image,
    y: Image,
    inside: Image,
    nipple: float,
    top: float,
    bottom: float,
    cloud: Image,
    lumps: Image,
    strands: Image,
) -> Image:
    """Fibroglandular share of each pixel: a cone behind the nipple, ragged by noise, cut to its share."""
    center = nipple - 0.10 * (bottom - top)
    across = (y - center) / (0.38 * (bottom - top))
    along = (x - 0.58 * anatomy.depth_mm) / (0.52 * anatomy.depth_mm)
    field = (
        -(across**2 + along**2) + 0.6 * cloud + 0.10 * lumps + 0.12 * strands - 1.6 * np.exp(-inside / 5.0)
    )
    breast = inside > 0
    cut = float(np.quantile(field[breast][::7], 1.0 - anatomy.fraction)) if breast.any() else 0.0
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(field - cut, -8.0, 8.0) * 3.2)), dtype=np.float32)


def _muscle(
    anatomy: Anatomy,
    x: Image,
    y: Image,
    extent: float,
    random: np.random.Generator,
    oblique: bool,
    pixel_mm: float,
) -> Image:
    """Pectoral muscle: a wedge at the top of an MLO; in some CC views a flat arc at the wall."""
    if oblique:
        width, height = anatomy.depth_mm * random.uniform(0.35, 0.62), extent * random.uniform(0.40, 0.66)
        line = width * (1.0 - np.clip(y / height, 0.0, 1.0) ** float(random.uniform(0.9, 1.25)))
    elif random.random() < 0.25:
        middle, half = extent * random.uniform(0.4, 0.6), random.uniform(20.0, 45.0)
        line = random.uniform(3.0, 9.0) * np.clip(1.0 - ((y - middle) / half) ** 2, 0.0, 1.0)
    else:
        return np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    line = np.asarray(line, dtype=np.float32)
    return np.asarray(np.clip((line - x) / 3.0 + 0.5, 0.0, 1.0) * (line > 0.5), dtype=np.float32)
