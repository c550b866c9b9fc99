"""One mammogram from its data set: its pixels, with the window that they are shown with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dibmg_node.dicom.breast import breast_mask
from dibmg_node.dicom.pixels import PixelsUnreadableError, decode
from dibmg_node.domain.image import Mammogram, WindowRule

_NARROWEST: Final = 1e-3
"""Least width of a window, in pixel values."""
_FARTHEST: Final = 2.0**24
"""A window that ends farther out is no window of 16-bit pixels."""


def read_mammogram(instance: Dataset, least_side: int = 0) -> Mammogram:
    """Decode one single-frame mammogram and choose its window.

    Args:
        instance: Data set with its Pixel Data and its `file_meta`.
        least_side: As for `decode`; every pixel is decoded where the header has no window.

    Returns:
        Stored values (after the VOI LUT where that is the rule) with their window.

    Raises:
        PixelsUnreadableError: The transfer syntax cannot be decoded (SyntaxNotDecodedError), the pixels
            are damaged or contradict the header; the message says what was found and what was expected.
    """
    # fewer pixels have less noise, and other percentiles: an estimated window depends on all of them
    pixels = decode(instance, least_side if _window(instance) is not None else 0)
    shown = _shown(instance, pixels)
    stored = (int(instance.Rows), int(instance.Columns))
    return shown if pixels.shape == stored else replace(shown, stored=stored)


def _shown(instance: Dataset, pixels: NDArray[Any]) -> Mammogram:
    """Pixels with their window."""
    inverted = (
        _text(instance, "PhotometricInterpretation") == "MONOCHROME1"
        or _text(instance, "PresentationLUTShape") == "INVERSE"
    )
    # stored values against a falling modality LUT: the lowest are what the display has highest
    turned = inverted != is_falling(instance)
    window = _window(instance)
    if window is not None:
        low, high = window
        return Mammogram(pixels, low, high, turned, WindowRule.WINDOW)
    table = _voi_lut(instance)
    if table is not None:
        first, values = table
        index = np.clip(_after_modality_lut(instance, pixels) - first, 0, len(values) - 1)
        top = float(2 ** _lut_bits(values) - 1)
        return Mammogram(values[index], 0.0, top, inverted, WindowRule.VOI_LUT)
    low, high = _estimated_window(pixels, turned)
    return Mammogram(pixels, low, high, turned, WindowRule.WINDOW_ESTIMATED)


def rescale(instance: Dataset) -> tuple[float, float]:
    """Slope and intercept of the modality LUT; 1 and 0 for mammograms by the letter."""
    return _first(instance, "RescaleSlope") or 1.0, _first(instance, "RescaleIntercept") or 0.0


def is_falling(instance: Dataset) -> bool:
    """Whether the modality LUT gives a higher stored value the lower one."""
    return rescale(instance)[0] < 0


@dataclass(frozen=True, eq=False)
class VoiLut:
    """A VOI LUT as it is shown.

    Attributes:
        first: Value, after the modality LUT, of the first entry.
        values: uint16 (entries,).
        bits: Of each entry.
    """

    first: int
    values: NDArray[np.uint16]
    bits: int


def voi_lut(instance: Dataset) -> VoiLut | None:
    """The first VOI LUT of an image; None where it has none.

    Raises:
        PixelsUnreadableError: It is damaged.

    Source: PS3.3 C.11.2.1.1.
    """
    table = _voi_lut(instance)
    return None if table is None else VoiLut(*table, _lut_bits(table[1]))


def _window(instance: Dataset) -> tuple[float, float] | None:
    """Stored values at the two ends of the first window, the lower one first.

    Window values are in the units after the modality LUT, and turned back to stored values here.
    A SIGMOID function is shown by the straight line through its middle that has its slope.

    Source: PS3.3 C.11.2.1.2.
    """
    center, width = _first(instance, "WindowCenter"), _first(instance, "WindowWidth")
    linear = (_text(instance, "VOILUTFunction") or "LINEAR") == "LINEAR"
    if center is None or width is None or width < (1 if linear else _NARROWEST):
        return None
    if linear and width > 1:
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        low, high = center - width / 2, center + width / 2
    slope, intercept = rescale(instance)
    low, high = sorted(((low - intercept) / slope, (high - intercept) / slope))
    if max(abs(low), abs(high)) > _FARTHEST:
        return None
    return low, max(high, low + _NARROWEST)


def _after_modality_lut(instance: Dataset, pixels: NDArray[Any]) -> NDArray[np.int32]:
    slope, intercept = rescale(instance)
    if (slope, intercept) == (1.0, 0.0):
        return pixels.astype(np.int32)
    return np.rint(np.clip(pixels * slope + intercept, -(2**30), 2**30)).astype(np.int32)


def _voi_lut(instance: Dataset) -> tuple[int, NDArray[np.uint16]] | None:
    """First value and table of the first VOI LUT.

    Two entries of 8 bits share a word; that some have a word each is told by its length.

    Source: PS3.3 C.11.2.1.1.
    """
    try:
        sequence = instance.get("VOILUTSequence")
        if not sequence:
            return None
        entries, first, bits = (int(value) for value in sequence[0].LUTDescriptor)
        entries = entries % 65536 or 65536  # an entry count of SS representation comes out negative
        raw = sequence[0]["LUTData"].value
        if not isinstance(raw, bytes):
            raw = (np.atleast_1d(np.asarray(raw, dtype=np.int64)) & 0xFFFF).astype("<u2").tobytes()
        values = np.frombuffer(raw, np.uint8 if bits == 8 and len(raw) < 2 * entries else "<u2")
    # pydicom tells a damaged element by many exceptions
    except Exception as error:
        raise PixelsUnreadableError(f"VOI LUT Sequence cannot be read ({type(error).__name__})") from error
    if instance.get("PixelRepresentation", 0) == 1 and first >= 32768:
        first -= 65536
    if len(values) < entries:
        raise PixelsUnreadableError(f"VOI LUT has {len(values)} entries, its descriptor says {entries}")
    return first, values[:entries].astype(np.uint16)


def _lut_bits(values: NDArray[np.uint16]) -> int:
    """Bits of a VOI LUT's output: its table decides, some units state 16 and fill 12, others the reverse."""
    return max(int(values.max()).bit_length(), 8)


def _estimated_window(pixels: NDArray[Any], inverted: bool) -> tuple[float, float]:
    """1st to 99.5th percentile of brightness inside the breast, for images that bring no window."""
    mask = breast_mask(pixels, inverted=inverted)
    inside = pixels[mask] if mask.any() else pixels.reshape(-1)
    ends = (0.5, 99.0) if inverted else (1.0, 99.5)
    low, high = (float(value) for value in np.percentile(inside, ends))
    return low, max(high, low + 1.0)


def _text(instance: Dataset, name: str) -> str:
    try:
        return str(instance.get(name) or "").strip().upper()
    except Exception:  # noqa: BLE001 - a damaged optional attribute is an absent one
        return ""


def _first(instance: Dataset, name: str) -> float | None:
    """First value of a number that may have several; None where it is absent or no finite number."""
    try:
        value = instance.get(name)
        number = float(value[0] if not isinstance(value, str) and hasattr(value, "__len__") else value)
    except Exception:  # noqa: BLE001 - the same
        return None
    return number if isfinite(number) else None
