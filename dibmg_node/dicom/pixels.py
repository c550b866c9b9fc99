"""Pixels of one mammogram: decoded, with the window that they are shown with."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dibmg_node.dicom import facts
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.dicom.codestream import is_whole, jpeg_2000_size, jpeg_size
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.errors import RejectedError

MAXIMUM_SIDE: Final = 16384
"""Pixels: no mammogram has more rows or columns, a damaged or hostile header may."""

_THREADS: Final = min(4, os.cpu_count() or 1)
"""Of one JPEG 2000 image: the last one of an exam, which alone is left, takes half the time on two cores."""
_JPEG_2000_TURNS: Final = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // _THREADS))
"""No more such images at once than there are cores for: one of 3328x4084 takes 68 MB at most, measured."""
_NARROWEST: Final = 1e-3
"""Least width of a window, in pixel values."""
_FARTHEST: Final = 2.0**24
"""A window that ends farther out is no window of 16-bit pixels."""

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


class SyntaxNotDecodedError(PixelsUnreadableError):
    """The transfer syntax is one that this node has no decoder for."""


def read_mammogram(instance: Dataset) -> Mammogram:
    """Decode one single-frame mammogram and choose its window.

    Args:
        instance: Data set with its Pixel Data and its `file_meta`.

    Returns:
        Stored values (after the VOI LUT where that is the rule) with their window.

    Raises:
        PixelsUnreadableError: The transfer syntax cannot be decoded (SyntaxNotDecodedError), the pixels
            are damaged or contradict the header; the message says what was found and what was expected.
    """
    pixels = decode(instance)
    inverted = (
        _text(instance, "PhotometricInterpretation") == "MONOCHROME1"
        or _text(instance, "PresentationLUTShape") == "INVERSE"
    )
    window = _window(instance)
    if window is not None:
        low, high = window
        return Mammogram(pixels, low, high, inverted, WindowRule.WINDOW)
    table = _voi_lut(instance)
    if table is not None:
        first, values = table
        index = np.clip(_after_modality_lut(instance, pixels) - first, 0, len(values) - 1)
        top = float(2 ** _lut_bits(instance, values) - 1)
        return Mammogram(values[index], 0.0, top, inverted, WindowRule.VOI_LUT)
    low, high = _estimated_window(pixels, inverted)
    return Mammogram(pixels, low, high, inverted, WindowRule.WINDOW_ESTIMATED)


def decode(instance: Dataset) -> NDArray[Any]:
    """Stored values of a single-frame grayscale image, bit-exact.

    Returns:
        Integer (rows, columns), uint8, uint16, int8 or int16 by Bits Allocated and Pixel Representation
        (in JPEG 2000: by the sign in the codestream).

    Raises:
        PixelsUnreadableError: As for `read_mammogram`.
    """
    meta = getattr(instance, "file_meta", None)
    syntax = str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""
    if syntax not in DECODED_SYNTAXES:
        raise SyntaxNotDecodedError(f"transfer syntax {syntax or 'missing'} is not decoded by this node")
    shape = _shape(instance)
    try:
        raw = instance.get("PixelData")
        if not raw:
            raise PixelsUnreadableError("no pixel data in the instance")
        pixels = _decode_frame(raw, syntax, shape)
        return _stored_values(pixels, shape, syntax)
    except (PixelsUnreadableError, MemoryError):  # of memory there may be more the next time
        raise
    # each codec has its own exceptions and raises bare ValueError, IndexError, RuntimeError too
    except Exception as error:
        raise PixelsUnreadableError(f"pixel data cannot be decoded ({type(error).__name__})") from error


def rescale(instance: Dataset) -> tuple[float, float]:
    """Slope and intercept of the modality LUT; 1 and 0 for mammograms by the letter."""
    return _first(instance, "RescaleSlope") or 1.0, _first(instance, "RescaleIntercept") or 0.0


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
    return None if table is None else VoiLut(*table, _lut_bits(instance, table[1]))


@dataclass(frozen=True)
class _Shape:
    """What the header says of the pixels: grid, bits and their place in a word."""

    rows: int
    columns: int
    stored: int
    allocated: int
    high_bit: int
    signed: bool

    @property
    def word(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.allocated == 8 else "<u2")


def _shape(instance: Dataset) -> _Shape:
    """Shape of the pixels, checked before anything is decoded."""
    try:
        rows, columns = int(instance.Rows), int(instance.Columns)
        allocated = int(instance.BitsAllocated)
        stored = int(instance.get("BitsStored", allocated))
        samples = int(instance.get("SamplesPerPixel", 1))
        frames = int(instance.get("NumberOfFrames", 1) or 1)
        signed = int(instance.get("PixelRepresentation", 0)) == 1
        high_bit = int(instance.get("HighBit", stored - 1))
    except (AttributeError, TypeError, ValueError) as error:
        raise PixelsUnreadableError("Rows, Columns or Bits Allocated is missing or not a number") from error
    if not (0 < rows <= MAXIMUM_SIDE and 0 < columns <= MAXIMUM_SIDE):
        raise PixelsUnreadableError(f"{rows} rows x {columns} columns: expected 1 to {MAXIMUM_SIDE} of each")
    if samples != 1 or frames != 1:
        raise PixelsUnreadableError(f"{samples} samples a pixel and {frames} frames: expected one gray frame")
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise PixelsUnreadableError(
            f"{stored} of {allocated} bits: expected at most 16 stored in 8 or 16 allocated"
        )
    return _Shape(rows, columns, stored, allocated, high_bit, signed)


def _decode_frame(raw: bytes, syntax: str, shape: _Shape) -> NDArray[Any]:
    if syntax in _PLAIN:
        return _words(raw, "pixel data", shape)
    frame = next(generate_frames(raw, number_of_frames=1))
    if syntax == facts.RLE_LOSSLESS:
        # RLE segments are byte planes, most significant first (PS3.5 Annex G)
        return _words(imagecodecs.dicomrle_decode(frame, shape.word), "RLE frame", shape)
    if not is_whole(frame):
        raise PixelsUnreadableError("compressed frame is cut off: it has no end marker")
    size = (jpeg_2000_size if syntax in _JPEG_2000 else jpeg_size)(frame)
    if (size.rows, size.columns, size.components) != (shape.rows, shape.columns, 1):
        raise PixelsUnreadableError(
            f"compressed frame has {size.rows} rows x {size.columns} columns of {size.components} samples, "
            f"the header says {shape.rows} x {shape.columns} of 1"
        )
    if size.bits > shape.allocated:
        raise PixelsUnreadableError(
            f"compressed frame has {size.bits} bits a sample, the header allocates {shape.allocated}"
        )
    if syntax in _JPEG:
        return np.asarray(imagecodecs.jpeg8_decode(frame))
    if syntax in _JPEG_LS:
        return np.asarray(imagecodecs.jpegls_decode(frame))
    with _JPEG_2000_TURNS:
        return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=_THREADS))


def _words(raw: bytes | bytearray, what: str, shape: _Shape) -> NDArray[Any]:
    expected = shape.rows * shape.columns * shape.word.itemsize
    if len(raw) < expected:
        raise PixelsUnreadableError(f"{what} has {len(raw)} bytes, expected {expected}")
    words = np.frombuffer(raw, dtype=shape.word, count=shape.rows * shape.columns)
    return words.reshape(shape.rows, shape.columns)


def _stored_values(pixels: NDArray[Any], shape: _Shape, syntax: str) -> NDArray[Any]:
    """Cut the stored bits out of the allocated ones and give them their sign (PS3.5 8.1.1).

    Codecs may answer with a narrower word than the header allocates. JPEG 2000 alone carries a sign of
    its own, and the one in the codestream counts: the header's is what was wrong where they differ.
    """
    if pixels.dtype.kind == "i":
        return pixels.astype(f"i{shape.allocated // 8}")
    words = pixels.astype(shape.word, copy=False)
    raised = shape.high_bit + 1 - shape.stored
    if raised > 0 and shape.high_bit < shape.allocated and syntax in (*_PLAIN, facts.RLE_LOSSLESS):
        words = words >> raised
    unused = shape.allocated - shape.stored
    if not shape.signed or syntax in _JPEG_2000:
        largest = words.dtype.type((1 << shape.stored) - 1)
        # a copy of 27 MB is only made where there is anything to cut off
        return np.asarray(words & largest) if unused and words.max() > largest else words
    return np.asarray((words << unused).view(f"<i{shape.allocated // 8}") >> unused)


def _window(instance: Dataset) -> tuple[float, float] | None:
    """Values shown darkest and brightest by the first window.

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
    if slope < 0:
        return None
    low, high = (low - intercept) / slope, (high - intercept) / slope
    if max(abs(low), abs(high)) > _FARTHEST:
        return None
    return low, max(high, low + _NARROWEST)


def _after_modality_lut(instance: Dataset, pixels: NDArray[Any]) -> NDArray[np.int32]:
    slope, intercept = rescale(instance)
    if (slope, intercept) == (1.0, 0.0):
        return pixels.astype(np.int32)
    return np.rint(np.clip(pixels * slope + intercept, -(2**30), 2**30)).astype(np.int32)


def _voi_lut(instance: Dataset) -> tuple[int, NDArray[np.uint16]] | None:
    """First stored value and table of the first VOI LUT. Source: PS3.3 C.11.2.1.1."""
    try:
        sequence = instance.get("VOILUTSequence")
        if not sequence:
            return None
        entries, first, _ = (int(value) for value in sequence[0].LUTDescriptor)
        raw = sequence[0]["LUTData"].value
        if isinstance(raw, bytes):
            values = np.frombuffer(raw, "<u2")
        else:
            values = (np.atleast_1d(np.asarray(raw, dtype=np.int64)) & 0xFFFF).astype(np.uint16)
    # pydicom tells a damaged element by many exceptions
    except Exception as error:
        raise PixelsUnreadableError(f"VOI LUT Sequence cannot be read ({type(error).__name__})") from error
    entries = entries % 65536 or 65536  # an entry count of SS representation comes out negative
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
