from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.commitment import commitment_request, read_report
from dibmg_node.errors import InstanceRejectedError


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, implicit
    write_dataset(file, dataset)
    content: bytes = file.getvalue()
    return content


def a_report(committed: list[str], failed: dict[str, int]) -> Dataset:
    report = commitment_request("1.2.3", [("1.2", uid) for uid in committed])
    if not committed:
        del report.ReferencedSOPSequence
    if failed:
        report.FailedSOPSequence = commitment_request("1.2.3", [("1.2", uid) for uid in failed])[
            "ReferencedSOPSequence"
        ].value
        for item, reason in zip(report.FailedSOPSequence, failed.values(), strict=True):
            item.FailureReason = reason
    return report


@pytest.mark.parametrize("syntax", facts.PLAIN_SYNTAXES)
def test_a_report_names_what_is_committed_to_and_what_failed_with_its_reason(syntax: str) -> None:
    content = encoded(a_report(["1.1", "1.2"], {"1.3": 0x0112}), implicit=syntax == facts.IMPLICIT_LE)

    read = read_report(content, syntax, 2)

    assert (read.transaction_uid, read.committed, read.failed) == ("1.2.3", {"1.1", "1.2"}, {"1.3": 0x0112})


def test_a_failure_without_a_reason_is_a_failure() -> None:
    report = a_report([], {"1.3": 0x0112})
    del report.FailedSOPSequence[0].FailureReason

    assert read_report(encoded(report), facts.EXPLICIT_LE, 2).failed == {"1.3": 0}


def nested(depth: int) -> bytes:
    """Sequences of undefined length in each other."""
    begin = b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return begin * depth


@pytest.mark.parametrize(
    ("content", "event_type", "status"),
    [
        (encoded(a_report(["1.1"], {})), 3, 0x0113),
        (encoded(a_report(["1.1"], {})), None, 0x0113),
        (encoded(a_report([], {})), 1, 0x0115),
        (encoded(a_report(["1.1"], {}))[20:], 1, 0x0115),
        (b"", 1, 0x0115),
        (b"\x08\x00\x95\x11UI\x04\x00../.", 1, 0x0115),
        (nested(5000), 1, 0x0115),
        (BytesIO(b"\xff" * 200).getvalue(), 1, 0x0115),
    ],
)
def test_what_is_no_report_is_refused_with_a_status(
    content: bytes, event_type: int | None, status: int
) -> None:
    with pytest.raises(InstanceRejectedError) as refused:
        read_report(content, facts.EXPLICIT_LE, event_type)

    assert refused.value.status == status
