"""What comes to be owed of a study, inside a transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
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

from dibmg_node.domain.lifecycle import DeliveryState, Proof, StudyEvent, StudyState
from dibmg_node.domain.result import Result, Wanted
from dibmg_node.storage.delivery_rows import HELD_STATES, LACKED, is_free, is_unproven_of
from dibmg_node.storage.giving_up import is_replaced, is_unwanted
from dibmg_node.storage.schema import Instant, deliveries, results, studies
from dibmg_node.storage.study_row import apply_event, lock_study

_GIVEN_UP = (DeliveryState.CANCELED.value, DeliveryState.SUPERSEDED.value)


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
    unwanted = false() if wanted is None else is_unwanted(connection, study_uid, wanted)
    missing = deliveries.c.state.in_(LACKED)
    current = select(studies.c.revision).where(studies.c.study_uid == study_uid).scalar_subquery()
    held = and_(
        deliveries.c.state.in_(HELD_STATES), deliveries.c.revision == current, ~is_replaced(study_uid)
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
