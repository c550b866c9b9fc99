"""What is owed to one destination, and how it answers: what a status page asks of every one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BindParameter, ColumnElement, Connection, String, and_, bindparam, func, select

from dibmg_node.domain.lifecycle import HELD, DeliveryState
from dibmg_node.storage.delivery_rows import is_unproven
from dibmg_node.storage.lacking import Lacking, count_lacking
from dibmg_node.storage.schema import Instant, deliveries


@dataclass(frozen=True)
class DestinationView:
    """What is owed to one destination, and how it answers.

    Attributes:
        more: More are owed than were counted: `lacking.MOST_COUNTED`.
        stored: Results that it has, proven or not.
        proven: Those among them that it has shown to keep.
        unproven: Those among them that it is still to show.
        doubtful: Results that it has not shown, though asked more than once.
        owed_since: Since when the oldest unsent result waits.
        failing: Results whose last attempt failed for a passing reason.
        last_stored: When it took its last result.
        comment: What it said to the result that was tried most often, else to the last that it refused.
    """

    owed: int
    more: bool
    stored: int
    proven: int
    unproven: int
    doubtful: int
    refused: int
    failing: int
    owed_since: datetime | None
    last_stored: datetime | None
    comment: str


def destination_view(
    connection: Connection, name: str, stored_since: datetime, lacking: Lacking | None
) -> DestinationView:
    """What is owed to one destination, and how it answers; arguments as those of `Views.destination`."""
    asked = {"of_destination": name, "stored_since": stored_since}
    if lacking is None:
        lacking = count_lacking(connection, datetime.max.replace(tzinfo=UTC)).get(name, Lacking())
    found = connection.execute(_HOLDS, asked).mappings().one()
    lasts = [found[f"last_{state.value}"] for state in HELD]
    return DestinationView(
        owed=lacking.owed,
        more=lacking.more,
        stored=sum(found[f"held_{state.value}"] for state in HELD),
        proven=found[f"held_{DeliveryState.PROVEN.value}"],
        unproven=lacking.unproven,
        doubtful=lacking.doubtful,
        refused=found["refused"],
        failing=lacking.failing,
        owed_since=lacking.owed_since,
        last_stored=max((at for at in lasts if at is not None), default=None),
        comment=_complaint(connection, name),
    )


def at_destination(destination: str | ColumnElement[str], state: DeliveryState) -> ColumnElement[bool]:
    """Deliveries of one destination in one state."""
    return and_(deliveries.c.destination == destination, deliveries.c.state == state.value)


def _count_held(state: DeliveryState) -> ColumnElement[int]:
    here = at_destination(_ONE, state), deliveries.c.settled_at >= bindparam("stored_since", type_=Instant)
    return select(func.count()).where(*here).scalar_subquery().label(f"held_{state.value}")


def _last_held(state: DeliveryState) -> ColumnElement[datetime]:
    last = select(func.max(deliveries.c.settled_at)).where(at_destination(_ONE, state))
    return last.scalar_subquery().label(f"last_{state.value}")


EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final[BindParameter[str]] = bindparam("of_destination", type_=String)
_HOLDS: Final = select(
    select(func.count())
    .where(at_destination(_ONE, DeliveryState.REFUSED))
    .scalar_subquery()
    .label("refused"),
    *map(_count_held, HELD),
    *map(_last_held, HELD),
)
"""Made once, and one statement: a status page asks this of every destination."""
_COMPLAINTS: Final = (
    select(deliveries.c.comment)
    .where(at_destination(_ONE, DeliveryState.OWED), deliveries.c.attempts > 0)
    .order_by(deliveries.c.attempts.desc())
    .limit(1),
    select(deliveries.c.comment)
    .where(at_destination(_ONE, DeliveryState.REFUSED), deliveries.c.attempts > 0)
    .order_by(deliveries.c.settled_at.desc())
    .limit(1),
    select(deliveries.c.comment)
    # in a form that no index answers: one by destination would be read from end to end
    .where(func.coalesce(deliveries.c.destination, "") == _ONE, is_unproven())
    # most of what is unproven was not asked for yet, and has nothing to say
    .where(deliveries.c.proof_attempts > 0)
    .order_by(deliveries.c.proof_attempts.desc())
    .limit(1),
)


def _complaint(connection: Connection, destination: str) -> str:
    """Why a destination lacks what it lacks; empty where it said nothing."""
    for query in _COMPLAINTS:
        comment: str | None = connection.execute(query, {"of_destination": destination}).scalar_one_or_none()
        if comment:
            return comment
    return ""
