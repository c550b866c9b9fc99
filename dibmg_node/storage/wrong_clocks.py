"""Times that lie further ahead than this program ever waits.

They were entered by a host whose clock was ahead, or before this one's was set back. Whoever compares times
would wait for them for as long: here they are brought back instead, beside those hot queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    Table,
    and_,
    case,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from dibmg_node.domain.lifecycle import LONGEST_RETRY, DeliveryState, StudyState
from dibmg_node.storage.delivery_rows import is_owed, is_to_prove
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import Instant, deliveries, notices, shadow_due, studies
from dibmg_node.storage.server_clock import MOST_APART, is_right

LONGEST_LEASE: Final = timedelta(minutes=5)
"""No worker takes anything for longer without renewing it, and no message is on its way for longer."""
LONGEST_ASKED: Final = timedelta(days=1)
"""No destination is left alone for longer, whatever it asks for."""


@dataclass(frozen=True)
class _Correction:
    """Rows of one table whose time cannot be right, and what they get instead."""

    table: Table
    where: ColumnElement[bool]
    values: Mapping[str, Any]


class WrongClocks:
    """Brings back what a wrong clock left ahead."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def pull_back(self, now: datetime) -> int:
        """End such leases, and have such messages and deliveries be due; how many rows.

        Nothing is done where the server says that it is the time of this machine that is wrong.
        """
        with self._reading.connect() as connection:
            # nearly always there are none, and nobody who writes waits for that answer
            found = [one for one in _corrections(now) if connection.execute(_keys(one).limit(1)).first()]
            if not found or not is_right(connection, now):
                return 0
        return sum(self._correct(one) for one in found)

    def _correct(self, one: _Correction) -> int:
        # who has a row in hand just now enters a right time, or it is found the next time
        rows = _keys(one).with_for_update(skip_locked=True)
        key = tuple_(*one.table.primary_key.columns)
        with self._engine.begin() as connection:
            return connection.execute(update(one.table).where(key.in_(rows)).values(one.values)).rowcount


def _keys(one: _Correction) -> Select[Any]:
    return select(*one.table.primary_key.columns).where(one.where)


def _corrections(now: datetime) -> Iterator[_Correction]:
    right = now + MOST_APART
    held, untold = right + LONGEST_LEASE, {"published_at": None}
    # in the words of the partial index: a parameter would not match it
    ready = studies.c.state == literal_column(f"'{StudyState.READY.value}'")
    yield _Correction(studies, and_(ready, studies.c.published_at > held), untold)
    read = studies.c.state == StudyState.ANALYZING.value
    yield _Correction(studies, and_(read, studies.c.lease_until > held), {"lease_until": now})
    due = {"next_at": now, **untold}
    yield _Correction(deliveries, and_(is_owed(), deliveries.c.next_at > right + LONGEST_ASKED), due)
    yield _Correction(deliveries, and_(is_to_prove(), deliveries.c.next_at > right + LONGEST_RETRY), due)
    canceled = deliveries.c.state == DeliveryState.CANCELED.value
    # over, not gone: the destination may have the result
    lease = case((deliveries.c.lease_until > held, literal(now, Instant)), else_=deliveries.c.lease_until)
    ahead = or_(deliveries.c.lease_until > held, deliveries.c.published_at > held)
    for open_one in (is_owed(), is_to_prove(), canceled):
        yield _Correction(deliveries, and_(open_one, ahead), {"lease_until": lease, **untold})
    late = or_(notices.c.next_at > right + LONGEST_RETRY, notices.c.lease_until > held)
    yield _Correction(notices, and_(notices.c.sent_at.is_(None), late), {"next_at": now, "lease_until": None})
    yield _Correction(shadow_due, shadow_due.c.lease_until > held, {"lease_until": None})
