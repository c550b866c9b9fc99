"""The same random resampling and blur for every image: traces of how an image was stored go, tissue stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from dibmg.data.manifest import ImageRow
from dibmg_node.domain.image import Mammogram

_SIDES: Final = (0.6, 0.95)
"""Range of the longer side after resampling, as a share of the network's input."""
_BLURS: Final = (0.4, 1.0)
"""Range of the standard deviation of the blur, pixels of the resampled image."""

SENTENCE: Final = (
    f"every image resampled to {_SIDES[0]:.2f}-{_SIDES[1]:.2f} of the network's input and blurred with a "
    f"Gaussian of {_BLURS[0]:.1f}-{_BLURS[1]:.1f} pixels, both drawn anew for each image"
)


def resampling(size: int, seed: int) -> Callable[[Mammogram, ImageRow], Mammogram]:
    """What to do to each image; it depends on the seed and the image's line in the manifest alone.

    Args:
        size: Side of the network's input, pixels.
        seed: Of the draw.
    """

    def change(mammogram: Mammogram, row: ImageRow) -> Mammogram:
        random = np.random.default_rng([seed, row.line])
        rows, columns = mammogram.shape
        scale = size * random.uniform(*_SIDES) / max(rows, columns)
        shape = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(mammogram.pixels.astype(np.float32), shape, interpolation=method)
        return replace(mammogram, pixels=cv2.GaussianBlur(small, (0, 0), random.uniform(*_BLURS)))

    return change
