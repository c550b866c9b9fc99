"""Whether an encoded data set ends where its lengths say; pydicom reads a part of one without a word.

Source: PS3.5 chapter 7.
"""

from __future__ import annotations

import struct
from typing import Final

_LONG: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED: Final = 0xFFFFFFFF
_DELIMITERS: Final = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD


def is_whole(encoded: bytes, offset: int, *, implicit: bool) -> bool:
    """Whether a little endian data set is complete: every length fits, every open sequence is closed.

    Args:
        encoded: Bytes that it ends with.
        offset: Where in them it starts.
        implicit: Whether its value representations are implicit.
    """
    # what was implicit outside of each open sequence: in one of unknown VR, all is (PS3.5 6.2.2)
    outside: list[bool] = []
    position, end = offset, len(encoded)
    while position < end:
        if position + 8 > end:
            return False
        group, element = struct.unpack_from("<HH", encoded, position)
        representation = encoded[position + 4 : position + 6]
        if group == _DELIMITERS or implicit:
            (length,) = struct.unpack_from("<I", encoded, position + 4)
            position += 8
        elif representation in _LONG:
            if position + 12 > end:
                return False
            (length,) = struct.unpack_from("<I", encoded, position + 8)
            position += 12
        else:
            (length,) = struct.unpack_from("<H", encoded, position + 6)
            position += 8
        if group == _DELIMITERS:
            if element in (_ITEM_END, _SEQUENCE_END):
                if element == _SEQUENCE_END:
                    if not outside:
                        return False
                    implicit = outside.pop()
                continue
            if length == _UNDEFINED:
                continue
        elif length == _UNDEFINED:
            outside.append(implicit)
            implicit = implicit or representation == b"UN"
            continue
        position += length
    return position == end and not outside
