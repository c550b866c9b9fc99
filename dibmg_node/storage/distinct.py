"""The different values of an indexed column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, select


def distinct(connection: Connection, column: Column[Any], *conditions: ColumnElement[bool]) -> list[Any]:
    """Different values in rising order, each found by one step into the index.

    A SELECT DISTINCT would read every row, and a million of them have a handful of values.

    Args:
        connection: To the ledger.
        column: First one of an index.
        conditions: Of a partial index, where it is one.
    """
    found = select(func.min(column).label("value")).where(*conditions).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value, *conditions).scalar_subquery()
    found = found.union_all(select(following).where(found.c.value.is_not(None)))
    query = select(found.c.value).where(found.c.value.is_not(None)).order_by(found.c.value)
    return list(connection.scalars(query))
