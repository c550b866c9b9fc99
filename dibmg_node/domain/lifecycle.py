"""The lives of a study and of a delivery: states, events, and when to try again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

from dibmg_node.errors import LedgerConflictError

MAXIMUM_ATTEMPTS: Final = 3
"""Analyses of one revision before the study is FAILED."""

FIRST_RETRY: Final = timedelta(seconds=1)
LONGEST_RETRY: Final = timedelta(minutes=15)
FIRST_PROOF_WAIT: Final = timedelta(minutes=1)
"""How long a first proof is waited for, or a first one that failed is left alone."""


class StudyState(StrEnum):
    """Where a study stands."""

    RECEIVING = "RECEIVING"
    READY = "READY"
    ANALYZING = "ANALYZING"
    ANALYZED = "ANALYZED"
    DELIVERED = "DELIVERED"
    EXCLUDED = "EXCLUDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class StudyEvent(StrEnum):
    """What can happen to a study."""

    INSTANCE_STORED = "instance stored"
    COMPLETE = "complete"
    CLAIMED = "claimed"
    REPORTED = "reported"
    EXCLUDED = "excluded"
    ATTEMPT_FAILED = "attempt failed"
    PUT_OFF = "put off"
    GIVEN_UP = "given up"
    ALL_DELIVERED = "all delivered"
    DELIVERY_REFUSED = "delivery refused"
    RETRY_ASKED = "retry asked"
    REDELIVERY_ASKED = "redelivery asked"
    CANCELED = "canceled"


class DeliveryState(StrEnum):
    """Where one result stands with one destination.

    STORED is what its answer to the sending said; PROVEN what it said when it was asked afterwards, where the
    destination is to be asked. CANCELED was owed or refused until an operator gave it up.
    """

    OWED = "OWED"
    STORED = "STORED"
    PROVEN = "PROVEN"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"
    CANCELED = "CANCELED"


HELD: Final = (DeliveryState.STORED, DeliveryState.PROVEN)
"""The destination has the result, as far as anybody knows."""


class Proof(StrEnum):
    """How a destination shows that it keeps what it said it had stored."""

    NONE = "none"
    COMMITMENT = "commitment"
    QUERY = "query"


_S, _E = StudyState, StudyEvent

TRANSITIONS: Final[Mapping[tuple[StudyState, StudyEvent], StudyState]] = {
    **{(state, _E.INSTANCE_STORED): _S.RECEIVING for state in StudyState},
    (_S.RECEIVING, _E.COMPLETE): _S.READY,
    (_S.READY, _E.CLAIMED): _S.ANALYZING,
    (_S.ANALYZING, _E.REPORTED): _S.ANALYZED,
    (_S.ANALYZING, _E.EXCLUDED): _S.EXCLUDED,
    (_S.ANALYZING, _E.ATTEMPT_FAILED): _S.READY,
    (_S.ANALYZING, _E.PUT_OFF): _S.READY,
    (_S.ANALYZING, _E.GIVEN_UP): _S.FAILED,
    (_S.ANALYZED, _E.ALL_DELIVERED): _S.DELIVERED,
    (_S.ANALYZED, _E.DELIVERY_REFUSED): _S.FAILED,
    **{(state, _E.RETRY_ASKED): _S.READY for state in StudyState if state is not _S.ANALYZING},
    (_S.FAILED, _E.REDELIVERY_ASKED): _S.ANALYZED,
    (_S.DELIVERED, _E.REDELIVERY_ASKED): _S.ANALYZED,
    (_S.CANCELED, _E.REDELIVERY_ASKED): _S.ANALYZED,
    **{
        (state, _E.CANCELED): _S.CANCELED
        for state in (_S.RECEIVING, _S.READY, _S.ANALYZING, _S.ANALYZED, _S.FAILED)
    },
}
"""The only definition of a study's life."""


def next_state(state: StudyState, event: StudyEvent) -> StudyState:
    """The state after an event.

    Raises:
        LedgerConflictError: The event cannot happen in this state; someone else was faster.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError as error:
        raise LedgerConflictError(f"{event.value!r} cannot happen to a study that is {state}") from error


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """How long to wait before the next attempt: 1 s, doubled each time, at most 15 minutes.

    Args:
        attempts: Attempts made so far, at least 1.
        jitter: 0..1; spreads the delay over its upper quarter so that many deliveries do not come at once.
    """
    doubled = FIRST_RETRY * (1 << min(attempts - 1, 20))
    return min(doubled, LONGEST_RETRY) * (0.75 + 0.25 * jitter)


def proof_delay(attempts: int, jitter: float) -> timedelta:
    """How long to wait before a proof is asked for again: 1 min, doubled each time, at most 15 minutes.

    Args:
        attempts: Attempts made so far, at least 1.
        jitter: 0..1, as for `retry_delay`.
    """
    doubled = FIRST_PROOF_WAIT * (1 << min(attempts - 1, 10))
    return min(doubled, LONGEST_RETRY) * (0.75 + 0.25 * jitter)
