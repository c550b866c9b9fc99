"""Alarms: destinations that are owed something for too long, with a beginning and an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.delivery_rows import is_unproven
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import alarms, deliveries


@dataclass(frozen=True)
class Alarm:
    """One destination that does not take results, or does not prove them.

    Attributes:
        results: How many are owed or unproven for too long.
        since: Since when the oldest of them is owed.
    """

    destination: str
    results: int
    since: datetime


class Alarms:
    """Tells which destinations are in alarm, and remembers it, so that beginning and end are told once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def now(self, now: datetime, after: timedelta) -> list[Alarm]:
        """Destinations that have been owed something for longer than that."""
        with self._reading.connect() as connection:
            return _overdue(connection, now - after)

    def changes(self, now: datetime, after: timedelta) -> tuple[Sequence[Alarm], Sequence[str]]:
        """Alarms that have begun and names of destinations whose alarm has ended, since the last call."""
        with self._reading.connect() as connection:
            if not _differ(connection, _overdue(connection, now - after)):
                return (), ()
        with self._engine.begin() as connection:
            overdue = _overdue(connection, now - after)
            known = set(connection.scalars(select(alarms.c.destination)))
            begun = [one for one in overdue if one.destination not in known]
            ended = sorted(known - {one.destination for one in overdue})
            for one in begun:
                connection.execute(insert(alarms).values(destination=one.destination, since=now))
            connection.execute(delete(alarms).where(alarms.c.destination.in_(ended)))
            return begun, ended


def _overdue(connection: Connection, before: datetime) -> list[Alarm]:
    rows = connection.execute(
        select(deliveries.c.destination, func.count().label("results"), func.min(deliveries.c.owed_since))
        .where(
            or_(deliveries.c.state == DeliveryState.OWED.value, is_unproven()),
            deliveries.c.owed_since <= before,
        )
        .group_by(deliveries.c.destination)
        .order_by(deliveries.c.destination)
    ).all()
    return [Alarm(destination, results, since) for destination, results, since in rows]


def _differ(connection: Connection, overdue: Sequence[Alarm]) -> bool:
    known = set(connection.scalars(select(alarms.c.destination)))
    return known != {one.destination for one in overdue}
