"""What the process that draws pictures is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MammogramOrder:
    """Draw a mammogram; center and width as for `dicom.picture.windowed`."""

    path: Path
    center: float
    width: float


@dataclass(frozen=True)
class OverlayOrder:
    """Draw an overlay; shape as for `dicom.picture.read_overlay`."""

    path: Path
    source_shape: tuple[int, int]


Order = MammogramOrder | OverlayOrder
