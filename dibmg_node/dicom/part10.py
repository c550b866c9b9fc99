"""The part of a Part 10 file before its data set, which C-STORE does not carry. Source: PS3.10 7.1."""

from __future__ import annotations

import struct

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dibmg_node.dicom import facts

_PREAMBLE = b"\0" * 128 + b"DICM"


def part10_prefix(sop_class_uid: str, sop_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information for a data set that came over the network."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(facts.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = facts.IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return _PREAMBLE + buffer.getvalue()


def data_set_offset(part10: bytes) -> int:
    """Where the data set of a Part 10 file starts: behind the group length's worth of file meta.

    Returns:
        Offset in bytes; 0 where the file has no preamble and is a bare data set.
    """
    prefix = b"DICM" + b"\x02\0\0\0UL\x04\0"
    if len(part10) < 144 or part10[128:140] != prefix:
        return 0
    (length,) = struct.unpack_from("<I", part10, 140)
    return 144 + int(length)
