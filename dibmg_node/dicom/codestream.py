"""What a compressed frame says of itself, read before a decoder believes it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

_SIZE: Final = Struct(">BHHB")
_SIZ: Final = Struct(">IIII")
_JPEG_START: Final = b"\xff\xd8"
_J2K_START: Final = b"\xff\x4f\xff\x51"
_END: Final = b"\xff\xd9"
"""End of image (JPEG, JPEG-LS) and end of codestream (JPEG 2000) alike."""

_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_JP2_BOX: Final = b"\0\0\0\x0cjP  "


@dataclass(frozen=True)
class CodestreamSize:
    """Grid of a compressed frame.

    Attributes:
        components: Samples a pixel.
        bits: Precision of the first one.
        signed: Whether the first one may be negative; of JPEG 2000 alone.
        offset: Where the image begins on the reference grid, (row, column); of JPEG 2000 alone.
    """

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False
    offset: tuple[int, int] = (0, 0)


def is_whole(frame: bytes) -> bool:
    """Whether a frame ends as JPEG, JPEG-LS and JPEG 2000 end; decoders fill in silently what is cut off."""
    return frame.rstrip(b"\0").endswith(_END)


def jpeg_size(frame: bytes) -> CodestreamSize:
    """Size in the frame header of a JPEG or JPEG-LS image.

    Raises:
        ValueError: There is no frame header.

    Source: ITU-T T.81 B.2.2, T.87 C.2.2.
    """
    if not frame.startswith(_JPEG_START):
        raise ValueError("no start of image")
    at = 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            raise ValueError(f"no marker at byte {at}")
        marker = frame[at + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_HEADERS and at + 4 + _SIZE.size <= len(frame):
            bits, rows, columns, components = _SIZE.unpack_from(frame, at + 4)
            return CodestreamSize(rows, columns, components, bits)
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    raise ValueError("no frame header")


def jpeg_2000_size(frame: bytes) -> CodestreamSize:
    """Size in the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 file.

    Raises:
        ValueError: There is no SIZ segment.

    Source: ITU-T T.800 A.5.1.
    """
    start = frame.find(_J2K_START) if frame.startswith(_JP2_BOX) else 0
    if start < 0 or not frame.startswith(_J2K_START, start) or len(frame) < start + 45:
        raise ValueError("no start of codestream")
    right, bottom, left, top = _SIZ.unpack_from(frame, start + 8)
    components = int.from_bytes(frame[start + 40 : start + 42], "big")
    precision = frame[start + 42]
    return CodestreamSize(
        rows=bottom - top,
        columns=right - left,
        components=components,
        bits=(precision & 0x7F) + 1,
        signed=precision > 0x7F,
        offset=(top, left),
    )
