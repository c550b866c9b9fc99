"""What comes to be owed of a study, and what no longer is, inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    false,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import DeliveryState, Proof, StudyEvent, StudyState
from dibmg_node.domain.result import Result, ResultKind, Wanted
from dibmg_node.storage.delivery_rows import HELD_STATES, UNDELIVERED, is_free, is_unproven_of
from dibmg_node.storage.schema import Instant, deliveries, results, studies
from dibmg_node.storage.study_row import apply_event, lock_study, note

_LACKED = (*UNDELIVERED, DeliveryState.CANCELED.value)
_GIVEN_UP = (DeliveryState.CANCELED.value, DeliveryState.SUPERSEDED.value)


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
    which = and_(deliveries.c.destination == destination, _is_replaced(study_uid))
    return bool(_give_up(connection, study_uid, which, now))


def _is_replaced(study_uid: str) -> ColumnElement[bool]:
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
    given_up = _give_up(connection, study_uid, and_(here, _is_unwanted(connection, study_uid, wanted)), now)
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
            deliveries.c.state.in_(_LACKED),
            is_free(now),
            which,
        )
        .values(state=DeliveryState.SUPERSEDED.value, next_at=None, settled_at=now)
    ).rowcount


def _is_unwanted(connection: Connection, study_uid: str, wanted: Wanted) -> ColumnElement[bool]:
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
    changes = {"revision": revision, "replaced_at": None} | ({} if purged else {"purged_at": None})
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

    One that was given up while a worker sent it stays in that worker's hands, or in doubt.
    """
    key = and_(deliveries.c.result_uid == sop_uid, deliveries.c.destination == destination)
    before = connection.execute(
        select(deliveries.c.state, deliveries.c.lease_until, deliveries.c.claimed_by).where(key)
    ).first()
    if before and before.state in (*HELD_STATES, DeliveryState.OWED.value):
        connection.execute(update(deliveries).where(key).values(revision=revision))
        # an earlier reading's, which holds again: it was to be proven no more
        unproven = and_(deliveries.c.state == DeliveryState.STORED.value, deliveries.c.next_at.is_(None))
        wants_proof = deliveries.c.proof != Proof.NONE.value
        connection.execute(update(deliveries).where(key, unproven, wants_proof).values(next_at=now))
        return
    given_up = before if before and before.state in _GIVEN_UP else None
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


def owe_again(
    connection: Connection,
    study_uid: str,
    now: datetime,
    *,
    even_stored: bool,
    wanted: Wanted | None = None,
    destination: str | None = None,
) -> bool:
    """Make deliveries of a study, and the proofs that are still missing, due at once.

    What a worker is sending just now stays in its hands.

    Args:
        connection: Of the transaction.
        study_uid: The study.
        now: The time.
        even_stored: Send again what destinations said that they have, too: one may have lost it. Of an
            earlier reading nothing is sent again: it would come back after what took its place.
        wanted: What destinations are to get, nothing else is sent; None: whatever they are owed.
        destination: To this one alone; None: to all.

    Returns:
        Whether there was any such delivery or proof.
    """
    here = true() if destination is None else deliveries.c.destination == destination
    unwanted = false() if wanted is None else _is_unwanted(connection, study_uid, wanted)
    missing = deliveries.c.state.in_(_LACKED)
    current = select(studies.c.revision).where(studies.c.study_uid == study_uid).scalar_subquery()
    held = and_(
        deliveries.c.state.in_(HELD_STATES), deliveries.c.revision == current, ~_is_replaced(study_uid)
    )
    again = and_(
        deliveries.c.study_uid == study_uid, or_(missing, held) if even_stored else missing, ~unwanted, here
    )
    unproven = and_(is_unproven_of(study_uid), here)
    found = connection.execute(select(deliveries.c.result_uid).where(or_(again, unproven)).limit(1)).first()
    # what was given up while a worker sent it is that worker's to settle, if it is wanted again
    not_in_hand = or_(is_free(now), deliveries.c.state == DeliveryState.CANCELED.value)
    connection.execute(
        update(deliveries)
        .where(again, not_in_hand)
        .values(
            state=DeliveryState.OWED.value,
            attempts=0,
            proof_attempts=0,
            owed_since=now,
            next_at=now,
            # what the destination said that it has, it may have still
            lease_until=case(
                (deliveries.c.state.in_(HELD_STATES), literal(now, Instant)),
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
