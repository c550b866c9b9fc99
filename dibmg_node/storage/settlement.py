"""What an answer of a destination changes in the ledger, inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, and_, exists, func, update

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.storage.delivery_rows import is_free, of_study, unlocked
from dibmg_node.storage.schema import deliveries

_MOST_MOVED: Final = 2000
"""Results whose time one answer of a destination changes."""
UNSENT: Final = "not sent"
"""The status of a result that the archive did not give: it says nothing of the destination."""


@dataclass(frozen=True)
class Settlement:
    """What a destination said to one result.

    Attributes:
        state: STORED, REFUSED, or OWED for: try again later.
        status: `0x0000`, `200`, `202 0xA700` (HTTP status and the reason of this result), `UNSENT`, or
            empty where there was no answer.
        comment: For people; holds no patient identity.
        retry_after: How long the destination wants to be left alone; None where it did not say.
        in_doubt: Of a result that is still owed: it may have arrived, its answer did not.
        broke: It got no answer this time: the association ended, or its time.
    """

    sop_uid: str
    state: DeliveryState
    status: str
    comment: str
    retry_after: timedelta | None = None
    in_doubt: bool = False
    broke: bool = False


def settle_one(
    connection: Connection,
    destination: str,
    one: Settlement,
    now: datetime,
    delay: timedelta,
    proof: Proof,
) -> None:
    """Enter what was said to one result."""
    again = one.state is DeliveryState.OWED
    to_be_proven = one.state is DeliveryState.STORED and proof is not Proof.NONE
    next_at = now + delay if again else now if to_be_proven else None
    mine = and_(deliveries.c.result_uid == one.sop_uid, deliveries.c.destination == destination)
    unsettled = [DeliveryState.OWED.value]
    if one.state is DeliveryState.STORED:
        unsettled.append(DeliveryState.CANCELED.value)  # it was given up too late: the destination has it
    else:
        given_up = and_(mine, deliveries.c.state == DeliveryState.CANCELED.value)
        in_doubt = now if again and one.in_doubt else None
        connection.execute(update(deliveries).where(given_up).values(lease_until=in_doubt))
    connection.execute(
        update(deliveries)
        .where(mine, deliveries.c.state.in_(unsettled))
        .values(
            state=one.state.value,
            attempts=deliveries.c.attempts + 1,
            status=one.status,
            comment=one.comment,
            lease_until=now if again and one.in_doubt else None,
            published_at=None,
            next_at=next_at,
            settled_at=None if again else now,
            proof=(proof if to_be_proven else Proof.NONE).value,
        )
    )


def give_way(connection: Connection, study_uid: str, destination: str, now: datetime) -> None:
    """What came to be owed while this was sent may have been refused to another worker: it is told anew."""
    connection.execute(
        update(deliveries)
        .where(
            of_study(study_uid, destination, DeliveryState.OWED),
            deliveries.c.attempts == 0,
            deliveries.c.next_at <= now,
            is_free(now),
        )
        .values(published_at=None)
    )


def postpone(connection: Connection, destination: str, now: datetime, until: datetime) -> None:
    """A destination cannot be reached, or wants to be left alone: what else it is owed waits too.

    Otherwise it would starve the others. Of very much a part each time: who fails next moves the next part,
    and no writer waits for seconds.
    """
    connection.execute(
        update(deliveries)
        .where(
            unlocked(
                deliveries.c.destination == destination,
                deliveries.c.state == DeliveryState.OWED.value,
                is_free(now),
                deliveries.c.next_at < until,
                most=_MOST_MOVED,
            )
        )
        .values(next_at=until, published_at=None)
    )


def hasten(connection: Connection, destination: str, kept_back: Sequence[str], now: datetime) -> None:
    """A destination takes results: what waited for it to come back goes out now.

    Not what this send kept back: a report waits for its images, which have a delay. Nor a study that broke
    an association: it might break the next one, each time before all others. Nor what the archive did
    not give: it waits for that one. Of very much a part each time: what is sent next brings the next part.
    """
    broken = deliveries.alias("broken")
    broke_one = exists().where(
        broken.c.study_uid == deliveries.c.study_uid,
        broken.c.destination == destination,
        # by the study's index, see `of_study`
        func.coalesce(broken.c.state, "") == DeliveryState.OWED.value,
        broken.c.lease_until.is_not(None),
    )
    connection.execute(
        update(deliveries)
        .where(
            unlocked(
                deliveries.c.destination == destination,
                deliveries.c.state == DeliveryState.OWED.value,
                is_free(now),
                deliveries.c.result_uid.not_in(kept_back),
                deliveries.c.status == "",
                deliveries.c.next_at > now,
                ~broke_one,
                most=_MOST_MOVED,
            )
        )
        .values(next_at=now, published_at=None)
    )
