"""Tables 1 and 2 of the paper: who is in each part of a data set, with chi-square tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dibmg.data.cases import Case
from dibmg.data.characteristics import CHARACTERISTICS, Characteristic
from dibmg.data.manifest import Label

_LEAST_EXPECTED = 5.0
"""Expected count below which the approximation of a chi-square test is poor. Source: Cochran 1954."""


@dataclass(frozen=True)
class TableRow:
    """One group of a characteristic.

    Attributes:
        counts: Cases of each part.
        p: Of the group's own test, where a case may be in several groups.
        sparse: An expected count of that test is below 5.
    """

    group: str
    counts: tuple[int, ...]
    p: float | None = None
    sparse: bool = False


@dataclass(frozen=True)
class TableSection:
    """One characteristic.

    Attributes:
        not_known: Cases of each part whose manifest does not tell; not in the test.
        p: Chi-square test of group against part; None where groups are tested alone or there is
            nothing to compare.
        sparse: An expected count of it is below 5.
    """

    name: str
    rows: tuple[TableRow, ...]
    not_known: tuple[int, ...]
    p: float | None
    sparse: bool


@dataclass(frozen=True)
class DemographicsTable:
    """Demographics of the cases of one label, by part."""

    title: str
    label: Label
    parts: tuple[str, ...]
    totals: tuple[int, ...]
    sections: tuple[TableSection, ...]

    def as_json(self) -> dict[str, object]:
        """For `split.json`."""
        return asdict(self)


def demographics(parts: Mapping[str, Sequence[Case]]) -> list[DemographicsTable]:
    """Table 1 (cancers), table 2 (normal cases), and one of benign cases where there are any.

    Source: Kim et al. 2018, tables 1 and 2, and Statistical Analysis.
    """
    tables = []
    for label, title in (
        (Label.CANCER, "Table 1. Demographics in cancer cases"),
        (Label.NORMAL, "Table 2. Demographics in normal cases"),
        (Label.BENIGN, "Demographics in benign cases"),
    ):
        chosen = {name: [case for case in cases if case.label is label] for name, cases in parts.items()}
        totals = tuple(len(cases) for cases in chosen.values())
        if any(totals):
            sections = tuple(
                _section(characteristic, list(chosen.values()))
                for characteristic in CHARACTERISTICS
                if label is Label.CANCER or not characteristic.of_cancers
            )
            tables.append(DemographicsTable(title, label, tuple(parts), totals, sections))
    return tables


def _section(characteristic: Characteristic, parts: Sequence[Sequence[Case]]) -> TableSection:
    found = [[characteristic.groups_of(case) for case in cases] for cases in parts]
    there = {group for groups_of_part in found for groups in groups_of_part for group in groups}
    order = [group for group in characteristic.order if group in there]
    order += sorted(there - set(order))
    counts = [tuple(sum(g in groups for groups in part) for part in found) for g in order]
    not_known = tuple(sum(not groups for groups in part) for part in found)
    if characteristic.several:
        known = [len(part) - missing for part, missing in zip(found, not_known, strict=True)]
        rows = []
        for group, numbers in zip(order, counts, strict=True):
            others = [total - number for total, number in zip(known, numbers, strict=True)]
            rows.append(TableRow(group, numbers, *_chi_square([numbers, others])))
        return TableSection(characteristic.name, tuple(rows), not_known, None, False)
    plain = tuple(TableRow(group, numbers) for group, numbers in zip(order, counts, strict=True))
    return TableSection(characteristic.name, plain, not_known, *_chi_square(counts))


def _chi_square(counts: Sequence[Sequence[int]]) -> tuple[float | None, bool]:
    """Test of independence of rows and columns: its p, and whether an expected count is too small for it."""
    # seconds to import, and most of this package works without it
    from scipy.stats import chi2_contingency

    if not counts:
        return None, False
    table = np.asarray(counts, dtype=np.int64)
    table = table[table.sum(axis=1) > 0]
    table = table[:, table.sum(axis=0) > 0] if table.size else table
    if min(table.shape) < 2:
        return None, False
    result = chi2_contingency(table, correction=False)
    p = float(result.pvalue)
    return (p if math.isfinite(p) else None), bool(result.expected_freq.min() < _LEAST_EXPECTED)
