"""The gray levels of a presentation state: modality LUT, window and polarity, as the image was read.

Source: Softcopy VOI LUT, PS3.3 C.11.8; Softcopy Presentation LUT, PS3.3 C.11.6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom.mammogram import VoiLut, is_falling, rescale, voi_lut
from dibmg_node.dicom.sr_content import decimal
from dibmg_node.domain.image import Mammogram, WindowRule


class Grayscale(NamedTuple):
    """What a state says once for all of its images.

    Attributes:
        inverted: The lowest value is shown white.
        slope, intercept: Of the modality LUT.
    """

    inverted: bool
    slope: float
    intercept: float


def grayscale_of(header: FileDataset, mammogram: Mammogram) -> Grayscale:
    """What the state of an image must say for it."""
    # its modality LUT turns what a window is laid on, and not what a VOI LUT gave
    turned = is_falling(header) and mammogram.rule is not WindowRule.VOI_LUT
    return Grayscale(mammogram.inverted != turned, *rescale(header))


def describe_grayscale(state: Dataset, grayscale: Grayscale) -> None:
    """Set modality LUT, where it changes something, and polarity."""
    if (grayscale.slope, grayscale.intercept) != (1.0, 0.0):
        state.RescaleSlope = decimal(grayscale.slope)
        state.RescaleIntercept = decimal(grayscale.intercept)
        state.RescaleType = "US"
    state.PresentationLUTShape = "INVERSE" if grayscale.inverted else "IDENTITY"


def window_of(header: FileDataset, mammogram: Mammogram) -> Dataset:
    """Window or VOI LUT that the image was read with, in the units after the modality LUT.

    Returns:
        An item of the Softcopy VOI LUT Sequence, without the image that it is for.
    """
    item = Dataset()
    table = voi_lut(header) if mammogram.rule is WindowRule.VOI_LUT else None
    if table is not None:
        item.VOILUTSequence = DicomSequence([_sixteen_bits(table)])
        return item
    slope, intercept = rescale(header)
    low, high = sorted((mammogram.low * slope + intercept, mammogram.high * slope + intercept))
    function = str(header.get("VOILUTFunction") or "").strip().upper()
    if mammogram.rule is WindowRule.WINDOW and function in ("LINEAR_EXACT", "SIGMOID"):
        item.WindowCenter, item.WindowWidth = decimal((low + high) / 2), decimal(high - low)
        item.VOILUTFunction = function
    else:  # LINEAR counts values, not distances: PS3.3 C.11.2.1.2.1
        item.WindowCenter, item.WindowWidth = decimal((low + high + 1) / 2), decimal(high - low + 1)
    return item


def _sixteen_bits(table: VoiLut) -> Dataset:
    """A VOI LUT with 16 bits an entry: a state knows no others but 8."""
    item = Dataset()
    entries = len(table.values) % 65536
    if table.first < 0:
        item.add_new("LUTDescriptor", "SS", [entries - 65536 * (entries > 32767), table.first, 16])
    else:
        item.add_new("LUTDescriptor", "US", [entries, table.first, 16])
    values = np.rint(table.values * (65535.0 / (2**table.bits - 1)))
    item.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return item
