"""Results and what is owed of them, inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from dibmg_node.domain.lifecycle import HELD, DeliveryState, Proof, StudyEvent, StudyState
from dibmg_node.domain.result import Delivered, Result, ResultKind
from dibmg_node.domain.study import ViewKey
from dibmg_node.storage.schema import Instant, deliveries, results, studies
from dibmg_node.storage.study_row import apply_event, lock_study

UNDELIVERED = (DeliveryState.OWED.value, DeliveryState.REFUSED.value)
"""What a destination lacks and is still to get, or a person is to look at."""
_LACKED = (*UNDELIVERED, DeliveryState.CANCELED.value)
_HELD = tuple(state.value for state in HELD)


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

    A lease that is over stays in its row for that, also where an operator gave the delivery up.
    """
    unsettled = (DeliveryState.OWED.value, DeliveryState.CANCELED.value)
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
    sent = or_(deliveries.c.state.in_(_HELD), is_in_doubt(), was_stored)
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


def supersede(connection: Connection, study_uid: str, current: Sequence[str], now: datetime) -> None:
    """What is still owed of results that are no longer current need not be sent.

    What a worker is sending, or was when it or the destination broke off, is sent all the same: it may be
    there, the new report names it as the one that it replaces, and the ledger must say so.
    """
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.study_uid == study_uid,
            deliveries.c.state.in_(_LACKED),
            deliveries.c.result_uid.not_in(list(current)),
            deliveries.c.lease_until.is_(None),
        )
        .values(state=DeliveryState.SUPERSEDED.value, next_at=None, settled_at=now)
    )


def enter_result(
    connection: Connection,
    study_uid: str,
    revision: int,
    result: Result,
    series_uid: str,
    *,
    purged: bool = False,
) -> None:
    """Enter a result; one that is there already belongs to this revision too.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        revision: Of the study.
        result: What the archive holds now, or held before it was purged.
        series_uid: Of the result.
        purged: It is not in the archive again.
    """
    changes = {"revision": revision} if purged else {"revision": revision, "purged_at": None}
    known = connection.execute(
        update(results).where(results.c.sop_uid == result.sop_uid).values(**changes)
    ).rowcount
    if known:
        return
    connection.execute(
        insert(results).values(
            sop_uid=result.sop_uid,
            study_uid=study_uid,
            revision=revision,
            series_uid=series_uid,
            sop_class_uid=result.sop_class_uid,
            transfer_syntax_uid=result.transfer_syntax_uid,
            kind=result.kind.value,
            variant=result.variant,
            view=str(result.view) if result.view else "",
            withdraws=result.withdraws,
            sha256=result.sha256,
            size=result.size,
        )
    )


def owe(
    connection: Connection, study_uid: str, revision: int, sop_uid: str, destination: str, now: datetime
) -> None:
    """Owe a result to a destination, unless it has it or is owed it already.

    One that was given up while a worker sent it stays in that worker's hands.
    """
    key = and_(deliveries.c.result_uid == sop_uid, deliveries.c.destination == destination)
    before = connection.execute(
        select(deliveries.c.state, deliveries.c.lease_until, deliveries.c.claimed_by).where(key)
    ).first()
    if before and before.state in (*_HELD, DeliveryState.OWED.value):
        connection.execute(update(deliveries).where(key).values(revision=revision))
        return
    given_up = before if before and before.state == DeliveryState.CANCELED.value else None
    connection.execute(delete(deliveries).where(key))
    connection.execute(
        insert(deliveries).values(
            result_uid=sop_uid,
            destination=destination,
            study_uid=study_uid,
            revision=revision,
            state=DeliveryState.OWED.value,
            owed_since=now,
            next_at=now,
            published_at=now,  # by the worker that owes it; the sweep finds it where that failed
            lease_until=given_up and given_up.lease_until,
            claimed_by=given_up and given_up.claimed_by,
        )
    )


def owe_again(connection: Connection, study_uid: str, now: datetime, *, even_stored: bool) -> bool:
    """Make deliveries of a study, and the proofs that are still missing, due at once; whether there is any.

    What a worker is sending just now stays in its hands.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        now: The time.
        even_stored: Send again what destinations said that they have, too: one may have lost it. Of an
            earlier revision nothing is sent again: it would come back after what took its place.
    """
    missing = deliveries.c.state.in_(_LACKED)
    current = select(studies.c.revision).where(studies.c.study_uid == study_uid).scalar_subquery()
    held = and_(deliveries.c.state.in_(_HELD), deliveries.c.revision == current)
    wanted = and_(deliveries.c.study_uid == study_uid, or_(missing, held) if even_stored else missing)
    unproven = is_unproven_of(study_uid)
    found = connection.execute(select(deliveries.c.result_uid).where(or_(wanted, unproven)).limit(1)).first()
    # what was given up while a worker sent it is that worker's to settle, if it is wanted again
    not_in_hand = or_(is_free(now), deliveries.c.state == DeliveryState.CANCELED.value)
    connection.execute(
        update(deliveries)
        .where(wanted, not_in_hand)
        .values(
            state=DeliveryState.OWED.value,
            attempts=0,
            proof_attempts=0,
            owed_since=now,
            next_at=now,
            # what the destination said that it has, it may have still
            lease_until=case(
                (deliveries.c.state.in_(_HELD), literal(now, Instant)),
                else_=deliveries.c.lease_until,
            ),
            published_at=None,
            settled_at=None,
        )
    )
    connection.execute(
        update(deliveries)
        .where(unproven, is_free(now))
        .values(proof_attempts=0, next_at=now, published_at=None)
    )
    return found is not None


def close_if_delivered(connection: Connection, study_uid: str, now: datetime) -> None:
    """Close an ANALYZED study that owes nothing, and no proof: DELIVERED, or FAILED where one was refused."""
    row = lock_study(connection, study_uid)
    if row["state"] != StudyState.ANALYZED.value:
        return
    states = connection.execute(
        select(deliveries.c.state, deliveries.c.destination, deliveries.c.status, deliveries.c.comment)
        .where(deliveries.c.study_uid == study_uid, deliveries.c.state != DeliveryState.SUPERSEDED.value)
        .distinct()
    ).all()
    if any(state == DeliveryState.OWED.value for state, *_ in states):
        return
    unproven = select(deliveries.c.result_uid).where(is_unproven_of(study_uid))
    if connection.execute(unproven.limit(1)).first():
        return
    refused = sorted(
        {
            f"{name} refused ({status or comment})"
            for state, name, status, comment in states
            if state == DeliveryState.REFUSED.value
        }
    )
    if refused:
        reason = "; ".join(refused)
        apply_event(connection, row, StudyEvent.DELIVERY_REFUSED, now, reason, reason=reason)
    else:
        detail = "" if states else "no destination wants any result"
        apply_event(connection, row, StudyEvent.ALL_DELIVERED, now, detail)
