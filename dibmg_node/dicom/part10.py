"""The part of a Part 10 file before its data set, which C-STORE does not carry. Source: PS3.10 7.1."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.filereader import read_dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.header import is_uid
from dibmg_node.errors import InstanceRejectedError

_PREAMBLE = b"\0" * 128 + b"DICM"
_META_AT: Final = 132
_GROUP_LENGTH: Final = b"\x02\0\0\0UL\x04\0"
_LONG_FORMS: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT"})
LONGEST_META: Final = 64 * 1024


@dataclass(frozen=True)
class FileMeta:
    """What the file meta information says of its data set. All three are UIDs."""

    sop_class_uid: str
    sop_uid: str
    transfer_syntax_uid: str


def part10_prefix(sop_class_uid: str, sop_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information for a data set that came over the network."""
    elements = b"".join(
        (
            # version 1: OB alone has a length of four bytes, behind two that are reserved
            b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01",
            _element(0x0002, b"UI", sop_class_uid),
            _element(0x0003, b"UI", sop_uid),
            _element(0x0010, b"UI", transfer_syntax_uid),
            _element(0x0012, b"UI", facts.IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", facts.IMPLEMENTATION_VERSION_NAME),
        )
    )
    return _PREAMBLE + _GROUP_LENGTH + struct.pack("<I", len(elements)) + elements


def _element(number: int, vr: bytes, text: str) -> bytes:
    """One of group 0002, Explicit VR Little Endian. Source: PS3.5 6.2, 7.1.2."""
    value = text.encode("ascii")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


def data_set_offset(part10: bytes) -> int:
    """Where the data set of a Part 10 file starts: behind the group length's worth of file meta.

    Returns:
        Offset in bytes; 0 where the file has no preamble and is a bare data set.
    """
    prefix = b"DICM" + _GROUP_LENGTH
    if len(part10) < 144 or part10[128:140] != prefix:
        return 0
    (length,) = struct.unpack_from("<I", part10, 140)
    return 144 + int(length)


def whole_meta(start: bytes | bytearray) -> int | None:
    """Where the data set of a file that is still coming in starts: behind the last element of group 0002.

    Its group length is not asked: files from memory often lack it.

    Args:
        start: The first bytes of a Part 10 file.

    Returns:
        Offset in bytes once all of the file meta information is in `start`; None before.

    Raises:
        InstanceRejectedError: 0xC000, it is no Part 10 file, or its file meta information is longer than
            LONGEST_META bytes.

    Source: PS3.10 7.1; PS3.5 7.1.2.
    """
    if len(start) < _META_AT:
        return None
    if start[128:_META_AT] != b"DICM":
        raise InstanceRejectedError(StoreStatus.CANNOT_UNDERSTAND, "no DICOM file")
    offset = _META_AT
    while offset <= LONGEST_META:
        if len(start) < offset + 12:
            return None
        if start[offset : offset + 2] != b"\x02\0":
            return offset
        if bytes(start[offset + 4 : offset + 6]) in _LONG_FORMS:
            offset += 12 + int.from_bytes(start[offset + 8 : offset + 12], "little")
        else:
            offset += 8 + int.from_bytes(start[offset + 6 : offset + 8], "little")
    raise InstanceRejectedError(StoreStatus.CANNOT_UNDERSTAND, f"file meta longer than {LONGEST_META} bytes")


def read_meta(start: bytes) -> FileMeta:
    """The file meta information of a Part 10 file.

    Args:
        start: All of it, from the preamble on.

    Raises:
        InstanceRejectedError: 0xC000, it cannot be parsed, or one of its UIDs is missing or none.
    """
    try:
        meta = read_dataset(BytesIO(start[_META_AT:]), is_implicit_VR=False, is_little_endian=True)
        names = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
        uids = [str(meta.get(name, "")).strip() for name in names]
    # as in header.read_header: pydicom tells damage by any of a dozen exceptions
    except Exception as error:
        raise InstanceRejectedError(
            StoreStatus.CANNOT_UNDERSTAND, f"file meta cannot be parsed ({type(error).__name__})"
        ) from error
    for name, uid in zip(names, uids, strict=True):
        if not is_uid(uid):
            raise InstanceRejectedError(StoreStatus.CANNOT_UNDERSTAND, f"{name} is missing or no UID")
    return FileMeta(*uids)
