"""Who was turned away lately, or had instances refused: few rows, however often somebody knocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, and_, delete, insert, select, update

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import rejections

_KEPT: Final = 100
_KEY: Final = ("peer_address", "calling_aet", "called_aet", "reason")


@dataclass(frozen=True)
class Rejected:
    """One peer turned away for one reason. Every text is printable ASCII.

    Attributes:
        times: Since the first.
        at: The last time.
    """

    peer_address: str
    calling_aet: str
    called_aet: str
    reason: str
    times: int
    at: datetime


class Rejections:
    """Enters who was turned away, and tells it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def enter(self, found: Iterable[Rejected]) -> None:
        """Add to what is known; of all only the newest stay."""
        with self._engine.begin() as connection:
            for one in found:
                values: dict[str, Any] = {name: getattr(one, name) for name in _KEY}
                key = and_(*(rejections.c[name] == value for name, value in values.items()))
                known = connection.execute(
                    update(rejections).where(key).values(times=rejections.c.times + one.times, at=one.at)
                ).rowcount
                if not known:
                    connection.execute(insert(rejections).values(**values, times=one.times, at=one.at))
            newest = (
                select(rejections.c.id).order_by(rejections.c.at.desc(), rejections.c.id.desc()).limit(_KEPT)
            )
            connection.execute(delete(rejections).where(rejections.c.id.not_in(newest)))

    def newest(self, limit: int = 10) -> list[Rejected]:
        """Who was turned away last, newest first."""
        order = (rejections.c.at.desc(), rejections.c.id.desc())
        with self._reading.connect() as connection:
            rows = connection.execute(select(rejections).order_by(*order).limit(limit)).mappings()
            return [Rejected(**{name: row[name] for name in (*_KEY, "times", "at")}) for row in rows]
