"""Destinations that are owed something for too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, or_, select

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.delivery_rows import is_unproven
from dibmg_node.storage.pauses import paused_destinations, resumed_after
from dibmg_node.storage.schema import deliveries


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
            rows = connection.execute(
                select(
                    deliveries.c.destination, func.count().label("results"), func.min(deliveries.c.owed_since)
                )
                .where(
                    or_(deliveries.c.state == DeliveryState.OWED.value, is_unproven()),
                    deliveries.c.owed_since <= moment,
                    deliveries.c.destination.not_in(excused),
                )
                .group_by(deliveries.c.destination)
                .order_by(deliveries.c.destination)
            ).all()
        return [Overdue(destination, results, since) for destination, results, since in rows]
