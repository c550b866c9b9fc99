"""Destinations that are owed something for too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, and_, func, select

from dibmg_node.storage.delivery_rows import is_owed, is_unproven
from dibmg_node.storage.distinct import distinct
from dibmg_node.storage.pauses import paused_destinations, resumed_after
from dibmg_node.storage.schema import deliveries

_COUNTED: Final = (func.count(), func.min(deliveries.c.owed_since))


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

    def before(self, moment: datetime) -> list[Overdue]:
        """Destinations owed something, or its proof, since before a moment, and not paused since then."""
        with self._engine.connect() as connection:
            excused = paused_destinations(connection) + resumed_after(connection, moment)
            # in a form that no index answers: one by destination would be read from end to end
            name = func.coalesce(deliveries.c.destination, "")
            unproven = select(name, *_COUNTED).where(is_unproven(), deliveries.c.owed_since <= moment)
            found = list(connection.execute(unproven.group_by(name)).tuples())
            for owing in distinct(connection, deliveries.c.destination, is_owed()):
                late = and_(is_owed(), deliveries.c.destination == owing, deliveries.c.owed_since <= moment)
                results, since = connection.execute(select(*_COUNTED).where(late)).one()
                found += [(owing, results, since)] if results else []
        together: dict[str, Overdue] = {}
        for destination, results, since in found:
            if destination not in excused:
                before = together.get(destination, Overdue(destination, 0, since))
                together[destination] = Overdue(
                    destination, before.results + results, min(before.since, since)
                )
        return [together[destination] for destination in sorted(together)]
