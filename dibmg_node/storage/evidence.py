"""What asking a destination for a proof brought, and what that changes in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, func, select, update

from dibmg_node.domain.lifecycle import DeliveryState, Proof, proof_delay, retry_delay
from dibmg_node.storage.delivery_rows import is_unproven, is_unproven_of, unlocked
from dibmg_node.storage.owing import close_if_delivered
from dibmg_node.storage.schema import deliveries
from dibmg_node.storage.study_row import note


class Finding(StrEnum):
    """What asking for one result brought, as the history has it.

    LOST results are sent again; UNPROVABLE ones will never be committed to, and need a person; of WAIVED ones
    no proof is asked any more.
    """

    PROVEN = "proven"
    WAITING = "not proven yet"
    LOST = "lost, sent again"
    UNPROVABLE = "not committed to"
    WAIVED = "no proof asked any more"


@dataclass(frozen=True)
class Evidence:
    """What was found about one result.

    Attributes:
        status: `0x0112`, or empty.
        comment: For people; holds no patient identity.
    """

    sop_uid: str
    finding: Finding
    status: str = ""
    comment: str = ""


def enter_evidence(
    connection: Connection,
    study_uid: str,
    destination: str,
    found: Sequence[Evidence],
    now: datetime,
    jitter: float,
) -> None:
    """Enter what was found about results of a study.

    A report or an analysis may have been faster than whoever asked: what is still to be proven is entered.
    """
    stored = connection.scalars(
        select(deliveries.c.result_uid).where(
            is_unproven_of(study_uid), deliveries.c.destination == destination
        )
    ).all()
    found = [one for one in found if one.sop_uid in stored]
    attempts, asked = connection.execute(
        select(func.max(deliveries.c.attempts), func.max(deliveries.c.proof_attempts)).where(
            deliveries.c.destination == destination,
            deliveries.c.result_uid.in_([one.sop_uid for one in found]),
        )
    ).one()
    sent_at = now + retry_delay(max(attempts or 0, 1), jitter)
    asked_at = now + proof_delay((asked or 0) + 1, jitter)
    changes: dict[Finding, dict[str, object]] = {
        Finding.PROVEN: {"state": DeliveryState.PROVEN.value, "settled_at": now, "next_at": None},
        Finding.WAITING: {"proof_attempts": deliveries.c.proof_attempts + 1, "next_at": asked_at},
        Finding.LOST: {
            "state": DeliveryState.OWED.value,
            "settled_at": None,
            "proof_attempts": 0,
            "proof": Proof.NONE.value,
            "next_at": sent_at,
        },
        Finding.WAIVED: {"proof": Proof.NONE.value, "next_at": None},
        Finding.UNPROVABLE: {"state": DeliveryState.REFUSED.value, "settled_at": now, "next_at": None},
    }
    for one in found:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.result_uid == one.sop_uid, deliveries.c.destination == destination)
            .values(
                **changes[one.finding],
                status=one.status or deliveries.c.status,
                comment=one.comment,
                lease_until=None,
                published_at=None,
            )
        )
    for finding in dict.fromkeys(one.finding for one in found):
        told = ", ".join(
            sorted({f"{one.status} {one.comment}".strip() for one in found if one.finding is finding} - {""})
        )
        some = sum(one.finding is finding for one in found)
        detail = f"{some} at {destination}" + (f": {told}" if told else "")
        note(connection, study_uid, finding.value, now, detail)
    close_if_delivered(connection, study_uid, now)


def postpone_proofs(connection: Connection, destination: str, now: datetime, until: datetime) -> None:
    """A destination cannot be asked: its other proofs that are due wait, too, and do not starve each other.

    Not those whose turn comes soon: many studies that cannot be asked for would take it from them.
    """
    connection.execute(
        update(deliveries)
        .where(
            unlocked(
                deliveries.c.destination == destination,
                is_unproven(),
                deliveries.c.lease_until.is_(None),
                deliveries.c.next_at <= now,
            )
        )
        .values(next_at=until, published_at=None)
    )
