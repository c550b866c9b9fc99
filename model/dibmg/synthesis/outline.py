"""The outline of a compressed breast, and where its pectoral muscle lies.

Lengths are millimeters in the detector plane; y runs down, x runs from the chest wall to the nipple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dibmg_node.domain.image import Image


@dataclass(frozen=True, eq=False)
class Outline:
    """One view's outline.

    Attributes:
        edge: float32 (rows,), distance of the skin from the chest wall; 0 where there is no breast.
        top: Lowest y of breast without axilla.
        bottom: Highest y.
        nipple_y: y of the nipple.
    """

    edge: Image
    top: float
    bottom: float
    nipple_y: float


def draw_outline(
    y: Image, depth_mm: float, height_mm: float, oblique: bool, random: np.random.Generator
) -> Outline:
    """The outline of a CC (rounded) or MLO (drooping, with axilla and inframammary fold).

    Args:
        y: (rows,), centers of the rows.
        depth_mm: Chest wall to nipple.
        height_mm: Extent along the chest wall in CC.
        oblique: MLO.
        random: Place on the detector and shape.
    """
    extent = float(y[-1] + y[0])
    height = min(height_mm, 0.95 * extent)
    if oblique:
        bottom = extent * float(random.uniform(0.90, 0.98))
        nipple = bottom - height * float(random.uniform(0.38, 0.46))
        top = max(bottom - 1.1 * height, 0.06 * extent)
    else:
        center = float(np.clip(extent * random.uniform(0.46, 0.54), height / 2 + 2, extent - height / 2 - 2))
        top, bottom = center - height / 2, center + height / 2
        nipple = center + height * float(random.uniform(-0.06, 0.06))
    upper = np.clip((nipple - y) / max(nipple - top, 1.0), 0.0, 1.0)
    lower = np.clip((y - nipple) / max(bottom - nipple, 1.0), 0.0, 1.0)
    roundness = float(random.uniform(1.8, 2.4))
    edge = np.where(y <= nipple, 1 - upper**roundness, 1 - lower**roundness)
    edge = depth_mm * np.clip(edge, 0.0, 1.0) ** float(random.uniform(0.50, 0.68))
    if oblique:  # the axilla goes on to the top edge of the film
        axilla = depth_mm * float(random.uniform(0.62, 0.92))
        above = np.clip((nipple - y) / max(nipple, 1.0), 0.0, 1.0)
        rise = np.clip(1.6 * above, 0.0, 1.0)
        arm = axilla * (1.0 - float(random.uniform(0.2, 0.5)) * above**1.5) * rise * (2.0 - rise)
        edge = (edge**4 + arm**4) ** 0.25
        if random.random() < 0.4:  # abdomen below the inframammary fold
            below = np.clip((y - nipple) / max(bottom - nipple, 1.0), 0.0, 1.3)
            belly = depth_mm * float(random.uniform(0.05, 0.15)) * np.clip(below * 2.0 - 1.2, 0.0, 1.0)
            edge = (edge**3 + belly**3) ** (1 / 3)
        edge *= depth_mm / max(float(edge.max()), 1.0)
    bump = float(random.uniform(1.0, 6.0)) * np.exp(-(np.abs((y - nipple) / random.uniform(4.5, 7.0)) ** 3))
    wobble = np.cumsum(random.normal(0.0, 0.05, y.shape)) * np.sqrt(extent / y.size / 0.47)
    edge = np.where(edge > 0.5, edge + bump + wobble, 0.0)
    return Outline(np.asarray(edge, dtype=np.float32), top, bottom, nipple)


def muscle_edge(
    y: Image, depth_mm: float, oblique: bool, random: np.random.Generator
) -> tuple[Image, float] | None:
    """Distance of the pectoral muscle's edge from the chest wall in every row, and the slope of its fibers.

    A wedge at the top of an MLO, in some CC views a flat arc at the wall, else None.
    """
    extent = float(y[-1] + y[0])
    if oblique:
        width, height = depth_mm * random.uniform(0.35, 0.70), extent * random.uniform(0.42, 0.70)
        share = np.clip(y / height, 0.0, 1.0)
        line = width * (1.0 - share ** float(random.uniform(0.95, 1.6)))
        return np.asarray(line, dtype=np.float32), float(np.arctan2(height, width))
    if random.random() < 0.25:
        middle, half = extent * random.uniform(0.4, 0.6), random.uniform(20.0, 45.0)
        line = random.uniform(3.0, 9.0) * np.clip(1.0 - ((y - middle) / half) ** 2, 0.0, 1.0)
        return np.asarray(line, dtype=np.float32), float(np.pi / 2)
    return None
