"""An overlay as a Secondary Capture Image, one per view."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom.rendering import OverlayStyle
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import ViewKey


def overlay(
    header: FileDataset,
    pixels: NDArray[np.uint8],
    view: ViewKey,
    result: ExamResult,
    source_uids: Collection[str],
    now: datetime,
    *,
    style: OverlayStyle = OverlayStyle.COLOR,
) -> Dataset:
    """A Secondary Capture Image with native RGB pixels.

    Args:
        header: Header of the image under the overlay.
        pixels: uint8 (rows, columns, 3), what `render_overlay` drew; its size against the header's gives
            the Pixel Spacing.
        view: The view that the exam has this image for.
        source_uids: SOP Instance UIDs of all images of the exam: the burned-in exam score is theirs.
        now: Time of the analysis.

    Source: A.8.1, PS3.3.
    """
    raise NotImplementedError
