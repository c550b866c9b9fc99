"""Subgroups of a set of units: those of the paper's tables 3, 4 and 5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.data.manifest import CancerType, Density, Feature
from dibmg.evaluation.units import Unit, UnitSet

YOUNG: Final = 50
"""Years: the paper compares women below this age with the others."""
SMALL: Final = 20.0
"""Millimeters: the paper compares lesions below this size with the others."""


@dataclass(frozen=True)
class Factor:
    """What a table compares.

    Attributes:
        table: Number of the paper's table.
        cancers_only: Rows are kinds of cancer: specificity has no meaning.
        exclusive: A unit is in one row at most; where not, no chi-square test can be made.
        rows: Name of each row and which units belong to it.
    """

    name: str
    title: str
    table: int
    cancers_only: bool
    exclusive: bool
    rows: tuple[tuple[str, Callable[[Unit], bool]], ...]

    def members(self, units: UnitSet) -> list[tuple[str, NDArray[np.bool_]]]:
        """Name and units, bool (n,), of every row that has any."""
        found = []
        for name, belongs in self.rows:
            chosen = np.array([belongs(unit) for unit in units.units], bool)
            if self.cancers_only:
                chosen &= units.labels
            if chosen.any():
                found.append((name, chosen))
        return found


def factors(units: UnitSet) -> tuple[Factor, ...]:
    """Every factor of the paper's tables; manufacturers and models are those of the units."""
    return (
        Factor("age", "Age", 3, False, True, _ages()),
        Factor("manufacturer", "Manufacturer", 3, False, True, _named(units, "manufacturer")),
        Factor("model", "Model of the machine", 3, False, True, _named(units, "model")),
        Factor("density", "Breast density", 4, False, True, tuple((f"{d}", _of_density(d)) for d in Density)),
        Factor("feature", "Feature", 5, True, False, tuple((f"{f}", _showing(f)) for f in Feature)),
        Factor("cancer_type", "Cancer type", 5, True, True, tuple((f"{t}", _of_type(t)) for t in CancerType)),
        Factor("size", "Size", 5, True, True, _sizes()),
    )


def _ages() -> tuple[tuple[str, Callable[[Unit], bool]], ...]:
    return (
        (f"below {YOUNG}", lambda unit: unit.age is not None and unit.age < YOUNG),
        (f"{YOUNG} and above", lambda unit: unit.age is not None and unit.age >= YOUNG),
    )


def _sizes() -> tuple[tuple[str, Callable[[Unit], bool]], ...]:
    return (
        (f"below {SMALL:.0f} mm", lambda unit: unit.size_mm is not None and unit.size_mm < SMALL),
        (f"{SMALL:.0f} mm and above", lambda unit: unit.size_mm is not None and unit.size_mm >= SMALL),
    )


def _named(units: UnitSet, attribute: str) -> tuple[tuple[str, Callable[[Unit], bool]], ...]:
    """A row for each name that the units have, the most frequent first."""
    every = [getattr(unit, attribute) for unit in units.units]
    counts = Counter(name for name in every if name is not None)
    return tuple((name, _has(attribute, name)) for name, _ in counts.most_common())


def _has(attribute: str, name: str) -> Callable[[Unit], bool]:
    return lambda unit: bool(getattr(unit, attribute) == name)


def _of_density(density: Density) -> Callable[[Unit], bool]:
    return lambda unit: unit.density is density


def _showing(feature: Feature) -> Callable[[Unit], bool]:
    return lambda unit: feature in unit.features


def _of_type(cancer_type: CancerType) -> Callable[[Unit], bool]:
    return lambda unit: unit.cancer_type is cancer_type
