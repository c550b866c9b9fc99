"""What the process that draws pictures is asked."""

from __future__ import annotations

from collections.abc import Callable
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


def build_painter() -> Callable[[Order], bytes]:
    """What the sandbox's child does with orders."""
    # a process of its own has the decoders; the web server that starts it does without them
    from dibmg_node.services.painter import Painter

    return Painter().paint
