"""A report from its file: whole, of the right kind, within limits, or refused in words."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.sr.file import MAXIMUM_BYTES, read_report
from dibmg_node.dicom.sr.tree import MAXIMUM_DEPTH, MAXIMUM_ITEMS, ReportUnreadableError, read_tree
from dibmg_node.dicom.sr_content import code_sequence
from tests.dicom.factories_results import states
from tests.dicom.sr.factories_vendor import part10, vendor_bytes, vendor_report
from tests.factories import mammogram
from tests.factories import part10 as image_part10


def with_open_ends(report: Dataset) -> Dataset:
    """Every sequence and item of undefined length, as many vendors write them."""
    for element in report:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                with_open_ends(item)
    return report


def nested(levels: int, *, open_ends: bool) -> bytes:
    """A report with containers in each other, the root's own level not counted."""
    item = Dataset()
    for _ in range(levels):
        outer = Dataset()
        outer.RelationshipType, outer.ValueType = "CONTAINS", "CONTAINER"
        outer.ContinuityOfContent = "SEPARATE"
        outer.ConceptNameCodeSequence = code_sequence(codes.IMAGE_LIBRARY)
        if item:
            outer.ContentSequence = DicomSequence([item])
        item = outer
    report = vendor_report()
    report.ContentSequence = [item]
    return part10(with_open_ends(report) if open_ends else report)


OWN = encode(cad_report(**states()["findings"]))
OPEN_ENDED = part10(with_open_ends(dcmread(BytesIO(OWN))))


@pytest.mark.parametrize(
    "content", [OWN, OPEN_ENDED, vendor_bytes()], ids=["explicit", "open-ended", "implicit"]
)
def test_a_report_cut_off_anywhere_is_refused(content: bytes) -> None:
    assert len(read_tree(read_report(content)).nodes) > 40

    for end in range(0, len(content), 41):
        with pytest.raises(ReportUnreadableError):
            read_tree(read_report(content[:end]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a DICOM file"),
        (b"hello world" * 50, "not a DICOM file"),
        (b"\0" * (MAXIMUM_BYTES + 1), "expected at most"),
        (image_part10(mammogram()), "SOP class 1.2.840.10008.5.1.4.1.1.1.2"),
        (OWN.replace(facts.MAMMOGRAPHY_CAD_SR.encode(), b"1.2.840.10008.5.1.4.1.1.88.33"), "88.33"),
        (
            OWN.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"),
            "transfer syntax 1.2.840.10008.1.2.2",
        ),
    ],
    ids=["empty", "text", "large", "image", "other SR", "big endian"],
)
def test_what_is_no_readable_cad_report_is_refused_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(ReportUnreadableError, match=reason):
        read_report(content)


def test_a_report_without_content_is_refused() -> None:
    report = vendor_report()
    del report.ContentSequence

    with pytest.raises(ReportUnreadableError, match="no content"):
        read_tree(read_report(part10(report)))


@pytest.mark.parametrize("open_ends", [False, True])
def test_content_as_deep_as_the_limit_is_read_and_a_level_more_is_refused(open_ends: bool) -> None:
    deepest = read_tree(read_report(nested(MAXIMUM_DEPTH, open_ends=open_ends)))

    assert max(map(len, deepest.nodes)) == MAXIMUM_DEPTH + 1
    with pytest.raises(ReportUnreadableError, match="deeper than 32 levels"):
        read_tree(read_report(nested(MAXIMUM_DEPTH + 1, open_ends=open_ends)))


def test_nesting_that_no_stack_would_hold_is_refused() -> None:
    opened = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    report = vendor_report()
    del report.ContentSequence
    content = part10(report) + opened * 20_000 + closed * 20_000

    with pytest.raises(ReportUnreadableError):
        read_tree(read_report(content))


def test_more_items_than_the_limit_are_refused() -> None:
    report = vendor_report()
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    report.ContentSequence = [item] * (MAXIMUM_ITEMS + 1)

    with pytest.raises(ReportUnreadableError, match="content items"):
        read_tree(report)


def test_a_sequence_that_never_ends_is_not_whole() -> None:
    content = OPEN_ENDED.replace(b"\xfe\xff\xdd\xe0\0\0\0\0", b"", 1)

    with pytest.raises(ReportUnreadableError, match="cut off, or its lengths are wrong"):
        read_report(content)
