"""A Mammography CAD report from its file: whole, or not at all."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.dicom.sr.tree import ReportUnreadableError, text_of
from dibmg_node.dicom.sr.whole import is_whole

MAXIMUM_BYTES: Final = 16 * 2**20
"""Of one report; real ones have kilobytes."""


def read_report(part10: bytes) -> FileDataset:
    """A Mammography CAD SR from the bytes of a Part 10 file.

    Raises:
        ReportUnreadableError: It is larger than MAXIMUM_BYTES, no Part 10 file, compressed, cut off, cannot
            be parsed, or of another SOP class.

    Source: PS3.10 chapter 7; PS3.3 A.35.5.
    """
    if len(part10) > MAXIMUM_BYTES:
        raise ReportUnreadableError(f"{len(part10)} bytes: expected at most {MAXIMUM_BYTES} of a report")
    offset = data_set_offset(part10)
    if not offset or offset > len(part10):
        raise ReportUnreadableError("not a DICOM file (no whole file meta information, PS3.10 7.1)")
    try:
        meta = dcmread(BytesIO(part10[:offset])).file_meta
        syntax = str(meta.get("TransferSyntaxUID", ""))
        if syntax not in facts.PLAIN_SYNTAXES:
            raise ReportUnreadableError(
                f"transfer syntax {syntax or 'missing'}: expected Explicit or Implicit VR Little Endian"
            )
        if not is_whole(part10, offset, implicit=syntax == facts.IMPLICIT_LE):
            raise ReportUnreadableError("the file is cut off, or its lengths are wrong")
        report = dcmread(BytesIO(part10))
    except ReportUnreadableError:
        raise
    # pydicom tells a damaged file by any of a dozen exceptions, RecursionError for deep nesting among them
    except Exception as error:
        raise ReportUnreadableError(f"the data set cannot be parsed ({type(error).__name__})") from error
    found = text_of(report, "SOPClassUID")
    if found != facts.MAMMOGRAPHY_CAD_SR:
        raise ReportUnreadableError(
            f"SOP class {found or 'missing'}: expected {facts.MAMMOGRAPHY_CAD_SR}, Mammography CAD SR"
        )
    return report
