"""How fast the archive fills: bytes that came in lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, func, select

from dibmg_node.storage.schema import instances, results, studies
from dibmg_node.storage.selftests import is_patients

WINDOW: Final = timedelta(days=1)
"""Looked back: nights and lunches are in it."""
_SHORTEST: Final = timedelta(hours=1)
_STUDIES: Final = 200


@dataclass(frozen=True)
class Inflow:
    """What came in.

    Attributes:
        size: Bytes of images, and of the results made of them.
        over: In this time.
    """

    size: int
    over: timedelta

    @property
    def bytes_per_hour(self) -> float:
        """On average."""
        return self.size / (self.over / timedelta(hours=1))


class Growth:
    """Read-only questions about what comes in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lately(self, now: datetime) -> Inflow:
        """Bytes of the studies of the last day, or, where those are many, of the newest of them.

        A node that has been receiving for less than a day is asked for that time alone, at least an hour.
        """
        since = now - WINDOW
        with self._engine.connect() as connection:
            newest = connection.execute(
                select(studies.c.study_uid, studies.c.last_instance_at)
                .where(studies.c.last_instance_at >= since, is_patients())
                .order_by(studies.c.last_instance_at.desc())
                .limit(_STUDIES)
            ).all()
            first = connection.execute(select(func.min(studies.c.received_at))).scalar_one()
            if not newest:
                return Inflow(0, WINDOW)
            uids = [row.study_uid for row in newest]
            size = 0
            for held in (instances, results):
                query = select(func.coalesce(func.sum(held.c.size), 0)).where(held.c.study_uid.in_(uids))
                if held is instances:
                    query = query.where(held.c.received_at >= since)
                size += int(connection.execute(query).scalar_one())
        begin = newest[-1].last_instance_at if len(newest) == _STUDIES else max(since, first)
        return Inflow(size, max(now - begin, _SHORTEST))
