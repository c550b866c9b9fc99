"""An audit trail of a test's own, to look into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dibmg_node.services.audit import Auditor
from dibmg_node.services.pseudonyms import Pseudonyms
from dibmg_node.storage.trail import Trail
from dibmg_node.storage.trail_reading import Bookmark, read_on

PSEUDONYMS = Pseudonyms(b"a key of some length")


@dataclass(frozen=True)
class AuditTrail:
    """An auditor that writes into a folder."""

    folder: Path
    auditor: Auditor

    @property
    def lines(self) -> list[Mapping[str, Any]]:
        """Everything entered so far."""
        return list(read_on(self.folder, Bookmark(), 10_000)[0])

    @property
    def names(self) -> list[str]:
        """The event of each line."""
        return [line["name"] for line in self.lines]

    def of(self, name: str) -> Mapping[str, Any]:
        """The one line of an event."""
        (found,) = (line for line in self.lines if line["name"] == name)
        return found


def new_audit(folder: Path, now: Callable[[], datetime]) -> AuditTrail:
    """An empty trail."""
    trail = Trail(folder / "audit", "test@host")
    auditor = Auditor(trail, "DIBMG", PSEUDONYMS, now, {"pacs": "10.1.2.3"})
    return AuditTrail(folder / "audit", auditor)
