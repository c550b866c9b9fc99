from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import (
    LONGEST_META,
    FileMeta,
    data_set_offset,
    part10_prefix,
    read_meta,
    whole_meta,
)
from dibmg_node.errors import InstanceRejectedError
from tests.factories import data_set_bytes, mammogram, part10


@pytest.mark.parametrize("sop_uid", ["1.2", "1.2.3", "2.25." + "1" * 59])
@pytest.mark.parametrize("syntax", facts.IMAGE_SYNTAXES)
def test_a_prefix_ends_where_its_data_set_starts(sop_uid: str, syntax: str) -> None:
    prefix = part10_prefix(facts.MG_FOR_PRESENTATION, sop_uid, syntax)

    assert data_set_offset(prefix + b"data set") == len(prefix)


@pytest.mark.parametrize("sop_uid", ["1.2", "1.23", "2.25." + "1" * 59])
def test_a_prefix_is_what_pydicom_writes(sop_uid: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(facts.MG_FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = UID(facts.JPEG_LOSSLESS_SV1)
    meta.ImplementationClassUID = UID(facts.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = facts.IMPLEMENTATION_VERSION_NAME
    written = BytesIO()
    write_file_meta_info(written, meta)

    prefix = part10_prefix(facts.MG_FOR_PRESENTATION, sop_uid, facts.JPEG_LOSSLESS_SV1)

    assert prefix == bytes(128) + b"DICM" + written.getvalue()


def test_prefix_and_data_set_are_a_file() -> None:
    dataset = mammogram(transfer_syntax_uid=facts.IMPLICIT_LE)
    prefix = part10_prefix(facts.MG_FOR_PRESENTATION, str(dataset.SOPInstanceUID), facts.IMPLICIT_LE)

    read = dcmread(BytesIO(prefix + data_set_bytes(dataset)))

    assert read == dataset
    assert read.file_meta.TransferSyntaxUID == facts.IMPLICIT_LE
    assert read.preamble == b"\0" * 128


def test_the_data_set_of_another_writers_file_is_found() -> None:
    content = part10(mammogram())

    assert content[data_set_offset(content) :] == data_set_bytes(mammogram())


CUT_OFF = b"\0" * 128 + b"DICM\x02\0\0\0UL\x04\0\xb4"


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\0" * 132 + b"no magic", b"\0" * 128 + b"DICMxx", CUT_OFF]
)
def test_what_is_no_part_10_file_is_a_bare_data_set(content: bytes) -> None:
    assert data_set_offset(content) == 0


def element(number: int, vr: bytes, value: bytes) -> bytes:
    """One element of group 0002."""
    length = (
        b"\0\0" + len(value).to_bytes(4, "little")
        if vr in (b"OB", b"UN")
        else len(value).to_bytes(2, "little")
    )
    return b"\2\0" + number.to_bytes(2, "little") + vr + length + value


@pytest.mark.parametrize("sop_uid", ["1.2", "1.2.3", "2.25." + "1" * 59])
def test_the_end_of_the_file_meta_is_known_as_soon_as_it_and_one_element_are_there(sop_uid: str) -> None:
    prefix = part10_prefix(facts.MG_FOR_PRESENTATION, sop_uid, facts.RLE_LOSSLESS)
    file = prefix + b"\x08\0\x05\0CS\x0a\0ISO_IR 100"

    known = [whole_meta(file[:size]) for size in range(len(prefix) + 13)]

    assert known == [None] * (len(prefix) + 12) + [len(prefix)]
    assert read_meta(prefix) == FileMeta(facts.MG_FOR_PRESENTATION, sop_uid, facts.RLE_LOSSLESS)


def test_a_file_meta_of_private_elements_and_without_its_length_is_read() -> None:
    start = b"x" * 128 + b"DICM"
    start += element(1, b"OB", b"\0\1") + element(2, b"UI", b"1.2\0") + element(3, b"UI", b"1.3\0")
    start += element(0x10, b"UI", b"1.4\0") + element(0x102, b"OB", b"p" * 3000)

    assert whole_meta(start + b"\x08\0" + b"\0" * 10) == len(start)
    assert read_meta(start) == FileMeta("1.2", "1.3", "1.4")


@pytest.mark.parametrize(
    "start",
    [
        b"\0" * 132,
        b"\0" * 128 + b"DICM" + element(1, b"OB", b"\0" * LONGEST_META),
        b"\0" * 128 + b"DICM" + b"\2\0\1\0UN\0\0\xff\xff\xff\xff",
        b"\0" * 128 + b"DICM" + element(1, b"UI", b"") * 9000,
    ],
    ids=["no magic word", "long", "without a length", "of many elements"],
)
def test_what_cannot_be_a_file_meta_is_refused(start: bytes) -> None:
    with pytest.raises(InstanceRejectedError) as refused:
        whole_meta(start)

    assert refused.value.status == 0xC000


@pytest.mark.parametrize("elements", [b"", element(2, b"UI", b"1.2\0"), element(2, b"UI", b"../etc")])
def test_a_file_meta_without_its_three_uids_is_refused(elements: bytes) -> None:
    with pytest.raises(InstanceRejectedError, match=r"MediaStorageSOP.* is missing or no UID"):
        read_meta(b"\0" * 128 + b"DICM" + elements)
