"""How many studies are delivered: nearly all of them are, and counting a million takes too long.

Triggers of migration 0013 enter each change as a row of its own, so that no two transactions wait for each
other; their sum is the number. A migration that makes the table `studies` anew has to make them anew, too.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, insert, select

from dibmg_node.storage.schema import delivered_tally


class Tally:
    """Keeps the sum short."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_up(self) -> None:
        """Make one row of many; what others enter, or add up, at the same time counts once."""
        with self._engine.begin() as connection:
            rows = connection.scalars(delete(delivered_tally).returning(delivered_tally.c.change)).all()
            connection.execute(insert(delivered_tally).values(change=sum(rows)))


def count_delivered(connection: Connection) -> int:
    """Number of studies that are DELIVERED, self-tests included."""
    return int(connection.execute(select(func.coalesce(func.sum(delivered_tally.c.change), 0))).scalar_one())
