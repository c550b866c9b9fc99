"""Results and what is owed of them, inside a transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from dibmg_node.domain.lifecycle import HELD, DeliveryState, Proof
from dibmg_node.domain.result import Delivered, ResultKind
from dibmg_node.domain.study import ViewKey
from dibmg_node.storage.schema import Instant, deliveries, results, studies

UNDELIVERED = (DeliveryState.OWED.value, DeliveryState.REFUSED.value)
"""What a destination lacks and is still to get, or a person is to look at."""
LACKED = (*UNDELIVERED, DeliveryState.CANCELED.value)
"""That, and what was given up of it."""
HELD_STATES = tuple(state.value for state in HELD)


def is_owed() -> ColumnElement[bool]:
    """Deliveries that are owed, in the words of the partial index: a parameter would not match it."""
    return deliveries.c.state == literal_column(f"'{DeliveryState.OWED.value}'")


def of_study(study_uid: str, destination: str, state: DeliveryState) -> ColumnElement[bool]:
    """Deliveries of one study to one destination in one state, by the study's index alone.

    SQLite guesses that the index of a state and a time narrows more; what is owed to a destination that is
    down may be most of what there is.
    """
    return and_(
        deliveries.c.study_uid == study_uid,
        deliveries.c.destination == destination,
        func.coalesce(deliveries.c.state, "") == state.value,
    )


def is_free(now: datetime) -> ColumnElement[bool]:
    """Deliveries that no worker is sending."""
    return or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now)


def is_in_doubt() -> ColumnElement[bool]:
    """Deliveries that were in a worker's hands and are not settled: the destination may have the result.

    A lease that is over stays in its row for that, also where an operator gave the delivery up, or a later
    reading replaced the result.
    """
    unsettled = (DeliveryState.OWED.value, DeliveryState.CANCELED.value, DeliveryState.SUPERSEDED.value)
    return and_(deliveries.c.state.in_(unsettled), deliveries.c.lease_until.is_not(None))


def unlocked(*conditions: ColumnElement[bool], most: int | None = None) -> ColumnElement[bool]:
    """Deliveries of any study that meet conditions and that no other transaction is changing just now.

    Who held rows of one study and waited for those of another would, sooner or later, wait for somebody who
    waits for him (PostgreSQL; SQLite has one writer).

    Args:
        conditions: That they meet.
        most: So many of them, those that are due first; None: all.
    """
    keys = select(deliveries.c.result_uid, deliveries.c.destination).where(*conditions)
    if most is not None:
        keys = keys.order_by(deliveries.c.next_at).limit(most)
    return tuple_(deliveries.c.result_uid, deliveries.c.destination).in_(
        keys.with_for_update(skip_locked=True)
    )


def is_unproven() -> ColumnElement[bool]:
    """Deliveries that are stored and still to be proven.

    Those of results that an analysis has since replaced are not: what is no longer current needs no proof.
    Unlike what is stored for good they have a next time; the index finds the few of them by it.
    """
    return _unproven(deliveries.c.state)


def is_unproven_of(study_uid: str) -> ColumnElement[bool]:
    """The same of one study, by the study's index alone: see `of_study`."""
    return and_(deliveries.c.study_uid == study_uid, _unproven(func.coalesce(deliveries.c.state, "")))


def _unproven(state: ColumnElement[str]) -> ColumnElement[bool]:
    analyzed = (
        select(studies.c.analyzed_revision)
        .where(studies.c.study_uid == deliveries.c.study_uid)
        .correlate(deliveries)
        .scalar_subquery()
    )
    return and_(_to_prove(state), deliveries.c.revision == analyzed)


def is_to_prove() -> ColumnElement[bool]:
    """Those of `is_unproven`, and of results that an analysis has since replaced."""
    return _to_prove(deliveries.c.state)


def _to_prove(state: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(
        state == DeliveryState.STORED.value,
        deliveries.c.next_at.is_not(None),
        deliveries.c.proof != Proof.NONE.value,
    )


def delivered(
    connection: Connection, study_uid: str, before: datetime | None = None
) -> tuple[Delivered, ...]:
    """Every result of a study that a destination has or may have, oldest first.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        before: Only what it has had since before this; None: all.
    """
    # stored once, whatever the destination said when it was to prove that: it may show it still
    was_stored = and_(
        deliveries.c.state.in_((DeliveryState.REFUSED.value, DeliveryState.SUPERSEDED.value)),
        deliveries.c.proof != Proof.NONE.value,
    )
    sent = or_(deliveries.c.state.in_(HELD_STATES), is_in_doubt(), was_stored)
    since = func.coalesce(deliveries.c.settled_at, deliveries.c.owed_since)
    early = [] if before is None else [since < literal(before, Instant)]
    rows = connection.execute(
        select(results, deliveries.c.destination)
        .join(deliveries, deliveries.c.result_uid == results.c.sop_uid)
        .where(results.c.study_uid == study_uid, sent, *early)
        .order_by(since, results.c.revision, results.c.sop_uid)
    ).mappings()
    return tuple(
        Delivered(
            sop_class_uid=row["sop_class_uid"],
            sop_uid=row["sop_uid"],
            series_uid=row["series_uid"],
            kind=ResultKind(row["kind"]),
            variant=row["variant"],
            view=ViewKey.parse(row["view"]) if row["view"] else None,
            revision=row["revision"],
            destination=row["destination"],
            withdraws=row["withdraws"],
        )
        for row in rows
    )
