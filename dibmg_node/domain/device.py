"""The device that made an exam: manufacturer, model and software version, as its images name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from dibmg_node.domain.study import Instance

_LONGEST: Final = 64
"""Letters of a name: those of VR LO, and as many as the ledger keeps."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, order=True)
class Device:
    """A mammography unit, or a class of them: an empty name stands for any.

    Attributes:
        manufacturer: (0008,0070).
        model: Manufacturer's Model Name (0008,1090).
        software: Software Versions (0018,1020), all of them joined by blanks.
    """

    manufacturer: str = ""
    model: str = ""
    software: str = ""

    @property
    def key(self) -> Device:
        """What devices are compared by: blanks at the ends, case and invisible letters do not count."""
        return Device(*(_plain(name).casefold() for name in (self.manufacturer, self.model, self.software)))

    @property
    def classes(self) -> tuple[Device, ...]:
        """What it belongs to, from the device itself to all devices.

        A version counts within its model alone, and a model within its manufacturer. A name that nobody
        sees is none.
        """
        manufacturer, model, software = self.manufacturer, self.model, self.software
        found = [ANY_DEVICE]
        if _plain(manufacturer):
            found.append(Device(manufacturer))
            if _plain(model):
                found.append(Device(manufacturer, model))
                if _plain(software):
                    found.append(Device(manufacturer, model, software))
        return tuple(reversed(found))

    @property
    def is_consistent(self) -> bool:
        """Whether a version stands with its model, and a model with its manufacturer."""
        return self == self.classes[0]

    def __str__(self) -> str:
        name = " ".join(filter(None, (self.manufacturer, self.model)))
        return ", software ".join(filter(None, (name, self.software)))


ANY_DEVICE: Final = Device()
"""The class of all."""


def most_specific(entries: Mapping[Device, Entry], device: Device) -> Entry | None:
    """The entry of a device's version, else of its model, else of its manufacturer, else of all devices.

    Args:
        entries: By the `key` of a device or of a class.
        device: As its images name it.

    Returns:
        None where there is not even one for all.
    """
    return next((entries[one] for one in device.key.classes if one in entries), None)


def device_of(instances: Iterable[Instance]) -> Device:
    """The device that all of these images come from: names that differ among them are left out."""
    devices = [Device(i.manufacturer, i.manufacturer_model, i.software_versions) for i in instances]
    return common_device(devices)


def common_device(devices: Iterable[Device]) -> Device:
    """The narrowest class that all devices belong to, named as by the first of them."""
    given = [Device(*map(_plain, (d.manufacturer, d.model, d.software))) for d in devices]
    if not given:
        return ANY_DEVICE
    shared = set(given[0].key.classes).intersection(*(one.key.classes for one in given[1:]))
    return next(one for one in given[0].classes if one.key in shared)


def _plain(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable()).strip()[:_LONGEST].strip()
