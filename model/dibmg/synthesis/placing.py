"""Where a finding lies: the same depth in both views of a breast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dibmg.synthesis.tissue import Tissue
from dibmg_node.domain.image import Point


def place_finding(tissues: Sequence[Tissue], radius_mm: float, random: np.random.Generator) -> list[Point]:
    """One (x, y) in mm for each view: the same share of the depth, inside the breast, off the muscle.

    Parenchyma is chosen six times as often as fat, for what is benign and what is not.
    """
    for margin in (radius_mm + 6.0, 0.7 * radius_mm + 2.0):
        for _ in range(40):
            share = float(random.uniform(0.15, 0.85))
            places = []
            for tissue in tissues:
                x = share * tissue.nipple[0] * float(random.normal(1.0, 0.02))
                x = max(x, 0.8 * radius_mm)
                column = min(int(x / tissue.pixel_mm), tissue.signal.shape[1] - 1)
                y = (np.arange(tissue.signal.shape[0]) + 0.5) * tissue.pixel_mm
                allowed = (tissue.inside[:, column] > margin) & (tissue.muscle[:, column] < 0.05)
                allowed &= (y > tissue.reach_mm[0] + radius_mm) & (y < tissue.reach_mm[1] - radius_mm)
                if allowed.any():
                    weight = tissue.gland[allowed, column] + 0.2
                    places.append((x, float(random.choice(y[allowed], p=weight / weight.sum()))))
            if len(places) == len(tissues):
                return places
    return [(0.5 * tissue.nipple[0], tissue.nipple[1]) for tissue in tissues]
