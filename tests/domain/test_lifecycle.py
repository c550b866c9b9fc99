from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest

from dibmg_node.domain.lifecycle import (
    TRANSITIONS,
    StudyEvent,
    StudyState,
    next_state,
    retry_delay,
)
from dibmg_node.errors import LedgerConflictError


@pytest.mark.parametrize(("state", "event"), list(product(StudyState, StudyEvent)))
def test_every_event_in_every_state_is_defined_or_a_conflict(state: StudyState, event: StudyEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LedgerConflictError, match=f"{event.value}.*{state.value}"):
            next_state(state, event)


@pytest.mark.parametrize("state", list(StudyState))
def test_an_instance_is_welcome_in_every_state(state: StudyState) -> None:
    assert next_state(state, StudyEvent.INSTANCE_STORED) is StudyState.RECEIVING


def test_only_a_ready_study_can_be_claimed_and_only_a_claimed_one_reported() -> None:
    claimable = {state for state in StudyState if (state, StudyEvent.CLAIMED) in TRANSITIONS}
    reportable = {state for state in StudyState if (state, StudyEvent.REPORTED) in TRANSITIONS}

    assert (claimable, reportable) == ({StudyState.READY}, {StudyState.ANALYZING})


def test_every_state_can_be_reached_from_receiving() -> None:
    reached = {StudyState.RECEIVING}
    for _ in StudyState:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}

    assert reached == set(StudyState)


@pytest.mark.parametrize("state", [state for state in StudyState if state is not StudyState.ANALYZING])
def test_a_person_can_ask_for_a_retry_except_while_the_study_is_read(state: StudyState) -> None:
    assert next_state(state, StudyEvent.RETRY_ASKED) is StudyState.READY
    with pytest.raises(LedgerConflictError):
        next_state(StudyState.ANALYZING, StudyEvent.RETRY_ASKED)


def test_a_person_can_give_up_what_is_not_done_with_and_nothing_else() -> None:
    canceled = {state for state in StudyState if (state, StudyEvent.CANCELED) in TRANSITIONS}

    assert canceled == set(StudyState) - {StudyState.DELIVERED, StudyState.EXCLUDED, StudyState.CANCELED}


def test_retries_double_from_a_second_to_a_quarter_of_an_hour() -> None:
    delays = [retry_delay(attempts, 1.0).total_seconds() for attempts in range(1, 13)]

    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@pytest.mark.parametrize("attempts", [1, 5, 11, 100, 10**6])
def test_jitter_takes_at_most_a_quarter_off(attempts: int) -> None:
    longest = retry_delay(attempts, 1.0)

    assert retry_delay(attempts, 0.0) == 0.75 * longest
    assert longest <= timedelta(minutes=15)
