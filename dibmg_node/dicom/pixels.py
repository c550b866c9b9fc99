"""Pixels of one mammogram: decoded, with the window that they are shown with."""

from __future__ import annotations

from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dibmg_node.dicom import facts
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.errors import RejectedError

MAXIMUM_SIDE: Final = 16384
"""Pixels: no mammogram has more rows or columns, a damaged or hostile header may."""

_JPEG: Final = (facts.JPEG_BASELINE, facts.JPEG_LOSSLESS_P14, facts.JPEG_LOSSLESS_SV1)
_JPEG_LS: Final = (facts.JPEG_LS_LOSSLESS, facts.JPEG_LS_NEAR_LOSSLESS)
_JPEG_2000: Final = (
    facts.JPEG_2000_LOSSLESS,
    facts.JPEG_2000,
    facts.HTJ2K_LOSSLESS,
    facts.HTJ2K_LOSSLESS_RPCL,
    facts.HTJ2K,
)
_PLAIN: Final = (facts.EXPLICIT_LE, facts.IMPLICIT_LE)
DECODED_SYNTAXES: Final = (*_PLAIN, facts.RLE_LOSSLESS, *_JPEG, *_JPEG_LS, *_JPEG_2000)
"""JPEG Extended (.51) is not among them: no decoder at hand reads its 12 bits."""


class PixelsUnreadableError(RejectedError):
    """The pixels of one image cannot be decoded, or contradict their header."""


def read_mammogram(instance: Dataset) -> Mammogram:
    """Decode one single-frame mammogram and choose its window.

    Args:
        instance: Data set with its Pixel Data and its `file_meta`.

    Returns:
        Stored values (after the VOI LUT where that is the rule) with their window.

    Raises:
        PixelsUnreadableError: The transfer syntax cannot be decoded, the pixels are damaged or
            contradict the header; the message says what was found and what was expected.
    """
    pixels = decode(instance)
    inverted = (
        instance.get("PhotometricInterpretation", "") == "MONOCHROME1"
        or instance.get("PresentationLUTShape", "") == "INVERSE"
    )
    window = _window(instance)
    if window is not None:
        low, high = window
        return Mammogram(pixels, low, high, inverted, WindowRule.WINDOW)
    table = _voi_lut(instance)
    if table is not None:
        first, values = table
        index = np.clip(pixels.astype(np.int32) - first, 0, len(values) - 1)
        top = float(2 ** _lut_bits(instance, values) - 1)
        return Mammogram(values[index], 0.0, top, inverted, WindowRule.VOI_LUT)
    low, high = _estimated_window(pixels, inverted)
    return Mammogram(pixels, low, high, inverted, WindowRule.WINDOW_ESTIMATED)


def decode(instance: Dataset) -> NDArray[Any]:
    """Stored values of a single-frame grayscale image, bit-exact.

    Returns:
        Integer (rows, columns), uint8, uint16, int8 or int16 by Pixel Representation and Bits Allocated.

    Raises:
        PixelsUnreadableError: As for `read_mammogram`.
    """
    syntax = str(instance.file_meta.TransferSyntaxUID)
    rows, columns, stored, allocated, signed = _shape(instance)
    raw = instance.get("PixelData")
    if not raw:
        raise PixelsUnreadableError("no pixel data in the instance")
    if syntax not in DECODED_SYNTAXES:
        raise PixelsUnreadableError(f"transfer syntax {syntax} is not decoded by this node")
    try:
        pixels = _decode_frame(raw, syntax, rows, columns, allocated)
    except PixelsUnreadableError:
        raise
    # each codec has its own exceptions and raises bare ValueError, IndexError, RuntimeError too
    except Exception as error:
        raise PixelsUnreadableError(f"pixel data cannot be decoded ({type(error).__name__})") from error
    if pixels.shape != (rows, columns):
        raise PixelsUnreadableError(
            f"pixel data has shape {pixels.shape}, the header says {rows} rows x {columns} columns"
        )
    return _stored_values(pixels, stored, allocated, int(instance.get("HighBit", stored - 1)), signed)


def _shape(instance: Dataset) -> tuple[int, int, int, int, bool]:
    """Rows, columns, bits stored, bits allocated and signedness, checked before anything is decoded."""
    try:
        rows, columns = int(instance.Rows), int(instance.Columns)
        allocated = int(instance.BitsAllocated)
        stored = int(instance.get("BitsStored", allocated))
        samples = int(instance.get("SamplesPerPixel", 1))
        frames = int(instance.get("NumberOfFrames", 1) or 1)
        signed = int(instance.get("PixelRepresentation", 0)) == 1
    except (AttributeError, TypeError, ValueError) as error:
        raise PixelsUnreadableError("Rows, Columns or Bits Allocated is missing or not a number") from error
    if not (0 < rows <= MAXIMUM_SIDE and 0 < columns <= MAXIMUM_SIDE):
        raise PixelsUnreadableError(
            f"{rows} rows x {columns} columns: expected 1 to {MAXIMUM_SIDE} of each"
        )
    if samples != 1 or frames != 1:
        raise PixelsUnreadableError(
            f"{samples} samples a pixel and {frames} frames: expected one gray frame"
        )
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise PixelsUnreadableError(
            f"{stored} of {allocated} bits: expected at most 16 stored in 8 or 16 allocated"
        )
    return rows, columns, stored, allocated, signed


def _decode_frame(raw: bytes, syntax: str, rows: int, columns: int, allocated: int) -> NDArray[Any]:
    unsigned = np.dtype(np.uint8 if allocated == 8 else "<u2")
    if syntax in _PLAIN:
        expected = rows * columns * unsigned.itemsize
        if len(raw) < expected:
            raise PixelsUnreadableError(f"pixel data has {len(raw)} bytes, expected {expected}")
        return np.frombuffer(raw, dtype=unsigned, count=rows * columns).reshape(rows, columns)
    frame = next(generate_frames(raw, number_of_frames=1))
    if syntax == facts.RLE_LOSSLESS:
        return _decode_rle(frame, rows, columns, unsigned)
    if syntax in _JPEG:
        return np.asarray(imagecodecs.jpeg8_decode(frame))
    if syntax in _JPEG_LS:
        return np.asarray(imagecodecs.jpegls_decode(frame))
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


def _decode_rle(frame: bytes, rows: int, columns: int, unsigned: np.dtype[Any]) -> NDArray[Any]:
    """RLE segments are byte planes, most significant first (PS3.5 Annex G)."""
    planes = imagecodecs.dicomrle_decode(frame, unsigned)
    expected = rows * columns * unsigned.itemsize
    if len(planes) < expected:
        raise PixelsUnreadableError(f"RLE frame has {len(planes)} bytes, expected {expected}")
    return np.frombuffer(planes, dtype=unsigned, count=rows * columns).reshape(rows, columns)


def _stored_values(
    pixels: NDArray[Any], stored: int, allocated: int, high_bit: int, signed: bool
) -> NDArray[Any]:
    """Cut the stored bits out of the allocated ones and give them their sign (PS3.5 8.1.1)."""
    bits = pixels.dtype.itemsize * 8
    if high_bit != stored - 1 and stored - 1 < high_bit < bits:
        pixels = pixels.astype(np.uint16) >> (high_bit + 1 - stored)
    if not signed:
        if stored == bits:
            return pixels
        return np.asarray(pixels & pixels.dtype.type((1 << stored) - 1))
    if pixels.dtype.kind == "i":
        return pixels
    shift = bits - stored
    return np.asarray((pixels << shift).astype(f"i{pixels.dtype.itemsize}") >> shift)


def _window(instance: Dataset) -> tuple[float, float] | None:
    """Values shown darkest and brightest by the first window.

    Window values are in the units after the modality LUT, and turned back to stored values here.
    A SIGMOID function is shown by the straight line through its middle that has its slope.

    Source: PS3.3 C.11.2.1.2.
    """
    center, width = _first(instance, "WindowCenter"), _first(instance, "WindowWidth")
    if center is None or width is None or width < 1:
        return None
    function = str(instance.get("VOILUTFunction", "LINEAR") or "LINEAR")
    if function == "LINEAR" and width > 1:
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        low, high = center - width / 2, center + width / 2
    slope, intercept = _first(instance, "RescaleSlope"), _first(instance, "RescaleIntercept")
    slope, intercept = slope or 1.0, intercept or 0.0
    if slope < 0:
        return None
    return (low - intercept) / slope, (high - intercept) / slope


def _voi_lut(instance: Dataset) -> tuple[int, NDArray[np.uint16]] | None:
    """First stored value and table of the first VOI LUT. Source: PS3.3 C.11.2.1.1."""
    sequence = instance.get("VOILUTSequence")
    if not sequence:
        return None
    try:
        entries, first, _ = (int(value) for value in sequence[0].LUTDescriptor)
        raw = sequence[0]["LUTData"].value
        values = np.frombuffer(raw, "<u2") if isinstance(raw, bytes) else np.asarray(raw, dtype=np.uint16)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PixelsUnreadableError(f"VOI LUT Sequence cannot be read ({type(error).__name__})") from error
    entries = entries or 65536
    if instance.get("PixelRepresentation", 0) == 1 and first >= 32768:
        first -= 65536
    if len(values) < entries:
        raise PixelsUnreadableError(f"VOI LUT has {len(values)} entries, its descriptor says {entries}")
    return first, values[:entries].astype(np.uint16)


def _lut_bits(instance: Dataset, values: NDArray[np.uint16]) -> int:
    """Bits of a VOI LUT's output; some units state 16 and fill 12, so the table decides when it is fuller."""
    stated = int(instance.VOILUTSequence[0].LUTDescriptor[2])
    return max(min(stated, 16), int(values.max()).bit_length(), 1)


def _estimated_window(pixels: NDArray[Any], inverted: bool) -> tuple[float, float]:
    """1st to 99.5th percentile inside the breast, for images that bring no window."""
    mask = breast_mask(pixels, inverted=inverted)
    inside = pixels[mask] if mask.any() else pixels.reshape(-1)
    low, high = (float(value) for value in np.percentile(inside, (1.0, 99.5)))
    return low, max(high, low + 1.0)


def _first(instance: Dataset, name: str) -> float | None:
    value = instance.get(name)
    if value is None or value == "":
        return None
    try:
        return float(value[0] if not isinstance(value, str) and hasattr(value, "__len__") else value)
    except (TypeError, ValueError, IndexError):
        return None
