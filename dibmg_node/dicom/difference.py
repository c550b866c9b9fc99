"""What two data sets do not have in common, attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset

_NUMBERS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"})
_VERSIONS: Final = frozenset({"SoftwareVersions", "ImplementationVersionName", "DeviceSerialNumber"})
_TIMES: Final = frozenset({"DA", "DT", "TM"})


@dataclass(frozen=True)
class Difference:
    """One attribute that differs.

    Attributes:
        path: Keywords down to it, items counted from 1.
        is_time: Its value is a date or a time.
        told: Both values where they are numbers or versions; else empty: others may name a patient.
    """

    path: str
    is_time: bool
    told: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.path}: {self.told}" if self.told else self.path


def differences(before: FileDataset, after: FileDataset) -> list[Difference]:
    """Attributes that two files do not have in common, in the order of their tags."""
    return [*_between(before.file_meta, after.file_meta, ""), *_between(before, after, "")]


def _between(before: Dataset, after: Dataset, path: str) -> Iterator[Difference]:
    for tag in sorted({*before.keys(), *after.keys()}):
        one, other = before.get(tag), after.get(tag)
        element = one if one is not None else other
        name = f"{path}{element.keyword or element.tag}"
        if one is not None and other is not None and one.VR == other.VR == "SQ":
            yield from _between_items(one, other, name)
        elif one is None or other is None:
            yield Difference(name, element.VR in _TIMES, "added" if one is None else "gone")
        elif (one.VR, one.value) != (other.VR, other.value):
            yield Difference(name, element.VR in _TIMES, _told(one, other))


def _between_items(before: DataElement, after: DataElement, path: str) -> Iterator[Difference]:
    if len(before.value) != len(after.value):
        yield Difference(path, False, f"{len(before.value)} items, now {len(after.value)}")
    for place, (one, other) in enumerate(zip_longest(before.value, after.value), start=1):
        if one is not None and other is not None:
            yield from _between(one, other, f"{path}[{place}].")


def _told(before: DataElement, after: DataElement) -> str:
    is_safe = before.VR in _NUMBERS and not before.keyword.startswith("Patient")
    return f"{before.value}, now {after.value}" if is_safe or before.keyword in _VERSIONS else ""
