"""What cases are sorted by: the rows of the paper's tables and the strata of splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dibmg.data.cases import Case
from dibmg.data.manifest import CancerType, Density, Feature, Label

_OLDER: Final = 50
"""Years. Source: Kim et al. 2018, table 3."""
_LARGER: Final = 20.0
"""Greatest diameter, mm. Source: Kim et al. 2018, table 5."""


@dataclass(frozen=True)
class Characteristic:
    """One heading of a table.

    Attributes:
        groups_of: Groups that a case is in; empty where it is not known.
        order: Groups in the order of the table; others follow by name.
        several: A case may be in several groups.
        of_cancers: Only cancers have it.
    """

    name: str
    groups_of: Callable[[Case], tuple[str, ...]]
    order: tuple[str, ...] = ()
    several: bool = False
    of_cancers: bool = False


def _known(value: object | None) -> tuple[str, ...]:
    return () if value is None else (str(value),)


def _age(case: Case) -> tuple[str, ...]:
    return () if case.age is None else (f"≥{_OLDER}" if case.age >= _OLDER else f"<{_OLDER}",)


def _size(case: Case) -> tuple[str, ...]:
    if case.size_mm is None:
        return ()
    return (f"≥{_LARGER:g} mm" if case.size_mm >= _LARGER else f"<{_LARGER:g} mm",)


CHARACTERISTICS: Final = (
    Characteristic("age", _age, (f"<{_OLDER}", f"≥{_OLDER}")),
    Characteristic("density", lambda case: _known(case.density), tuple(Density)),
    Characteristic("manufacturer", lambda case: _known(case.manufacturer)),
    Characteristic("cancer type", lambda case: _known(case.cancer_type), tuple(CancerType), of_cancers=True),
    Characteristic(
        "feature",
        lambda case: tuple(feature for feature in Feature if feature in case.features),
        tuple(Feature),
        several=True,
        of_cancers=True,
    ),
    Characteristic("size", _size, (f"<{_LARGER:g} mm", f"≥{_LARGER:g} mm"), of_cancers=True),
)


def strata(case: Case) -> tuple[str, ...]:
    """Every group that splits spread evenly; age by decades, and what is not known is a group too."""
    groups = ["age:" + ("?" if case.age is None else str(min(max(case.age // 10, 3), 8)))]
    for characteristic in CHARACTERISTICS[1:]:
        if characteristic.of_cancers and case.label is not Label.CANCER:
            continue
        found = characteristic.groups_of(case) or ("?",)
        groups += [f"{characteristic.name}:{group}" for group in found]
    return tuple(groups)
