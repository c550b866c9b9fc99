from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import data_set_offset, part10_prefix
from tests.factories import data_set_bytes, mammogram, part10


@pytest.mark.parametrize("sop_uid", ["1.2", "1.2.3", "2.25." + "1" * 59])
@pytest.mark.parametrize("syntax", facts.IMAGE_SYNTAXES)
def test_a_prefix_ends_where_its_data_set_starts(sop_uid: str, syntax: str) -> None:
    prefix = part10_prefix(facts.MG_FOR_PRESENTATION, sop_uid, syntax)

    assert data_set_offset(prefix + b"data set") == len(prefix)


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
