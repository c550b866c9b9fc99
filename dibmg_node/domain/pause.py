"""What of a node an operator may pause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Part(StrEnum):
    """A part of the node that can be paused by itself."""

    INTAKE = "intake"
    ANALYSIS = "analysis"
    DESTINATION = "destination"


@dataclass(frozen=True)
class Pause:
    """A part that does nothing, because somebody said so.

    Attributes:
        name: Of the destination; empty for the other parts.
        by: Who said so; empty where nobody has to log in.
        reason: In that one's words; may be empty.
    """

    part: Part
    name: str
    since: datetime
    by: str
    reason: str

    @property
    def sentence(self) -> str:
        """For people: what is paused, since when, by whom and why."""
        by = f" by {self.by}" if self.by else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.called} is paused since {self.since.isoformat(timespec='seconds')}{by}{why}"

    @property
    def called(self) -> str:
        """What is paused, in words."""
        return f"{self.part.value} {self.name}".strip()
