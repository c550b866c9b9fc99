"""A table of follow-ups: exams by accession number or study UID, and what became of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Final

from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.domain.study import Laterality
from dibmg_node.errors import RejectedError

COLUMNS: Final = ("accession", "study_uid", "outcome", "date", "laterality", "source")
_ALSO: Final = {"accession_number": "accession", "study_instance_uid": "study_uid"}
_SIDES: Final = {"": None, "R": Laterality.RIGHT, "L": Laterality.LEFT, "B": None}
_UID: Final = re.compile(r"[0-9.]{1,64}")
_SOURCE: Final = re.compile(r"[A-Za-z0-9._-]{0,32}")
_LARGEST: Final = 256 * 2**20
_MOST_TOLD: Final = 50


class TableRejectedError(RejectedError):
    """A table of follow-ups cannot be read; nothing of it was entered.

    Attributes:
        complaints: Each with line and column, never with what a line says of whom.
    """

    def __init__(self, complaints: Sequence[str]) -> None:
        """With every complaint."""
        more = len(complaints) - _MOST_TOLD
        told = [*complaints[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(told))
        self.complaints = tuple(complaints)


@dataclass(frozen=True)
class ToldLine:
    """One line of a table.

    Attributes:
        number: Of the line in the file, 1 for the header.
        accession: Accession number; empty where the line has a study UID.
        study_uid: Empty where the line has an accession number alone.
    """

    number: int
    accession: str
    study_uid: str
    follow_up: FollowUp


def read_table(path: Path, today: date) -> list[ToldLine]:
    """The lines of a CSV file, comma or semicolon between its columns.

    Args:
        path: UTF-8; its header names `outcome` and `accession` or `study_uid`; other columns of `COLUMNS` are
            optional, and more columns are an error: what is not needed should not be handed over.
        today: No outcome is of a later day.

    Raises:
        TableRejectedError: With every complaint at once.
        OSError: It cannot be read.
    """
    if path.stat().st_size > _LARGEST:
        raise TableRejectedError([f"the table has more than {_LARGEST // 2**20} MiB"])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableRejectedError([f"byte {error.start}: not UTF-8"]) from error
    first = text.partition("\n")[0]
    separator = ";" if ";" in first and "," not in first else ","
    rows = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = _header(next(rows, []))
        lines, complaints = [], []
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            number = rows.line_num
            if len(cells) != len(header):
                told = f"line {number}: {len(cells)} cells, the header has {len(header)} columns"
                complaints.append(told)
                continue
            line, found = _line(
                number, dict(zip(header, (cell.strip() for cell in cells), strict=True)), today
            )
            lines.append(line)
            complaints += found
    except csv.Error as error:
        raise TableRejectedError([f"line {rows.line_num}: not CSV ({error})"]) from error
    if complaints:
        raise TableRejectedError(complaints)
    return lines


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    header = [_ALSO.get(name, name) for name in names]
    complaints = [
        f"line 1: column {place} is none of {', '.join(COLUMNS)}"
        for place, name in enumerate(header, 1)
        if name not in COLUMNS
    ]
    complaints += [f"line 1: {name} twice" for name in COLUMNS if header.count(name) > 1]
    if "outcome" not in header:
        complaints.append("line 1: no column outcome")
    if not {"accession", "study_uid"} & set(header):
        complaints.append("line 1: neither a column accession nor study_uid")
    if complaints:
        raise TableRejectedError(complaints)
    return header


def _line(number: int, cells: Mapping[str, str], today: date) -> tuple[ToldLine, list[str]]:
    """A line, and what is wrong with it: what an accession number is stays out of complaints."""
    complaints = []

    def complain(column: str, told: str) -> None:
        complaints.append(f"line {number}, {column}: {told}")

    accession, study_uid = cells.get("accession", ""), cells.get("study_uid", "")
    if not accession and not study_uid:
        complain("accession" if "accession" in cells else "study_uid", "empty")
    if study_uid and not _UID.fullmatch(study_uid):
        complain("study_uid", "no UID: expected digits and dots, 64 at most")
    truth = Truth.NORMAL
    try:
        truth = Truth(cells["outcome"].lower())
    except ValueError:
        complain("outcome", f"expected {', '.join(Truth)}")
    side = cells.get("laterality", "").upper()
    if side not in _SIDES:
        complain("laterality", "expected R, L, or B or nothing for both")
    found_on = cells.get("date", "")
    if found_on:
        try:
            day = date.fromisoformat(found_on)
        except ValueError:
            complain("date", "expected YYYY-MM-DD")
        else:
            found_on = day.isoformat()
            if not date(1990, 1, 1) <= day <= today:
                complain("date", "expected a day from 1990 to today")
    source = cells.get("source", "")
    if not _SOURCE.fullmatch(source):
        complain("source", "expected one word such as biopsy or registry, 32 letters at most")
    return ToldLine(
        number, accession, study_uid, FollowUp(truth, _SIDES.get(side), found_on, source)
    ), complaints
