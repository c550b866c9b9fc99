"""The clock of the ledger's server: where those of two hosts differ, it says which of them is right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

MOST_APART: Final = timedelta(hours=1)
"""Clocks of hosts at work may differ by less: what a living one holds is not taken from it."""
_AGREES_WITHIN: Final = timedelta(minutes=1)


def server_time(connection: Connection) -> datetime | None:
    """What time the ledger's server has; None for a file, which has none."""
    if connection.dialect.name != "postgresql":
        return None
    at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return at


def is_right(connection: Connection, now: datetime) -> bool:
    """Whether this machine's time may be held against that of others: the server agrees, or there is none."""
    there = server_time(connection)
    return there is None or abs(there - now) <= _AGREES_WITHIN
