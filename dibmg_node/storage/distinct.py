"""The different values of an indexed column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, Column, ColumnElement, Connection, func, select


def distinct(connection: Connection, column: Column[Any], *conditions: ColumnElement[bool]) -> list[Any]:
    """Different values in rising order, each found by one step into the index.

    A SELECT DISTINCT would read every row, and a million of them have a handful of values.

    Args:
        connection: To the ledger.
        column: First one of an index.
        conditions: Of a partial index, where it is one.
    """
    found = _stepped(column, *conditions)
    query = select(found.c.value).where(found.c.value.is_not(None)).order_by(found.c.value)
    return list(connection.scalars(query))


def last_of_each(connection: Connection, column: Column[Any], at: Column[Any]) -> dict[Any, Any]:
    """The highest value of another column, by the different values of one.

    Args:
        connection: To the ledger.
        column: First one of an index.
        at: Second one of that index.
    """
    found = _stepped(column)
    last = select(func.max(at)).where(column == found.c.value).scalar_subquery()
    query = select(found.c.value, last).where(found.c.value.is_not(None)).order_by(found.c.value)
    return dict(connection.execute(query).tuples().all())


def _stepped(column: Column[Any], *conditions: ColumnElement[bool]) -> CTE:
    """A table of the different values, and of one that is empty."""
    found = select(func.min(column).label("value")).where(*conditions).cte("found", recursive=True)
    following = select(func.min(column)).where(column > found.c.value, *conditions).scalar_subquery()
    return found.union_all(select(following).where(found.c.value.is_not(None)))
