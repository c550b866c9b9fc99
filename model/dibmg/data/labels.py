"""Tables of labels: one row for an exam, a breast or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg.data.columns import BY_NAME, CellError, incomplete, normalize
from dibmg.data.scan import StatedView
from dibmg.data.table import Line, ManifestError, Table, read_table
from dibmg_node.domain.study import Laterality, View

_SYNONYMS: Final = {
    "exam": ("study_uid", "studyinstanceuid", "study_instance_uid"),
    "accession": ("accessionnumber", "accession_number"),
    "patient": ("patientid", "patient_id"),
    "path": ("file", "filename"),
}
_KEYS: Final = ("path", "exam", "accession", "patient")
"""Columns that name what a row labels; the first that the table has is the key."""


@dataclass(frozen=True)
class Labels:
    """A table of labels.

    Attributes:
        key: Column that names what a row labels.
        by_breast: `label` is of the breast in `laterality`: there is no `breast_label`.
        lines: Checked lines by key, side and view; side and view are empty where the line is for all.
    """

    table: Table
    key: str
    by_breast: bool
    lines: Mapping[tuple[str, str, str], Line]

    @property
    def column(self) -> str:
        """The column that holds the labels: `breast_label` where there is no `label`."""
        return "label" if "label" in self.table.columns else "breast_label"


def read_labels(path: Path, folder: Path) -> Labels:
    """Read a table of labels, CSV or Parquet.

    Its rows name a file (`path`, relative to the table or to the folder), an exam (`exam`: Study Instance
    UID, or `accession`) or a woman (`patient`); `laterality` and `view` narrow them. `label` is of the
    exam, but of the breast where there is a `laterality` and no `breast_label`. Any other column of a
    manifest may be there.

    Raises:
        ManifestError: With every complaint.
    """
    table = _renamed(read_table(path.absolute()))
    key = next((name for name in _KEYS if name in table.columns), None)
    if key is None:
        raise ManifestError([f"{table.path}: line 1: no column {', '.join(_KEYS[:-1])} or {_KEYS[-1]}"])
    if not {"label", "breast_label"} & set(table.columns):
        raise ManifestError([f"{table.path}: line 1: column label is missing"])
    by_breast = key != "path" and "laterality" in table.columns and "breast_label" not in table.columns
    complaints: list[str] = []
    lines: dict[tuple[str, str, str], Line] = {}
    for line in table.lines:
        cells = _checked(table, line, complaints)
        if not cells[key]:
            complaints.append(f"{table.path}: line {line.number}, column {key}: empty")
            continue
        if by_breast and cells["label"] and not cells["laterality"]:
            complaints.append(f"{table.path}: line {line.number}, column laterality: empty, expected R or L")
        value = _file(cells[key], table.path.parent, folder) if key == "path" else cells[key]
        narrowed = ("", "") if key == "path" else (cells.get("laterality", ""), cells.get("view", ""))
        first = lines.setdefault((value, *narrowed), Line(line.number, cells))
        if first.number != line.number:
            complaints.append(
                f"{table.path}: line {line.number}, column {key}: labels the same as line {first.number}"
            )
    if complaints:
        raise ManifestError(complaints)
    return Labels(table, key, by_breast, lines)


def stated_views(labels: Labels) -> dict[Path, StatedView]:
    """Side and view of files that a table names, where it states them."""
    if labels.key != "path":
        return {}
    stated = {}
    for (path, _, _), line in labels.lines.items():
        laterality, view = line.cells.get("laterality"), line.cells.get("view")
        stated[Path(path)] = (Laterality(laterality) if laterality else None, View(view) if view else None)
    return stated


def _renamed(table: Table) -> Table:
    names = {
        synonym: name
        for name, synonyms in _SYNONYMS.items()
        for synonym in synonyms
        if name not in table.columns
    }
    lines = tuple(
        Line(line.number, {names.get(name, name): cell for name, cell in line.cells.items()})
        for line in table.lines
    )
    return Table(table.path, tuple(names.get(name, name) for name in table.columns), lines)


def _checked(table: Table, line: Line, complaints: list[str]) -> dict[str, str]:
    cells = {name: cell for name, cell in line.cells.items() if name}
    for name, cell in cells.items():
        if name not in BY_NAME:
            continue
        try:
            cells[name] = normalize(BY_NAME[name], cell)
        except CellError as error:
            complaints.append(
                f"{table.path}: line {line.number}, column {name}: found {cell!r}, expected {error}"
            )
    complaints += [f"{table.path}: line {line.number}, {complaint}" for complaint in incomplete(cells)]
    return cells


def _file(cell: str, table_folder: Path, folder: Path) -> str:
    """Absolute path of a file that is named relative to the table's folder or to the scanned one."""
    beside_table = Path(os.path.normpath(table_folder / cell))
    return str(beside_table if beside_table.exists() else Path(os.path.normpath(folder.absolute() / cell)))
