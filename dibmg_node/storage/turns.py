"""Turns: what one process of all machines does at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import turns
from dibmg_node.storage.server_clock import is_right


class Turns:
    """Says whose turn it is; who does not come back in time loses it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def take(self, name: str, owner: str, now: datetime, lease: timedelta) -> bool:
        """Take a turn, or go on with one; whether it is the owner's.

        Costs a transaction where it changes hands, and when half of its time is over. One that lies further
        ahead than two hosts whose leases hold can differ by is that of a wrong clock, and over.
        """
        with self._reading.connect() as connection:
            row = connection.execute(select(turns).where(turns.c.name == name)).one_or_none()
            over = row is None or row.until <= now
            if row is not None and row.until > now + 2 * lease:
                over = is_right(connection, now)
        if row is not None and not over:
            if row.owner != owner:
                return False
            if row.until - now > lease / 2:
                return True
        try:
            with self._engine.begin() as connection:
                if row is None:
                    connection.execute(insert(turns).values(name=name, owner=owner, until=now + lease))
                    return True
                same = and_(turns.c.name == name, turns.c.owner == row.owner, turns.c.until == row.until)
                taken = connection.execute(
                    update(turns).where(same).values(owner=owner, until=now + lease)
                ).rowcount
                return taken == 1
        except IntegrityError:
            return False  # another one was faster

    def give_up(self, name: str, owner: str) -> None:
        """End a turn on purpose: the next one need not wait."""
        with self._engine.begin() as connection:
            connection.execute(delete(turns).where(turns.c.name == name, turns.c.owner == owner))
