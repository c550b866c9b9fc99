"""Stored values of one mammogram, out of any transfer syntax."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dibmg_node.dicom import facts
from dibmg_node.dicom.codestream import CodestreamSize, is_whole, jpeg_2000_size, jpeg_size
from dibmg_node.errors import RejectedError

MAXIMUM_SIDE: Final = 16384
"""Pixels: no mammogram has more rows or columns, a damaged or hostile header may."""

_THREADS: Final = min(4, os.cpu_count() or 1)
"""Of one JPEG 2000 image: the last one of an exam, which alone is left, takes half the time on two cores."""
_JPEG_2000_TURNS: Final = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // _THREADS))
"""No more such images at once than there are cores for: one of 3328x4084 takes 68 MB at most, measured."""
_JPEG: Final = (facts.JPEG_BASELINE, facts.JPEG_LOSSLESS_P14, facts.JPEG_LOSSLESS_SV1)
_JPEG_LS: Final = (facts.JPEG_LS_LOSSLESS, facts.JPEG_LS_NEAR_LOSSLESS)
_JPEG_2000: Final = (
    facts.JPEG_2000_LOSSLESS,
    facts.JPEG_2000,
    facts.HTJ2K_LOSSLESS,
    facts.HTJ2K_LOSSLESS_RPCL,
    facts.HTJ2K,
)
_LOSSY_JPEG_2000: Final = (facts.JPEG_2000, facts.HTJ2K)
"""These may be lossy."""
_PLAIN: Final = (facts.EXPLICIT_LE, facts.IMPLICIT_LE)
DECODED_SYNTAXES: Final = (*_PLAIN, facts.RLE_LOSSLESS, *_JPEG, *_JPEG_LS, *_JPEG_2000)
"""JPEG Extended (.51) is not among them: no decoder at hand reads its 12 bits."""


class PixelsUnreadableError(RejectedError):
    """The pixels of one image cannot be decoded, or contradict their header."""


class SyntaxNotDecodedError(PixelsUnreadableError):
    """The transfer syntax is one that this node has no decoder for."""


def decode(instance: Dataset, least_side: int = 0) -> NDArray[Any]:
    """Stored values of a single-frame grayscale image: bit-exact, but for `least_side`.

    Args:
        instance: Data set with its Pixel Data and its `file_meta`.
        least_side: So many pixels on the longer side will do: of JPEG 2000, which holds an image in halves,
            quarters and so on, the smallest of these that has as many is decoded. Content lies by less than
            half of such a pixel nearer to the upper left corner than in the mean of squares. 0: every pixel.

    Returns:
        Integer (rows, columns), uint8, uint16, int8 or int16 by Bits Allocated and Pixel Representation
        (in JPEG 2000: by the sign in the codestream).

    Raises:
        PixelsUnreadableError: The transfer syntax cannot be decoded (SyntaxNotDecodedError), the pixels
            are damaged or contradict the header; the message says what was found and what was expected.
    """
    meta = getattr(instance, "file_meta", None)
    syntax = str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""
    if syntax not in DECODED_SYNTAXES:
        raise SyntaxNotDecodedError(f"transfer syntax {syntax or 'missing'} is not decoded by this node")
    try:
        shape = _shape(instance)
        raw = instance.get("PixelData")
        if not raw:
            raise PixelsUnreadableError("no pixel data in the instance")
        pixels = _decode_frame(raw, syntax, shape, least_side)
        return _stored_values(pixels, shape, syntax)
    except (PixelsUnreadableError, MemoryError):  # of memory there may be more the next time
        raise
    # each codec has its own exceptions, pydicom of a damaged header too, and raises bare ones besides
    except Exception as error:
        raise PixelsUnreadableError(f"pixel data cannot be decoded ({type(error).__name__})") from error


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


def _decode_frame(raw: bytes, syntax: str, shape: _Shape, least_side: int) -> NDArray[Any]:
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
    if size.offset == (0, 0):
        for halvings in range(_halvings(max(size.rows, size.columns), least_side), 0, -1):
            reduced = _reduced_jpeg_2000(frame, size, halvings)
            cut = None if reduced is None else _cut(reduced, shape, size.signed)
            if cut is not None:
                return cut
    with _JPEG_2000_TURNS:
        return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=_THREADS))


def _halvings(side: int, least_side: int) -> int:
    """How often a side can be halved, and rounded up, until it would be too short."""
    number = 0
    while side > 1 and 0 < least_side <= -(-side // 2):
        side, number = -(-side // 2), number + 1
    return number


def _reduced_jpeg_2000(frame: bytes, size: CodestreamSize, halvings: int) -> NDArray[Any] | None:
    """A smaller resolution of a codestream that begins at its grid's origin; None where it cannot be had.

    Its finest details are most of the work: to leave them out once takes a quarter of the time. Pillow lets
    no other thread of Python run meanwhile.

    Source: ITU-T T.800 B.5.
    """
    try:
        # not by Image.open, which looks for modules on the disk: the model's process reads none any more
        picture: Any = Jpeg2KImageFile(BytesIO(frame))
        picture.reduce = halvings  # of this format alone an attribute that can be set
        pixels = np.asarray(picture)
    except MemoryError:
        raise
    # fewer resolutions than that, a size that Pillow rounds otherwise, or damage, of which the whole tells
    except Exception:  # noqa: BLE001
        return None
    # Pillow shifts a sample's bits to the top of its word, and zero to the middle where there is a sign
    unused = 8 * pixels.itemsize - size.bits
    if pixels.dtype.kind != "u" or unused < 0:  # the header of a JP2 file told Pillow of fewer bits
        return None
    values = np.asarray(pixels >> unused)
    if not size.signed:
        return values
    return (values.astype(np.int32) - (1 << (size.bits - 1))).astype(f"i{pixels.itemsize}")


def _cut(values: NDArray[Any], shape: _Shape, signed: bool) -> NDArray[Any] | None:
    """Values without what wavelets swing beyond the stored bits; None where they are farther out.

    Then bits above are in use: they have been averaged with the value, and cannot be taken out of it.
    """
    low, high = _range(shape, signed)
    swing, lowest, highest = (high - low) // 8, int(values.min()), int(values.max())
    if lowest < low - swing or highest > high + swing:
        return None
    # where nothing is beyond, an end may be none of the values' own type
    return values if low <= lowest and highest <= high else values.clip(low, high)


def _range(shape: _Shape, signed: bool) -> tuple[int, int]:
    """Lowest and highest value of the stored bits."""
    half = 1 << (shape.stored - 1)
    return (-half, half - 1) if signed else (0, 2 * half - 1)


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
        values = pixels.astype(f"i{shape.allocated // 8}")
        return values.clip(*_range(shape, signed=True)) if syntax in _LOSSY_JPEG_2000 else values
    words = pixels.astype(shape.word, copy=False)
    raised = shape.high_bit + 1 - shape.stored
    if raised > 0 and shape.high_bit < shape.allocated and syntax in (*_PLAIN, facts.RLE_LOSSLESS):
        words = words >> raised
    unused = shape.allocated - shape.stored
    if not shape.signed or syntax in _JPEG_2000:
        largest = words.dtype.type((1 << shape.stored) - 1)
        # a copy of 27 MB is only made where there is anything to cut off
        if not unused or words.max() <= largest:
            return words
        # wavelets swing beyond the values that they come from; elsewhere higher bits are another matter
        return np.asarray(np.minimum(words, largest) if syntax in _LOSSY_JPEG_2000 else words & largest)
    return np.asarray((words << unused).view(f"<i{shape.allocated // 8}") >> unused)
