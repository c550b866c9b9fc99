"""Cases: the exams of a data set, each with its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dibmg.data.manifest import CancerType, Density, Feature, ImageRow, Label
from dibmg_node.domain.study import ViewKey


@dataclass(frozen=True)
class Case:
    """One exam, as its images' rows describe it; at least one row."""

    rows: tuple[ImageRow, ...]

    @property
    def exam(self) -> str:
        """Name of the exam."""
        return self.rows[0].exam

    @property
    def patient(self) -> str:
        """Name of the woman."""
        return self.rows[0].patient

    @property
    def label(self) -> Label:
        """Of the exam."""
        return self.rows[0].label

    @property
    def views(self) -> frozenset[ViewKey]:
        """The views that it has."""
        return frozenset(row.view_key for row in self.rows)

    @property
    def age(self) -> int | None:
        """Years, where a row tells."""
        return next((row.age for row in self.rows if row.age is not None), None)

    @property
    def density(self) -> Density | None:
        """The denser one where rows differ."""
        return max((row.density for row in self.rows if row.density is not None), default=None)

    @property
    def manufacturer(self) -> str | None:
        """That of most images."""
        return next(
            iter(dict(Counter(row.manufacturer for row in self.rows if row.manufacturer).most_common())), None
        )

    @property
    def cancer_type(self) -> CancerType | None:
        """Invasive where any of its cancers is."""
        types = {row.cancer_type for row in self._cancers if row.cancer_type is not None}
        return CancerType.INVASIVE if CancerType.INVASIVE in types else next(iter(types), None)

    @property
    def features(self) -> frozenset[Feature]:
        """Of its cancers, all together."""
        return frozenset(feature for row in self._cancers for feature in row.features)

    @property
    def size_mm(self) -> float | None:
        """Of its largest cancer."""
        return max((row.size_mm for row in self._cancers if row.size_mm is not None), default=None)

    def told(self, column: str) -> frozenset[str]:
        """What its rows say in a column of `ImageRow.other`."""
        return frozenset(row.other[column] for row in self.rows if row.other.get(column))

    @property
    def _cancers(self) -> Sequence[ImageRow]:
        """Rows that may speak of a cancer: none in other exams, not those of the other breast."""
        if self.label is not Label.CANCER:
            return ()
        return [row for row in self.rows if row.breast_label in (None, Label.CANCER)]


def group_cases(rows: Iterable[ImageRow]) -> list[Case]:
    """The exams of rows, in the order of their first row."""
    exams: dict[str, list[ImageRow]] = {}
    for row in rows:
        exams.setdefault(row.exam, []).append(row)
    return [Case(tuple(rows_of_exam)) for rows_of_exam in exams.values()]
