"""The files of a split: a manifest for each part, and one JSON that says how they came to be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from dibmg.data.cases import Case
from dibmg.data.demographics import DemographicsTable, demographics
from dibmg.data.inclusion import Inclusion, InclusionPolicy
from dibmg.data.manifest import Label, Manifest, write_manifest
from dibmg.data.splits import SPLIT_VERSION, Split

RECORD: Final = "split.json"
FOLDS: Final = "folds.csv"
_PART_COLUMN: Final = "split"
_FOLD_COLUMN: Final = "fold"


@dataclass(frozen=True)
class SplitRecord:
    """How a split came to be.

    Attributes:
        folds: Whether it is one into folds.
        pixels_compared: Whether pictures were compared, beside women.
        repeated: Lines whose pixels are the same, of one woman; they stay together.
    """

    manifest: Manifest
    seed: int
    folds: bool
    policy: InclusionPolicy
    inclusion: Inclusion
    split: Split
    tables: tuple[DemographicsTable, ...]
    pixels_compared: bool
    repeated: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(
        manifest: Manifest,
        seed: int,
        policy: InclusionPolicy,
        inclusion: Inclusion,
        split: Split,
        *,
        folds: bool,
        pixels_compared: bool,
        repeated: Sequence[Sequence[int]],
    ) -> SplitRecord:
        """Record a split, with its tables."""
        lines = tuple(tuple(group) for group in repeated)
        tables = tuple(demographics(split.parts))
        return SplitRecord(manifest, seed, folds, policy, inclusion, split, tables, pixels_compared, lines)

    def as_json(self) -> dict[str, object]:
        """What `split.json` holds."""
        return {
            "manifest": self.manifest.path.name,
            "manifest_sha256": sha256(self.manifest.path.read_bytes()).hexdigest(),
            "seed": self.seed,
            "split_version": SPLIT_VERSION,
            "views": self.policy.views.value,
            "years_followed": self.policy.years_followed,
            "rules_switched_off": sorted(self.policy.switched_off),
            "flow": self.inclusion.as_json(),
            "parts": self.parts(),
            "tables": [table.as_json() for table in self.tables],
            "pixels_compared": self.pixels_compared,
            "repeated_lines": self.repeated,
            "notes": self.split.notes,
        }

    def parts(self) -> dict[str, dict[str, int]]:
        """Counts of each part: exams by label, women, images."""
        return {name: _counts(cases) for name, cases in self.split.parts.items()}

    def write(self, folder: Path) -> list[Path]:
        """Write the manifests (one a part, or one with a column `fold`) and `split.json`; returns all."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = self.split.rows(_FOLD_COLUMN if self.folds else _PART_COLUMN)
        written = []
        if self.folds:
            every = sorted(
                (row for rows_of_fold in rows.values() for row in rows_of_fold), key=lambda row: row.line
            )
            rows = {Path(FOLDS).stem: every}
        for name, rows_of_part in rows.items():
            written.append(folder / f"{name}.csv")
            write_manifest(rows_of_part, written[-1])
        written.append(folder / RECORD)
        text = json.dumps(self.as_json(), indent=2, ensure_ascii=False)
        written[-1].write_text(text + "\n", encoding="utf-8")
        return written


def _counts(cases: Sequence[Case]) -> dict[str, int]:
    labels: Mapping[Label, int] = Counter(case.label for case in cases)
    return {
        "exams": len(cases),
        **{label.value: labels.get(label, 0) for label in Label},
        "women": len({case.patient for case in cases}),
        "images": sum(len(case.rows) for case in cases),
    }
