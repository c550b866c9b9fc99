"""What a synthetic cancer is, before any view shows it: both views of a breast share one design."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from dibmg_node.domain.image import Point


class LesionKind(StrEnum):
    """What a synthetic cancer looks like."""

    MASS = "mass"
    SPICULATED_MASS = "spiculated mass"
    CALCIFICATIONS = "calcifications"
    MASS_WITH_CALCIFICATIONS = "mass with calcifications"
    DISTORTION = "distortion"


MASSES: Final = frozenset({LesionKind.MASS, LesionKind.SPICULATED_MASS, LesionKind.MASS_WITH_CALCIFICATIONS})
SPICULATED: Final = frozenset({LesionKind.SPICULATED_MASS, LesionKind.MASS_WITH_CALCIFICATIONS})
CALCIFIED: Final = frozenset({LesionKind.CALCIFICATIONS, LesionKind.MASS_WITH_CALCIFICATIONS})
_SHARES: Final = {
    LesionKind.MASS: 0.30,
    LesionKind.SPICULATED_MASS: 0.28,
    LesionKind.CALCIFICATIONS: 0.20,
    LesionKind.MASS_WITH_CALCIFICATIONS: 0.12,
    LesionKind.DISTORTION: 0.10,
}

_FLOORS: Final = {
    LesionKind.CALCIFICATIONS: 2.4,
    LesionKind.MASS_WITH_CALCIFICATIONS: 1.3,
    LesionKind.DISTORTION: 1.6,
}
"""What is made of many small parts must stand out further: nobody knows beforehand where the parts are."""


@dataclass(frozen=True)
class LesionDesign:
    """A lesion as both views share it.

    Attributes:
        body_mm: Mean radius of the mass; of a distortion's center; of a cluster.
        radius_mm: Radius of the circle that a reader would mark: with a part of the spicules.
        body_contrast: Height of the body over the spread (standard deviation) of the tissue around.
        line_contrast: Height of the spicules over the spread of fine structures.
        speck_contrast: Height of the highest speck over the spread of fine structures.
        specks: Number of calcifications.
        conspicuity: Floor of how far the whole stands out, as `Conspicuity` measures it.
        visibility: Factor of all heights, floors included; 1 = findable in both views.
    """

    kind: LesionKind
    body_mm: float
    radius_mm: float
    body_contrast: float
    line_contrast: float
    speck_contrast: float
    specks: int
    conspicuity: float
    visibility: float = 1.0


@dataclass(frozen=True)
class Lesion:
    """Where a lesion is on one image.

    Attributes:
        center: (column, row) in pixels.
        radius: Pixels; of the circle that a reader would mark.
    """

    kind: LesionKind
    center: Point
    radius: float


def draw_lesion_design(random: np.random.Generator, visibility: float = 1.0) -> LesionDesign:
    """A lesion of 12 to 28 mm across; `visibility` scales its contrast.

    Contrast is drawn above a floor, since what cannot be told from tissue teaches nothing but noise.
    """
    kind = LesionKind(str(random.choice([str(kind) for kind in _SHARES], p=list(_SHARES.values()))))
    spiculated = kind in SPICULATED
    smallest, largest = {
        LesionKind.MASS: (6.0, 12.0),
        LesionKind.CALCIFICATIONS: (6.0, 10.0),
        LesionKind.DISTORTION: (8.0, 13.0),
    }.get(kind, (5.0, 9.5))
    body = float(np.exp(random.uniform(np.log(smallest), np.log(largest))))
    return LesionDesign(
        kind=kind,
        body_mm=body,
        radius_mm=body * (1.3 if spiculated else 1.0),
        body_contrast=float(random.uniform(2.2, 3.8)),
        line_contrast=float(random.uniform(4.0, 7.0)),
        speck_contrast=float(random.uniform(12.0, 22.0)),
        specks=int(random.integers(9, 25)),
        conspicuity=float(random.uniform(6.0, 10.0)) * _FLOORS.get(kind, 1.0),
        visibility=visibility,
    )
