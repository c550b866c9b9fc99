"""Gathering rows: exam and breast labels from all that the tables name, then only what is on the disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress

from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.manifest import ImageRow, Label
from dibmg_node.domain.study import Laterality

FILE_MISSING = "named by the table, file not found"
_ORDER = (Label.CANCER, Label.BENIGN, Label.NORMAL)


def worst(labels: Iterable[Label | None]) -> Label | None:
    """Cancer before benign before normal; None where no label is known."""
    known = set(labels)
    return next((label for label in _ORDER if label in known), None)


def settle(rows: Sequence[ImageRow]) -> list[ImageRow]:
    """Give every row the label of its exam, and of its breast where any image of that breast has one.

    A lesion seen in one view only makes the breast's other view an image of the same breast.

    Args:
        rows: `breast_label` by what the image shows, `label` by all that its own line says of its exam.
    """
    breasts: dict[tuple[str, Laterality], set[Label | None]] = defaultdict(set)
    exams: dict[str, set[Label]] = defaultdict(set)
    for row in rows:
        breasts[row.exam, row.laterality].add(row.breast_label)
        exams[row.exam].add(row.label)
    return [
        replace(
            row,
            breast_label=worst(breasts[row.exam, row.laterality]),
            label=worst(exams[row.exam]) or row.label,
        )
        for row in rows
    ]


class Collection:
    """Rows and omissions of one import."""

    def __init__(self) -> None:
        self._rows: list[ImageRow] = []
        self._found: list[bool] = []
        self._skipped: Counter[str] = Counter()

    def add(self, row: ImageRow, found: bool = True) -> None:
        """Take a row whose file may be missing: what the table says of it still counts for its exam.

        Args:
            row: Not settled yet.
            found: False: its file is known to be missing or damaged.
        """
        self._rows.append(row)
        self._found.append(found and row.path.is_file())

    def skip(self, reason: str, count: int = 1) -> None:
        """Count what is left out."""
        self._skipped[reason] += count

    def report(self, kind: Layout, notes: Sequence[str], source: str, license_text: str) -> ImportReport:
        """What was gathered, without the rows whose file is missing (a partial download is normal)."""
        rows = list(compress(settle(self._rows), self._found))
        skipped = self._skipped + Counter({FILE_MISSING: len(self._rows) - len(rows)})
        return ImportReport(
            kind, tuple(rows), dict(sorted(skipped.items())), tuple(notes), source, license_text
        )
