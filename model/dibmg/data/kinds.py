"""What may be said of an exam, a breast, a cancer and its place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """What an exam or a breast shows; benign counts as negative in an evaluation."""

    CANCER = "cancer"
    NORMAL = "normal"
    BENIGN = "benign"


class Density(StrEnum):
    """Breast density: almost entirely fat to extremely dense. Source: ACR BI-RADS Atlas."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class CancerType(StrEnum):
    """Whether a cancer invades, by pathology."""

    INVASIVE = "invasive"
    NONINVASIVE = "noninvasive"


class Feature(StrEnum):
    """What a cancer shows itself as; a mass with microcalcifications has both."""

    MASS = "mass"
    CALCIFICATION = "calcification"
    ASYMMETRY = "asymmetry"
    DISTORTION = "distortion"


@dataclass(frozen=True)
class Circle:
    """Place of a lesion, in pixels of the stored image: see `dibmg_node.domain.image.Point`."""

    column: float
    row: float
    radius: float
