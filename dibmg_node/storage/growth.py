"""How fast the archive fills: bytes that came in lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Engine, ScalarSelect, Table, func, select

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
        newest = (
            select(studies.c.study_uid, studies.c.last_instance_at)
            .where(studies.c.last_instance_at >= since, is_patients())
            .order_by(studies.c.last_instance_at.desc())
            .limit(_STUDIES)
            .cte("newest")
        )

        def size(held: Table, *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
            of_newest = held.join(newest, newest.c.study_uid == held.c.study_uid)
            total = select(func.coalesce(func.sum(held.c.size), 0)).select_from(of_newest)
            return total.where(*conditions).scalar_subquery()

        query = select(
            func.count().label("studies"),
            func.min(newest.c.last_instance_at).label("oldest"),
            select(func.min(studies.c.received_at)).scalar_subquery().label("first"),
            size(instances, instances.c.received_at >= since).label("images"),
            size(results).label("results"),
        ).select_from(newest)
        with self._engine.connect() as connection:
            found = connection.execute(query).one()
        if not found.studies:
            return Inflow(0, WINDOW)
        begin = found.oldest if found.studies == _STUDIES else max(since, found.first)
        return Inflow(int(found.images) + int(found.results), max(now - begin, _SHORTEST))
