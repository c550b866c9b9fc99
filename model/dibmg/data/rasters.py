"""Pictures in PNG, PGM and JPEG: gray values, whole or not at all."""

from __future__ import annotations

import re
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.dicom.codestream import is_whole
from dibmg_node.errors import RejectedError

_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PGM: Final = re.compile(rb"P([25])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_ROUNDING: Final = 2
"""Gray JPEGs that were saved in color come back with channels this far apart."""


class RasterError(RejectedError):
    """Bytes that are no whole gray picture."""


def is_jpeg(content: bytes) -> bool:
    """Whether a file begins as JPEG."""
    return content.startswith(_JPEG)


def read_raster(content: bytes) -> NDArray[Any]:
    """Decode a PNG (8 or 16 bit), PGM or JPEG file.

    Pictures in color are read where their channels are equal; transparency is left out.

    Returns:
        uint8 or uint16 (rows, columns), as stored: no EXIF rotation.

    Raises:
        RasterError: Another format, damaged, cut off, or in color.
    """
    _check_whole(content)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise RasterError("picture cannot be decoded") from error
    if pixels is None:
        raise RasterError("picture cannot be decoded")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise RasterError(f"picture has {pixels.dtype} pixels, expected 8 or 16 bit")
    if pixels.ndim == 2:
        return np.asarray(pixels)
    colors = pixels[..., : 3 if pixels.shape[2] > 2 else 1]
    if int((colors.max(axis=2) - colors.min(axis=2)).max()) > _ROUNDING:
        raise RasterError("picture is in color, expected gray values")
    return np.ascontiguousarray(colors[..., colors.shape[2] // 2])


def _check_whole(content: bytes) -> None:
    """Decoders fill in silently what is cut off."""
    if not content:
        raise RasterError("file is empty")
    if is_jpeg(content):
        # some writers put a thumbnail's or a maker's bytes behind the end
        whole = is_whole(content) or b"\xff\xd9" in content[-4096:]
    elif content.startswith(_PNG):
        whole = b"IEND" in content[-4096:]
    elif header := _PGM.match(content):
        columns, rows, top = (int(header.group(place)) for place in (2, 3, 4))
        needed = rows * columns * (2 if top > 255 else 1)
        rest = len(content) - header.end()
        whole = (
            rest >= needed
            if header.group(1) == b"5"
            else len(content[header.end() :].split()) >= rows * columns
        )
    else:
        raise RasterError("neither DICOM (Part 10) nor PNG, PGM or JPEG")
    if not whole:
        raise RasterError(f"picture is cut off after {len(content)} bytes")
