from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.domain.study import Laterality
from dibmg_node.services.follow_up_file import TableRejectedError, ToldLine, read_table

TODAY = date(2026, 6, 1)


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> list[ToldLine]:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(path, TODAY)


def complaints(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[str, ...]:
    with pytest.raises(TableRejectedError) as caught:
        read(tmp_path, text, encoding)
    return caught.value.complaints


def test_every_column_is_read(tmp_path: Path) -> None:
    text = "Accession Number,study_uid,outcome,date,laterality,source\nA 1,1.2.3,Cancer,2026-03-01,r,biopsy\n"

    (line,) = read(tmp_path, text)

    found = FollowUp(Truth.CANCER, Laterality.RIGHT, "2026-03-01", "biopsy")
    assert line == ToldLine(2, "A 1", "1.2.3", found)


def test_a_spreadsheet_may_write_semicolons_a_mark_and_empty_lines(tmp_path: Path) -> None:
    found = read(tmp_path, "\ufeffaccession;outcome\r\n1;normal\r\n;\r\n2;benign\r\n")

    assert [(one.number, one.accession, one.follow_up.truth.value) for one in found] == [
        (2, "1", "normal"),
        (4, "2", "benign"),
    ]


def test_both_breasts_are_the_whole_exam(tmp_path: Path) -> None:
    found = read(tmp_path, "accession,outcome,laterality\n1,normal,B\n2,normal,\n")

    assert [one.follow_up.laterality for one in found] == [None, None]


def test_every_fault_is_told_with_its_line_and_column_and_without_what_stands_there(tmp_path: Path) -> None:
    text = (
        "accession,study_uid,outcome,date,laterality,source\n"
        "SECRET,1.2.x,maybe,2026-02-30,X,Jane Doe\n"
        ",,normal,2026-06-02,,\n"
        "1,normal\n"
    )

    found = complaints(tmp_path, text)

    assert [one.partition(":")[0] for one in found] == [
        "line 2, study_uid",
        "line 2, outcome",
        "line 2, laterality",
        "line 2, date",
        "line 2, source",
        "line 3, accession",
        "line 3, date",
        "line 4",
    ]
    assert not any(secret in told for told in found for secret in ("SECRET", "Jane"))


def test_columns_that_are_not_needed_are_refused_without_naming_them(tmp_path: Path) -> None:
    found = complaints(tmp_path, "accession,outcome,Jane Doe\n1,normal,x\n")

    assert len(found) == 1
    assert found[0].startswith("line 1: column 3 is none of accession, study_uid, outcome")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: no column outcome"),
        ("accession\n1\n", "line 1: no column outcome"),
        ("outcome\nnormal\n", "line 1: neither a column accession nor study_uid"),
        ("accession,accession,outcome\n1,2,normal\n", "line 1: accession twice"),
        ('accession,outcome\n"1"x,normal\n', "line 2: not CSV"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert complaints(tmp_path, text)[0].startswith(told)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    assert complaints(tmp_path, "accession,outcome\nä,normal\n", "latin-1") == ("byte 18: not UTF-8",)
