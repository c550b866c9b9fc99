"""Whose results they are: names in any character set, verbatim, and what a header lacks left empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.domain.study import STANDARD_VIEWS
from tests.services.odd_exams import answer, errors, odd, screening

NAMES: dict[str, tuple[Any, str, bytes]] = {
    "Latin 1": ("ISO_IR 100", "Müller^Änne", b"M\xfcller^\xc4nne"),
    "UTF-8": ("ISO_IR 192", "Łukasiewicz^Анна", "Łukasiewicz^Анна".encode()),
    "Cyrillic": ("ISO_IR 144", "Иванова^Анна", "Иванова^Анна".encode("iso8859_5")),
    "Japanese": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Hanako=山田^花子=やまだ^はなこ",
        b"Yamada^Hanako=\x1b$B;3ED\x1b(B^\x1b$B2V;R\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$O$J$3\x1b(B",
    ),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "ASCII without a character set": (None, "Mueller^Anna", b"Mueller^Anna"),
    "Latin 1 without a character set": (None, "Müller^Anna", b"M\xfcller^Anna"),
}


@pytest.mark.parametrize(("charset", "name", "raw"), NAMES.values(), ids=NAMES)
def test_a_name_is_in_every_result_as_it_came_with_the_character_set_that_it_needs(
    tmp_path: Path, charset: Any, name: str, raw: bytes
) -> None:
    told = answer(tmp_path, screening(SpecificCharacterSet=charset, PatientName=name))

    assert len(told.results) == 5
    for result in told.results:
        assert result.get_item("PatientName").value.strip(b" ") == raw
        assert result.get("SpecificCharacterSet") == charset
        assert str(result.PatientName) == name
        if charset is not None or raw.isascii():
            assert errors(tmp_path, result) == []


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_words_deeper_in_a_result_are_in_its_character_set_too(tmp_path: Path, charset: str) -> None:
    request = Dataset()
    request.RequestedProcedureDescription = "Früherkennung"
    request.RequestedProcedureID = "R1"
    changes = {"InstitutionName": "Klinik Köln", "RequestAttributesSequence": DicomSequence([request])}

    told = answer(tmp_path, screening(SpecificCharacterSet=charset, **changes))

    (encoding,) = convert_encodings(charset)
    for result in told.results:
        assert result.ContributingEquipmentSequence[0].InstitutionName == "Klinik Köln"
        result.save_as(tmp_path / "result.dcm")
        assert "Klinik Köln".encode(encoding) in (tmp_path / "result.dcm").read_bytes()
    assert told.report.ReferencedRequestSequence[0].RequestedProcedureDescription == "Früherkennung"


def test_a_request_in_a_character_set_of_its_own_stays_as_it_is(tmp_path: Path) -> None:
    request = Dataset()
    request.SpecificCharacterSet = "ISO_IR 192"
    request.RequestedProcedureDescription = "乳房X線"
    changes = {"RequestAttributesSequence": DicomSequence([request])}

    told = answer(
        tmp_path, screening(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Anna", **changes)
    )

    copied = told.report.ReferencedRequestSequence[0]
    assert (copied.RequestedProcedureDescription, copied.SpecificCharacterSet) == ("乳房X線", "ISO_IR 192")
    assert str(told.report.PatientName) == "Müller^Anna"


def test_views_in_different_character_sets_give_results_that_are_each_right(tmp_path: Path) -> None:
    sets = ("ISO_IR 192", "ISO_IR 100", "ISO_IR 192", "ISO_IR 100")
    images = [
        odd(view, SpecificCharacterSet=charset, PatientName="Müller^Anna")
        for view, charset in zip(STANDARD_VIEWS, sets, strict=True)
    ]

    told = answer(tmp_path, images)

    assert [one.SpecificCharacterSet for one in told.overlays.values()] == list(sets)
    assert {str(result.PatientName) for result in told.results} == {"Müller^Anna"}


TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Of Patient and General Study. Source: PS3.3 C.7.1.1, C.7.2.1."""
ABSENT = dict.fromkeys(
    (*TYPE_2, "SpecificCharacterSet", "SeriesNumber", "InstanceNumber", "Manufacturer", "PatientOrientation")
)


@pytest.mark.parametrize("state", ["absent", "empty"])
def test_what_is_required_but_not_known_is_there_and_empty_in_every_result(
    tmp_path: Path, state: str
) -> None:
    changes = ABSENT if state == "absent" else dict.fromkeys(TYPE_2, "")

    told = answer(tmp_path, screening(**changes))

    assert len(told.results) == 5
    for result in told.results:
        assert {name: str(result[name].value or "") for name in TYPE_2} == dict.fromkeys(TYPE_2, "")
        assert errors(tmp_path, result) == []


@pytest.mark.parametrize("missing", TYPE_2)
def test_one_value_that_is_missing_costs_none_of_the_others(tmp_path: Path, missing: str) -> None:
    source = screening(**{missing: None})

    told = answer(tmp_path, source)

    expected = {name: str(source[0].get(name, "")) for name in TYPE_2}
    for result in told.results:
        assert {name: str(result[name].value or "") for name in TYPE_2} == expected


def test_a_study_that_was_not_read_has_the_same_header(tmp_path: Path) -> None:
    (report,) = answer(tmp_path, screening(BreastImplantPresent="YES", **ABSENT)).results

    assert all(name in report for name in TYPE_2)
    assert errors(tmp_path, report) == []
