"""Tables of text cells, from CSV or Parquet, with the place of each row for messages."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

from dibmg_node.errors import RejectedError

PARQUET: Final = ".parquet"
_MOST_COMPLAINTS: Final = 50
"""Complaints in a message; all of them are in `ManifestError.complaints`."""


class ManifestError(RejectedError):
    """A table of images or labels cannot be used.

    Attributes:
        complaints: Every complaint: file, line, column, what was found and what was expected. A value of
            the column `patient` is never in one.
    """

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = tuple(complaints)
        told = list(self.complaints[:_MOST_COMPLAINTS])
        if len(self.complaints) > len(told):
            told.append(f"… and {len(self.complaints) - len(told)} more")
        super().__init__("\n".join(told))


@dataclass(frozen=True)
class Line:
    """One row: its line in a CSV file (the header is line 1) or its row in Parquet, and its cells."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Cells are stripped; what is absent is the empty string. Names of columns are in lower case."""

    path: Path
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def read_table(path: Path) -> Table:
    """Read a table; its suffix tells CSV from Parquet.

    CSV is UTF-8, with or without a byte order mark, separated by commas (or by semicolons, as some
    spreadsheets write it, where the first line has no comma).

    Raises:
        ManifestError: No such file, not of its format, not UTF-8, no header, a column twice, or a row
            with more cells than columns.
    """
    try:
        return _read_parquet(path) if path.suffix.lower() == PARQUET else _read_csv(path)
    except OSError as error:
        raise ManifestError([f"{path}: {error.strerror or 'not a table of its format'}"]) from error


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, str]], path: Path) -> None:
    """Write a table; its suffix tells CSV from Parquet, where every column is text and empty is null.

    It has its name once it is whole.

    Raises:
        ManifestError: A cell, such as the name of a file, is not UTF-8; or `path` is there and no file.
        OSError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise ManifestError([f"{path}: expected a file"])
    kept = list(rows)
    write = _write_parquet if path.suffix.lower() == PARQUET else _write_csv
    draft = path.with_name(f".{path.name}.part")
    try:
        write(columns, kept, draft)
        draft.replace(path)
    except UnicodeEncodeError as error:
        raise ManifestError(list(_not_utf8(columns, kept, path))) from error
    finally:
        draft.unlink(missing_ok=True)


def _write_csv(columns: Sequence[str], rows: Sequence[Mapping[str, str]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)


def _write_parquet(columns: Sequence[str], rows: Sequence[Mapping[str, str]], path: Path) -> None:
    arrow, parquet = _arrow()
    cells = {name: [row.get(name, "") or None for row in rows] for name in columns}
    schema = arrow.schema([(name, arrow.string()) for name in columns])
    parquet.write_table(arrow.table(cells, schema=schema), path)


def _not_utf8(columns: Sequence[str], rows: Sequence[Mapping[str, str]], path: Path) -> Iterator[str]:
    """Complaints about names of files, which alone may hold bytes that are no text."""
    for number, row in enumerate(rows, start=1):
        for name in columns:
            cell = row.get(name, "")
            if any("\ud800" <= sign <= "\udfff" for sign in cell):
                yield f"{path}: row {number}, column {name}: found {cell!r}, expected a name in UTF-8"


def _read_csv(path: Path) -> Table:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError([f"{path}: line {line}: not UTF-8, expected a CSV file in UTF-8"]) from error
    first = text.partition("\n")[0]
    # as csv wants it: a line ends where a file's does, not at U+2028 or a form feed in a cell
    reader = csv.reader(StringIO(text, newline=""), delimiter="," if "," in first else ";", strict=True)
    lines, complaints, number = [], [], 1
    try:
        columns = _columns(path, next(reader, []))
        number = reader.line_num + 1
        for cells in reader:
            start, number = number, reader.line_num + 1
            if len(cells) > len(columns) and any(cells[len(columns) :]):
                complaints.append(f"{path}: line {start}: {len(cells)} cells, expected {len(columns)}")
            elif any(cell.strip() for cell in cells):
                stripped = [cell.strip() for cell in cells] + [""] * (len(columns) - len(cells))
                lines.append(Line(start, dict(zip(columns, stripped, strict=False))))
    except csv.Error as error:
        raise ManifestError([f"{path}: line {number}: {error}, expected CSV"]) from error
    if complaints:
        raise ManifestError(complaints)
    return Table(path, columns, tuple(lines))


def _read_parquet(path: Path) -> Table:
    arrow, parquet = _arrow()
    try:
        table = parquet.read_table(path)
    except arrow.ArrowInvalid as error:
        raise ManifestError([f"{path}: not a Parquet file"]) from error
    columns = _columns(path, table.column_names)
    cells = [table.column(place).to_pylist() for place in range(len(columns))]
    rows: Iterator[tuple[object, ...]] = zip(*cells, strict=True)
    lines = [
        Line(number, dict(zip(columns, map(_text, row), strict=True)))
        for number, row in enumerate(rows, start=1)
    ]
    return Table(path, columns, tuple(lines))


def _columns(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(name.strip().lower() for name in names)
    if not any(columns):
        raise ManifestError([f"{path}: line 1: no names of columns, expected a header"])
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise ManifestError([f"{path}: line 1: column {name} is there twice" for name in twice])
    return columns


def _text(value: object) -> str:
    """A Parquet cell as a CSV file would have it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ";".join(map(_text, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ManifestError(
            ["Parquet needs pyarrow: pip install 'dibmg-node[evaluate]', or use CSV"]
        ) from error
    return pyarrow, parquet
