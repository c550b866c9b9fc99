"""The whole examination, group after group; one that cannot be carried out says so and keeps none from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.doctor import (
    certificates,
    clock,
    configuration,
    confinement,
    disk,
    listening,
    machine,
    model,
    peers,
    permissions,
    stores,
)
from dibmg_node.doctor.verdict import Check, Verdict, bad
from dibmg_node.errors import DibmgError

GROUPS: Final[tuple[tuple[str, Check], ...]] = (
    ("configuration", configuration.examine),
    ("listening", listening.examine),
    ("peers", peers.examine),
    ("clock", clock.examine),
    ("disk", disk.examine),
    ("machine", machine.examine),
    ("model", model.examine),
    ("certificates", certificates.examine),
    ("permissions", permissions.examine),
    ("confinement", confinement.examine),
    ("stores", stores.examine),
)


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at everything; nothing is changed but a file that is written into the data folder, and removed."""
    for group, check in GROUPS:
        try:
            yield from check(settings)
        except (DibmgError, OSError) as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            yield bad(
                group, told, "a check that comes to its end", f"see what keeps '{group}' from being checked"
            )
