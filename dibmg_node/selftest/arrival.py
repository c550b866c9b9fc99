"""Whether what arrived at the PACS of a self-test is what the node made, and is well made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from typing import Any, Final

from pydicom import dcmread

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.dicom.sr.checking import check_report, errors_of
from dibmg_node.dicom.sr.file import read_report
from dibmg_node.dicom.sr.tree import ReportUnreadableError
from dibmg_node.errors import SelfTestBrokenError
from dibmg_node.selftest.specimen import Specimen
from dibmg_node.services.loopback_pacs import Arrived
from dibmg_node.storage.archive import Archive

_REPORT: Final = "do not use its results, and report it with this message"


def check_cad_report(arrived: Mapping[str, Arrived], specimen: Specimen) -> str:
    """What is said of the CAD report.

    Raises:
        SelfTestBrokenError: There is not exactly one, it departs from TID 4000, or leaves out an image.
    """
    reports = [one for one in arrived.values() if one.sop_class_uid == facts.MAMMOGRAPHY_CAD_SR]
    if len(reports) != 1:
        raise SelfTestBrokenError(f"{len(reports)} CAD reports arrived, expected one", _REPORT)
    try:
        report = read_report(reports[0].part10)
        errors = errors_of(check_report(report))
    except ReportUnreadableError as error:
        raise SelfTestBrokenError(f"the CAD report cannot be read: {error}", _REPORT) from error
    if errors:
        first = errors[0]
        told = f"{len(errors)} errors by TID 4000, first {first.path}: {first.found}"
        raise SelfTestBrokenError(f"the CAD report has {told}", _REPORT)
    named = {str(e.value) for e in report.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    missing = [str(key) for key, image in specimen.images.items() if image.sop_uid not in named]
    if missing:
        raise SelfTestBrokenError(f"the CAD report does not name {', '.join(missing)}", _REPORT)
    return "one CAD report, no error by TID 4000, names all four images"


def check_overlays(arrived: Mapping[str, Arrived], specimen: Specimen) -> str:
    """What is said of the overlays.

    Raises:
        SelfTestBrokenError: An image has none, or one that is no picture.
    """
    of_image: dict[str, int] = {}
    for one in arrived.values():
        if one.sop_class_uid == facts.SECONDARY_CAPTURE:
            overlay = dcmread(BytesIO(one.part10))
            if overlay.pixel_array.std() == 0:
                raise SelfTestBrokenError("an overlay is of one color", _REPORT)
            source = str(overlay.SourceImageSequence[0].ReferencedSOPInstanceUID)
            of_image[source] = of_image.get(source, 0) + 1
    missing = [str(key) for key, image in specimen.images.items() if of_image.get(image.sop_uid) != 1]
    if missing:
        raise SelfTestBrokenError(f"not one overlay each of {', '.join(missing)} arrived", _REPORT)
    return "one overlay of each image"


def check_digests(
    arrived: Mapping[str, Arrived], recorded: Sequence[Mapping[str, Any]], archive: Archive
) -> str:
    """What is said of the bytes: recorded, archived and arrived ones are the same.

    Args:
        arrived: What the PACS has.
        recorded: Results as the ledger has them.
        archive: Where the node keeps them.

    Raises:
        SelfTestBrokenError: They are not.
    """
    for result in recorded:
        uid = str(result["sop_uid"])
        try:
            kept = archive.read_result(uid)
        except OSError as error:
            told = f"the archived result cannot be read: {error.strerror}"
            raise SelfTestBrokenError(told, "check the disk below node.data_dir") from error
        if sha256(kept).hexdigest() != result["sha256"]:
            told = f"the archived {result['kind']} has another SHA-256 than the ledger has"
            raise SelfTestBrokenError(told, "check the disk below node.data_dir")
        if arrived[uid].data_set != kept[data_set_offset(kept) :]:
            told = f"the {result['kind']} that arrived has other bytes than the archived one"
            raise SelfTestBrokenError(told, _REPORT)
    return f"{len(recorded)} results: SHA-256 as recorded, the same bytes in the PACS"
