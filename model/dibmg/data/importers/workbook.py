"""Text of a sheet of an Excel workbook (.xlsx), read without a package for it.

Two publishers give their labels only as a workbook. What is read: shared, inline and formula strings and
numbers; not dates, which those tables do not have.

Source: ECMA-376 Part 1, 18.3 (worksheets), 18.4 (shared strings).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from dibmg.data.importers.layout_error import LayoutError

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_LARGEST_PART: Final = 2**28
"""Bytes; a table of images is a hundredth of it, a zip bomb is more."""


def read_sheet(path: Path, name: str | None = None) -> list[tuple[int, Sequence[str]]]:
    """Rows of a sheet.

    Args:
        path: The workbook.
        name: Of the sheet, in any case; the first where there is none of that name.

    Returns:
        (row number from 1, text of its cells from column A on), empty rows left out. Whole numbers have no
        decimal point.

    Raises:
        LayoutError: It is not a workbook that can be read.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            names = parts.namelist()
            shared = _shared(_part(parts, "xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in names else []
            sheet = _part(parts, _sheet_part(parts, name))
        return [
            (int(row.get("r", "0")), _cells(row, shared)) for row in sheet.iter(f"{_MAIN}row") if len(row)
        ]
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, IndexError) as error:
        raise LayoutError(f"{path}: cannot be read as an Excel workbook ({type(error).__name__})") from error


def _part(parts: zipfile.ZipFile, name: str) -> Element:
    if parts.getinfo(name).file_size > _LARGEST_PART:
        raise ValueError(name)
    return ElementTree.fromstring(parts.read(name))


def _sheet_part(parts: zipfile.ZipFile, name: str | None) -> str:
    """Name of the part that holds a sheet."""
    sheets = list(_part(parts, "xl/workbook.xml").iter(f"{_MAIN}sheet"))
    wanted = [sheet for sheet in sheets if name and sheet.get("name", "").lower() == name.lower()]
    relation = (wanted or sheets)[0].get(_RELATION)
    targets = {
        entry.get("Id"): entry.get("Target", "") for entry in _part(parts, "xl/_rels/workbook.xml.rels")
    }
    target = targets[relation]
    return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"


def _shared(table: Element) -> list[str]:
    return [_text(item) for item in table.iter(f"{_MAIN}si")]


def _text(item: Element) -> str:
    """Text of a string, whose formatted runs are elements of their own; phonetic hints are not of it."""
    runs = [item, *item.findall(f"{_MAIN}r")]
    return "".join(text.text or "" for run in runs for text in run.findall(f"{_MAIN}t"))


def _cells(row: Element, shared: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for cell in row.iter(f"{_MAIN}c"):
        column = _column(cell.get("r", ""), len(cells))
        cells.extend([""] * (column - len(cells)))
        cells.append(_value(cell, shared))
    return cells


def _column(reference: str, after: int) -> int:
    """Index of the column of a cell reference such as AB12; `after` where the cell has none."""
    letters = re.match(r"[A-Z]+", reference)
    if letters is None:
        return after
    index = 0
    for letter in letters.group():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def _value(cell: Element, shared: Sequence[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return "" if inline is None else _text(inline)
    value = cell.findtext(f"{_MAIN}v", "")
    if kind == "s":
        return shared[int(value)]
    if kind == "n" and value:
        number = float(value)
        return str(int(number)) if number.is_integer() else value
    return value
