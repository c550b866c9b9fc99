"""Tables of published data sets: comma or semicolon, any case and spacing of the column names."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.workbook import read_sheet

csv.field_size_limit(2**24)  # a hand-drawn outline is one cell, and may have thousands of points


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        path: The table.
        number: Line in the file, 1 is the first; of a sheet, its row.
        cells: Plain column name → text without space around it.
    """

    path: Path
    number: int
    cells: Mapping[str, str]

    def text(self, *columns: str) -> str:
        """The cell of the first of these columns that the table has; empty where it has none."""
        return next((self.cells[column] for column in columns if column in self.cells), "")

    def number_in(self, column: str) -> float | None:
        """A cell as a number; None where it is empty.

        Raises:
            LayoutError: It is filled, and not with a number.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            return float(text)
        except ValueError as error:
            raise LayoutError(f"{self.at(column)}: expected a number, found {text!r}") from error

    def at(self, column: str) -> str:
        """Where a cell is, for messages."""
        return f"{self.path}, line {self.number}, column {column!r}"


def plain(name: str) -> str:
    """A column name in small letters, underscores as spaces.

    Publishers mix `breast_density` and `breast density` within one data set.
    """
    return " ".join(name.replace("_", " ").split()).lower()


def find_file(folder: Path, *names: str) -> Path | None:
    """The file of one of these names, the first name first, in a folder or as high as possible below it."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
        below = sorted(folder.rglob(name), key=lambda path: (len(path.parts), str(path)))
        if below:
            return below[0]
    return None


def need_file(folder: Path, *names: str) -> Path:
    """As `find_file`.

    Raises:
        LayoutError: There is none.
    """
    path = find_file(folder, *names)
    if path is None:
        raise LayoutError(f"{folder}: expected {' or '.join(names)} in it or below, found none")
    return path


def read_table(path: Path, columns: Iterable[str], sheet: str | None = None) -> tuple[Line, ...]:
    """Lines of a CSV file or of a sheet of an Excel workbook, empty ones left out.

    Args:
        path: `.xlsx`, or text in UTF-8 or Latin-1.
        columns: Plain names of columns that must be there.
        sheet: Of a workbook; its first where the workbook has none of that name.

    Raises:
        LayoutError: It cannot be read, or a column is missing.
    """
    rows = read_sheet(path, sheet) if path.suffix.lower() == ".xlsx" else _read_csv(path)
    if not rows:
        raise LayoutError(f"{path}: expected a line of column names, found nothing")
    names = [plain(name) for name in rows[0][1]]
    missing = [column for column in columns if column not in names]
    if missing:
        raise LayoutError(f"{path}: expected columns {missing}, found {[name for name in names if name]}")
    lines = []
    for number, texts in rows[1:]:
        cells = {name: text.strip() for name, text in zip(names, texts, strict=False) if name}
        if any(cells.values()):
            lines.append(Line(path, number, cells))
    return tuple(lines)


def _read_csv(path: Path) -> list[tuple[int, Sequence[str]]]:
    """(line of the file, cells); a quoted cell may run over several lines."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LayoutError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    header = text.partition("\n")[0]
    reader = csv.reader(
        StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ","
    )
    rows: list[tuple[int, Sequence[str]]] = []
    start = 1
    try:
        for cells in reader:
            rows.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise LayoutError(f"{path}, line {start}: not a line of a CSV file ({error})") from error
    return rows
