"""The columns of a manifest: one table for the reader, its messages and the documents."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dibmg.data.kinds import CancerType, Density, Feature, Label
from dibmg_node.domain.study import Laterality, View


class Kind(StrEnum):
    """What a cell holds."""

    TEXT = "text"
    PATH = "path"
    ONE_OF = "one of"
    SEVERAL_OF = "several of"
    INTEGER = "integer"
    NUMBER = "number"
    YES_OR_NO = "yes or no"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        allowed: Of ONE_OF and SEVERAL_OF, as they are written; upper and lower case are the same.
        low: Least value of a number.
        low_is_allowed: False: the value must be above `low`.
        high: Greatest value of a number.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    low: float = -math.inf
    low_is_allowed: bool = True
    high: float = math.inf

    @property
    def expected(self) -> str:
        """What a cell must hold, for messages and documents."""
        if self.allowed:
            joined = f"{', '.join(self.allowed[:-1])} or {self.allowed[-1]}"
            return f"{joined}, several separated by ;" if self.kind is Kind.SEVERAL_OF else joined
        if self.kind in (Kind.INTEGER, Kind.NUMBER):
            word = "an integer" if self.kind is Kind.INTEGER else "a number"
            if not self.low_is_allowed:
                word += f" above {self.low:g}"
            elif math.isfinite(self.low):
                word += f" of at least {self.low:g}"
            return word + (f" and at most {self.high:g}" if math.isfinite(self.high) else "")
        return "yes or no" if self.kind is Kind.YES_OR_NO else f"a {self.kind.value}"


def _of(values: Iterable[StrEnum]) -> tuple[str, ...]:
    return tuple(value.value for value in values)


_SIDES: Final = (Laterality.RIGHT, Laterality.LEFT)
_SYNONYMS: Final = {"right": "R", "left": "L"}

ATTRIBUTES: Final = (
    Column("exam", Kind.TEXT, "name of the exam: images of one examination share it", required=True),
    Column("patient", Kind.TEXT, "name or pseudonym of the woman: never in two splits", required=True),
    Column("laterality", Kind.ONE_OF, "breast that the image shows", required=True, allowed=_of(_SIDES)),
    Column("view", Kind.ONE_OF, "projection", required=True, allowed=_of(View)),
    Column("path", Kind.PATH, "image file: DICOM, PNG (8 or 16 bit), PGM or JPEG", required=True),
    Column(
        "label", Kind.ONE_OF, "of the exam: cancer if any breast has one", required=True, allowed=_of(Label)
    ),
    Column(
        "breast_label",
        Kind.ONE_OF,
        "of the breast that the image shows; one row of a breast is enough",
        allowed=_of(Label),
    ),
    Column("age", Kind.INTEGER, "years at the exam", low=0, high=120),
    Column("manufacturer", Kind.TEXT, "of the mammography unit"),
    Column("model", Kind.TEXT, "of the mammography unit"),
    Column("software", Kind.TEXT, "versions on the mammography unit, joined by blanks"),
    Column("density", Kind.ONE_OF, "BI-RADS density", allowed=_of(Density)),
    Column("cancer_type", Kind.ONE_OF, "of a cancer, by pathology", allowed=_of(CancerType)),
    Column("features", Kind.SEVERAL_OF, "what the lesion shows itself as", allowed=_of(Feature)),
    Column("size_mm", Kind.NUMBER, "greatest diameter of the lesion", low=0, low_is_allowed=False),
    Column("lesion_x", Kind.NUMBER, "center of the lesion: pixels from the left of the stored image"),
    Column("lesion_y", Kind.NUMBER, "center of the lesion: pixels from the top of the stored image"),
    Column("lesion_radius", Kind.NUMBER, "radius of the lesion, pixels", low=0, low_is_allowed=False),
    Column("mask", Kind.PATH, "image of the lesion on the image's own grid, nonzero inside"),
    Column("window_center", Kind.NUMBER, "shown instead of the file's own window"),
    Column("window_width", Kind.NUMBER, "shown instead of the file's own window", low=1),
)
"""What is an attribute of `ImageRow`."""

INCLUSION: Final = (
    Column("birads", Kind.TEXT, "BI-RADS assessment category, 0 to 6"),
    Column("years_followed", Kind.NUMBER, "years of follow-up without a cancer after the exam", low=0),
    Column("pathology_proven", Kind.YES_OR_NO, "whether pathology confirms the cancer"),
    Column("surgery", Kind.YES_OR_NO, "surgery for breast cancer ever, or for benign disease within 2 years"),
    Column("implant", Kind.YES_OR_NO, "mammoplasty bag"),
    Column("clip", Kind.YES_OR_NO, "clip or marker in the breast"),
)
"""What the rules of inclusion ask for; kept in `ImageRow.other`."""

COLUMNS: Final = (*ATTRIBUTES, *INCLUSION)
"""What the program knows; every other column is kept as text, in `ImageRow.other` too."""

BY_NAME: Final = {column.name: column for column in COLUMNS}
PLACE: Final = ("lesion_x", "lesion_y", "lesion_radius")
WINDOW: Final = ("window_center", "window_width")
"""Columns of which a row has all or none, as of `PLACE`."""

_ABSENT: Final = frozenset({"", "na", "n/a", "nan", "none", "null"})
_TRUE: Final = frozenset({"yes", "y", "true", "1"})
_FALSE: Final = frozenset({"no", "n", "false", "0"})


class CellError(ValueError):
    """A cell does not hold what its column holds."""


def normalize(column: Column, cell: str) -> str:
    """A cell as the program writes it; empty where it is absent.

    Raises:
        CellError: It does not hold what its column holds.
    """
    if cell.lower() in _ABSENT and (not cell or column.kind not in (Kind.TEXT, Kind.PATH)):
        return ""
    if column.kind in (Kind.TEXT, Kind.PATH):
        return cell
    if column.kind is Kind.ONE_OF:
        return _one_of(column, cell)
    if column.kind is Kind.SEVERAL_OF:
        given = {_one_of(column, part.strip()) for part in re.split(r"[;+|]", cell) if part.strip()}
        return ";".join(value for value in column.allowed if value in given)
    if column.kind is Kind.YES_OR_NO:
        if cell.lower() not in _TRUE | _FALSE:
            raise CellError(column.expected)
        return "yes" if cell.lower() in _TRUE else "no"
    return _number(column, cell)


def incomplete(cells: Mapping[str, str]) -> list[str]:
    """Complaints about a row that fills some of `PLACE` or of `WINDOW`, but not all."""
    complaints = []
    for names in (PLACE, WINDOW):
        absent = [name for name in names if not cells.get(name)]
        if absent and len(absent) < len(names):
            there = ", ".join(name for name in names if name not in absent)
            complaints.append(f"column {absent[0]}: empty, but {there} is filled: expected all or none")
    return complaints


def columns_table() -> str:
    """The columns as a Markdown table, for documents."""
    lines = ["| column | | holds | meaning |", "|---|---|---|---|"]
    for column in COLUMNS:
        need = "required" if column.required else ""
        lines.append(f"| `{column.name}` | {need} | {column.expected} | {column.meaning} |")
    return "\n".join(lines) + "\n"


def _one_of(column: Column, cell: str) -> str:
    wanted = _SYNONYMS.get(cell.lower(), cell) if column.name == "laterality" else cell
    for value in column.allowed:
        if value.lower() == wanted.lower():
            return value
    raise CellError(column.expected)


def _number(column: Column, cell: str) -> str:
    try:
        value = float(cell)
    except ValueError:
        raise CellError(column.expected) from None
    low_enough = value >= column.low if column.low_is_allowed else value > column.low
    whole = column.kind is not Kind.INTEGER or value.is_integer()
    if not (math.isfinite(value) and low_enough and value <= column.high and whole):
        raise CellError(column.expected)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
