"""Manifests: tables with one row for each image of a data set.

The columns are those of `dibmg.data.columns.COLUMNS`; any other is kept as text. Paths are relative to
the manifest's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dibmg.data.columns import ATTRIBUTES, BY_NAME, COLUMNS, PLACE, WINDOW, CellError, incomplete, normalize
from dibmg.data.kinds import CancerType, Circle, Density, Feature, Label
from dibmg.data.table import Line, ManifestError, Table, read_table, write_table
from dibmg_node.domain.study import Laterality, View, ViewKey

__all__ = [
    "CancerType",
    "Circle",
    "Density",
    "Feature",
    "ImageRow",
    "Label",
    "Manifest",
    "ManifestError",
    "check_files",
    "read_manifest",
    "write_manifest",
]

_ATTRIBUTES: Final = frozenset(column.name for column in ATTRIBUTES)
_AS_THEY_ARE: Final = _ATTRIBUTES - {"path", "mask", "features", *PLACE, *WINDOW}
"""Columns whose cell is the attribute's text."""


@dataclass(frozen=True)
class ImageRow:
    """One image of a data set, and what is known of it.

    Attributes:
        exam: Images of one examination share it.
        path: Absolute.
        label: Of the exam.
        breast_label: Of the breast that the image shows, where known.
        age: Years.
        size_mm: Greatest diameter of the lesion.
        lesion: Place of the lesion on the stored image, where known.
        mask: Image of the lesion on the image's grid, absolute path.
        window: Center and width that replace the file's own.
        other: Every other column of the file that the row fills, by name.
        line: Line in the file (row in Parquet), for messages; 0 where it comes from no file.
    """

    exam: str
    patient: str
    laterality: Laterality
    view: View
    path: Path
    label: Label
    breast_label: Label | None = None
    age: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    software: str | None = None
    density: Density | None = None
    cancer_type: CancerType | None = None
    features: frozenset[Feature] = frozenset()
    size_mm: float | None = None
    lesion: Circle | None = None
    mask: Path | None = None
    window: tuple[float, float] | None = None
    other: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    @property
    def view_key(self) -> ViewKey:
        """Side and projection."""
        return ViewKey(self.laterality, self.view)

    @property
    def shows_cancer(self) -> bool:
        """Whether the image is of a breast with cancer, as far as is known: the breast's label goes first."""
        return (self.breast_label or self.label) is Label.CANCER

    @property
    def is_placed(self) -> bool:
        """Whether it shows a cancer and the row says where."""
        return self.shows_cancer and (self.mask is not None or self.lesion is not None)


@dataclass(frozen=True)
class Manifest:
    """A data set. Attributes: `path` of the file, `rows` in its order."""

    path: Path
    rows: tuple[ImageRow, ...]


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest, CSV or Parquet; files it names are not looked at (see `check_files`).

    The label of a breast that one of its rows has is that of its others, too.

    Raises:
        ManifestError: With every complaint: a required column or cell is missing, a cell does not hold
            what its column holds, or rows contradict each other.
    """
    path = path.absolute()
    table = read_table(path)
    missing = [column for column in COLUMNS if column.required and column.name not in table.columns]
    if missing:
        raise ManifestError([f"{path}: line 1: column {column.name} is missing" for column in missing])
    if not table.lines:
        raise ManifestError([f"{path}: no row, expected one for each image"])
    complaints: list[str] = []
    rows = [row for line in table.lines if (row := _row(table, line, complaints)) is not None]
    complaints += contradictions(path, rows)
    if complaints:
        raise ManifestError(complaints)
    breasts = {(row.exam, row.laterality): row.breast_label for row in rows if row.breast_label is not None}
    return Manifest(
        path, tuple(replace(row, breast_label=breasts.get((row.exam, row.laterality))) for row in rows)
    )


def write_manifest(rows: Iterable[ImageRow], path: Path) -> None:
    """Write a manifest, CSV or Parquet by its suffix; columns that no row fills are left out."""
    path = path.absolute()
    written = [dict(_cells(row, path.parent)) for row in rows]
    used = dict.fromkeys(name for cells in written for name in cells)
    known = [column.name for column in COLUMNS if column.required or column.name in used]
    write_table([*known, *(name for name in used if name not in BY_NAME)], written, path)


def check_files(manifest: Manifest) -> None:
    """Check that every image and mask of a manifest is there.

    Raises:
        ManifestError: With every file that is not.
    """
    complaints = []
    for row in manifest.rows:
        for name, path in (("path", row.path), ("mask", row.mask)):
            if path is not None and not path.is_file():
                complaints.append(f"{manifest.path}: line {row.line}, column {name}: no file {path}")
    if complaints:
        raise ManifestError(complaints)


def _row(table: Table, line: Line, complaints: list[str]) -> ImageRow | None:
    """One row; None where it has a complaint, which is added."""
    before = len(complaints)
    at = f"{table.path}: line {line.number}"
    cells = dict(line.cells)
    for name in table.columns:
        column = BY_NAME.get(name)
        if column is None:
            continue
        try:
            cells[name] = normalize(column, cells[name])
        except CellError as error:
            complaints.append(f"{at}, column {name}: found {cells[name]!r}, expected {error}")
            continue
        if column.required and not cells[name]:
            complaints.append(f"{at}, column {name}: empty, expected {column.expected}")
    complaints += [f"{at}, {complaint}" for complaint in incomplete(cells)]
    return None if len(complaints) > before else build_row(cells, table.path.parent, line.number)


def build_row(cells: Mapping[str, str], folder: Path, number: int) -> ImageRow:
    """A row of cells that were checked.

    Args:
        cells: As `columns.normalize` gives them; those of required columns are not empty.
        folder: That relative paths start from.
        number: The row's line, for messages.
    """

    def text(name: str) -> str | None:
        return cells.get(name) or None

    def path(name: str) -> Path | None:
        return Path(os.path.normpath(folder / cells[name])) if cells.get(name) else None

    def numbers(*names: str) -> list[float]:
        return [float(cells[name]) for name in names if cells.get(name)]

    image, window, place = path("path"), numbers(*WINDOW), numbers(*PLACE)
    assert image is not None
    features = cells.get("features", "")
    return ImageRow(
        exam=cells["exam"],
        patient=cells["patient"],
        laterality=Laterality(cells["laterality"]),
        view=View(cells["view"]),
        path=image,
        label=Label(cells["label"]),
        breast_label=Label(cells["breast_label"]) if text("breast_label") else None,
        age=int(cells["age"]) if text("age") else None,
        manufacturer=text("manufacturer"),
        model=text("model"),
        software=text("software"),
        density=Density(cells["density"]) if text("density") else None,
        cancer_type=CancerType(cells["cancer_type"]) if text("cancer_type") else None,
        features=frozenset(Feature(name) for name in features.split(";") if name),
        size_mm=next(iter(numbers("size_mm")), None),
        lesion=Circle(*place) if place else None,
        mask=path("mask"),
        window=(window[0], window[1]) if window else None,
        other={name: cell for name, cell in cells.items() if name not in _ATTRIBUTES and cell},
        line=number,
    )


def contradictions(path: Path, rows: Iterable[ImageRow]) -> Iterator[str]:
    """Complaints about rows that cannot both be true; the earlier row is taken at its word."""
    exams: dict[str, ImageRow] = {}
    breasts: dict[tuple[str, Laterality], ImageRow] = {}
    files: dict[Path, ImageRow] = {}
    for row in rows:
        at = f"{path}: line {row.line}, column"
        first = exams.setdefault(row.exam, row)
        if row.patient != first.patient:
            yield f"{at} patient: another one than in line {first.line} of the same exam, expected one"
        if row.label is not first.label:
            yield f"{at} label: found {row.label}, but {first.label} in line {first.line} of the same exam"
        if row.breast_label is Label.CANCER and row.label is not Label.CANCER:
            yield f"{at} label: found {row.label}, but the breast_label is cancer: expected cancer"
        if row.breast_label is not None:
            other = breasts.setdefault((row.exam, row.laterality), row)
            if other.breast_label is not row.breast_label:
                found = f"found {row.breast_label}, but {other.breast_label} in line {other.line}"
                yield f"{at} breast_label: {found} of the same breast"
        same = files.setdefault(row.path, row)
        if same is not row:
            yield f"{at} path: {row.path} is in line {same.line} already"


def _cells(row: ImageRow, folder: Path) -> Iterator[tuple[str, str]]:
    """The cells of a row that are not empty."""
    values: dict[str, object] = {name: getattr(row, name) for name in _AS_THEY_ARE}
    values["path"] = Path(os.path.relpath(row.path, folder)).as_posix()
    values["mask"] = Path(os.path.relpath(row.mask, folder)).as_posix() if row.mask else None
    values["features"] = ";".join(feature for feature in Feature if feature in row.features)
    if row.lesion is not None:
        place = (row.lesion.column, row.lesion.row, row.lesion.radius)
        values.update(zip(PLACE, place, strict=True))
    if row.window is not None:
        values.update(zip(WINDOW, row.window, strict=True))
    values.update(row.other)
    for column in COLUMNS:
        value = values.pop(column.name, None)
        if value is not None and value != "":
            yield column.name, f"{value:.10g}" if isinstance(value, float) else str(value)
    yield from ((name, str(value)) for name, value in values.items())
