"""What is no longer owed of a study, inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select, true, update

from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind, Wanted
from dibmg_node.storage.delivery_rows import LACKED, is_free
from dibmg_node.storage.schema import deliveries, results
from dibmg_node.storage.study_row import note


def supersede(
    connection: Connection, study_uid: str, current: Mapping[str, Collection[str]], now: datetime
) -> None:
    """What is owed of results that no longer hold, or to who is not to get them, is neither sent nor proven.

    What was on its way when a worker or the destination broke off may be there all the same: the new report
    names it as the one that it replaces, see `is_in_doubt`. What a worker is sending just now is its own:
    `let_go` has what becomes of it.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        current: Names of the destinations that get each result of the reading, by its SOP Instance UID.
        now: The time.
    """
    elsewhere = [
        and_(deliveries.c.result_uid == sop_uid, deliveries.c.destination.not_in(list(names)))
        for sop_uid, names in current.items()
    ]
    _give_up(connection, study_uid, or_(deliveries.c.result_uid.not_in(list(current)), *elsewhere), now)
    connection.execute(
        update(results)
        .where(
            results.c.study_uid == study_uid,
            results.c.sop_uid.not_in(list(current)),
            results.c.replaced_at.is_(None),
        )
        .values(replaced_at=now)
    )
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.study_uid == study_uid,
            deliveries.c.state == DeliveryState.STORED.value,
            deliveries.c.result_uid.not_in(list(current)),
            deliveries.c.next_at.is_not(None),
        )
        .values(next_at=None)
    )


def let_go(connection: Connection, study_uid: str, destination: str, now: datetime) -> bool:
    """What was being sent while a later reading replaced it, and did not arrive, is not sent any more.

    Returns:
        Whether there was any.
    """
    which = and_(deliveries.c.destination == destination, is_replaced(study_uid))
    return bool(_give_up(connection, study_uid, which, now))


def is_replaced(study_uid: str) -> ColumnElement[bool]:
    """Deliveries of results of a study that a later reading has replaced, even one of the same images."""
    replaced = and_(results.c.study_uid == study_uid, results.c.replaced_at.is_not(None))
    return deliveries.c.result_uid.in_(select(results.c.sop_uid).where(replaced))


def give_up_unwanted(
    connection: Connection, study_uid: str, wanted: Wanted, now: datetime, destination: str | None = None
) -> bool:
    """What destinations lack of a study and are not to get any more is not owed; whether there was any.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        wanted: What destinations are to get.
        now: The time.
        destination: What this one lacks; None: what any lacks.
    """
    here = true() if destination is None else deliveries.c.destination == destination
    given_up = _give_up(connection, study_uid, and_(here, is_unwanted(connection, study_uid, wanted)), now)
    if given_up:
        told = f"{counted(given_up, 'result')} that the configuration has nobody for any more"
        note(connection, study_uid, "deliveries given up", now, told)
    return bool(given_up)


def _give_up(connection: Connection, study_uid: str, which: ColumnElement[bool], now: datetime) -> int:
    """Some of what destinations lack of a study, in nobody's hands, is owed no more; how many deliveries."""
    return connection.execute(
        update(deliveries)
        .where(
            deliveries.c.study_uid == study_uid,
            deliveries.c.state.in_(LACKED),
            is_free(now),
            which,
        )
        .values(state=DeliveryState.SUPERSEDED.value, next_at=None, settled_at=now)
    ).rowcount


def is_unwanted(connection: Connection, study_uid: str, wanted: Wanted) -> ColumnElement[bool]:
    """Deliveries of a study that their destinations are not to get any more."""
    rows = connection.execute(
        select(deliveries.c.result_uid, deliveries.c.destination, results.c.kind, results.c.variant)
        .join(results, results.c.sop_uid == deliveries.c.result_uid)
        # what takes back something else goes to who has that
        .where(deliveries.c.study_uid == study_uid, results.c.withdraws == "")
    ).all()
    unwanted = [
        and_(deliveries.c.result_uid == row.result_uid, deliveries.c.destination == row.destination)
        for row in rows
        if (ResultKind(row.kind), row.variant) not in wanted.get(row.destination, ())
    ]
    return or_(deliveries.c.destination.not_in(list(wanted)), *unwanted)
