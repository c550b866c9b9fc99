"""How urgent a study is: what is analyzed before what."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """Most urgent first; among studies of one priority the one that waits longest comes first."""

    STAT = "stat"
    ROUTINE = "routine"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is the most urgent: how the ledger sorts."""
        return list(Priority).index(self)

    @staticmethod
    def of_rank(rank: int) -> Priority:
        """Read back what `rank` gave."""
        return list(Priority)[rank]
