"""Whether a destination was reached when something was last sent to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, String, bindparam, func, select

from dibmg_node.domain.lifecycle import HELD, DeliveryState
from dibmg_node.storage.schema import deliveries, history
from dibmg_node.storage.settlement import UNSENT

NOT_SENT: Final = "not sent, tried again later"
"""Event of a study whose results a destination did not take for now."""
_LOOKED_AT: Final = 5
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class DestinationReach:
    """What sending to one destination came to.

    Attributes:
        reachable: It answered the last time, with whatever; None: nothing was sent to it so far.
        last_error: What went wrong last; empty: nothing that still matters.
        last_error_at: When that was.
    """

    reachable: bool | None
    last_error: str
    last_error_at: datetime | None


_SETTLED: Final = (*HELD, DeliveryState.REFUSED)
_ONE: Final = deliveries.c.destination == bindparam("of_destination", type_=String)
_LASTS: Final = select(
    *(
        select(func.max(deliveries.c.settled_at))
        .where(_ONE, deliveries.c.state == one.value)
        .scalar_subquery()
        for one in _SETTLED
    )
)
_TRIED: Final = (
    select(deliveries.c.study_uid, deliveries.c.comment, deliveries.c.status)
    .where(_ONE, deliveries.c.state == DeliveryState.OWED.value, deliveries.c.attempts > 0)
    .order_by(deliveries.c.attempts.desc())
    .limit(_LOOKED_AT)
)
"""Made once: a status page asks both of every destination."""


class Reach:
    """Read-only questions about how sending went; asks no destination anything."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, destination: str) -> DestinationReach:
        """How one destination was last found."""
        at_it = deliveries.c.destination == destination
        with self._engine.connect() as connection:
            lasts = connection.execute(_LASTS, {"of_destination": destination}).one()
            settled = dict(zip(_SETTLED, lasts, strict=True))
            answered = max((at for at in settled.values() if at is not None), default=None)
            failing = _failing(connection, destination)
            refused_at = settled[DeliveryState.REFUSED]
            if failing is not None:
                at, comment, status = failing
                is_newest = answered is None or (at is not None and at >= answered)
                if refused_at is None or (at is not None and at >= refused_at):
                    if status == UNSENT:
                        return DestinationReach(None if answered is None else True, comment, at)
                    return DestinationReach(bool(status) or not is_newest, comment, at)
            if refused_at is None:
                return DestinationReach(None if answered is None else True, "", None)
            refused = connection.execute(
                select(deliveries.c.comment)
                .where(at_it, deliveries.c.state == DeliveryState.REFUSED.value)
                .order_by(deliveries.c.settled_at.desc())
                .limit(1)
            ).scalar_one()
            return DestinationReach(True, refused, refused_at)


def _failing(connection: Connection, destination: str) -> tuple[datetime | None, str, str] | None:
    """The newest try that came to nothing: when, why, and the status, if it was answered.

    What was not sent at all speaks only where nothing else failed.
    """
    rows = connection.execute(_TRIED, {"of_destination": destination}).all()
    if not rows:
        return None
    tried = _tried_at(connection, [row.study_uid for row in rows], destination)
    tries = [(tried.get(row.study_uid), row.comment, row.status) for row in rows]
    return max(tries, key=lambda one: (one[2] != UNSENT, one[0] or _NEVER))


def _tried_at(connection: Connection, study_uids: Sequence[str], destination: str) -> dict[str, datetime]:
    """When studies were last sent there in vain: their own histories are short, that of all is not."""
    query = select(history.c.study_uid, func.max(history.c.at)).where(
        history.c.study_uid.in_(study_uids),
        # in a form that the index of all events does not answer
        func.coalesce(history.c.event, "") == NOT_SENT,
        history.c.detail.startswith(f"to {destination}: ", autoescape=True),
    )
    return dict(connection.execute(query.group_by(history.c.study_uid)).tuples().all())
