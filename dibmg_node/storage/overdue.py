"""Destinations that are owed something for too long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from dibmg_node.storage.lacking import Lacking, count_lacking
from dibmg_node.storage.pauses import paused_destinations, resumed_after


@dataclass(frozen=True)
class Overdue:
    """One destination that does not take results, or does not prove them.

    Attributes:
        results: How many are owed or unproven for too long.
        since: Since when the oldest of them is owed.
    """

    destination: str
    results: int
    since: datetime


class OverdueResults:
    """Tells which destinations have waited too long."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def before(self, moment: datetime, lacking: Mapping[str, Lacking] | None = None) -> list[Overdue]:
        """Destinations owed something, or its proof, since before a moment, and not paused since then.

        Args:
            moment: That moment.
            lacking: What was counted with it; None: it is counted now.
        """
        with self._engine.connect() as connection:
            excused = paused_destinations(connection) + resumed_after(connection, moment)
            found = count_lacking(connection, moment) if lacking is None else lacking
        return [
            Overdue(destination, one.late, one.late_since)
            for destination, one in sorted(found.items())
            if one.late_since is not None and destination not in excused
        ]
