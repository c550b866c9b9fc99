"""What an operator decides about one study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import Settlement
from tests.factories import (
    L_MLO,
    LEASE,
    PATIENCE,
    R_CC,
    START,
    STUDY_UID,
    Clock,
    a_result,
    instance,
    received,
    screening,
)
from tests.storage.life import (
    analysis,
    analyze,
    claim,
    deliveries_of,
    make_ready,
    reason_of,
    settle,
    state_of,
    store,
)

WHY = "canceled by anna: sent by mistake"


def cancel(ledger: Ledger, clock: Clock) -> int:
    return ledger.decisions.cancel(STUDY_UID, WHY, clock())


def priority_of(ledger: Ledger, study_uid: str = STUDY_UID) -> str:
    study = ledger.views.study(study_uid)
    assert study is not None
    return str(study["priority"])


def test_a_study_that_waits_is_given_up_with_the_reason_and_nobody_is_told_of_it(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)

    given_up = cancel(ledger, clock)

    assert (given_up, state_of(ledger), reason_of(ledger)) == (0, "CANCELED", WHY)
    assert ledger.claims.unpublished(clock(), clock()) == []
    with pytest.raises(LedgerConflictError):
        claim(ledger, clock)
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert (study["timeline"][-1]["event"], study["timeline"][-1]["detail"]) == ("canceled", WHY)


def test_a_study_whose_images_still_come_is_not_completed_once_it_is_given_up(
    ledger: Ledger, clock: Clock
) -> None:
    store(ledger, clock, screening()[:2])
    cancel(ledger, clock)

    completed = ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))

    assert (completed, state_of(ledger)) == (0, "CANCELED")


def test_a_further_image_opens_a_study_that_was_given_up(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    cancel(ledger, clock)

    store(ledger, clock, [instance(L_MLO)])

    assert (state_of(ledger), ledger.views.study(STUDY_UID)["reason"][:6]) == ("RECEIVING", "furthe")  # type: ignore[index]


def test_the_worker_that_analyzes_a_study_loses_it_when_it_is_given_up(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)
    cancel(ledger, clock)

    with pytest.raises(LedgerConflictError):
        ledger.claims.renew(held, clock(), LEASE)
    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(held, analysis(), clock())
    assert (state_of(ledger), deliveries_of(ledger)) == ("CANCELED", [])


@pytest.mark.parametrize("claimed", [False, True])
def test_a_retry_has_a_study_analyzed_that_was_given_up_before_that(
    ledger: Ledger, clock: Clock, claimed: bool
) -> None:
    make_ready(ledger, clock)
    if claimed:
        claim(ledger, clock)
    cancel(ledger, clock)

    tried = ledger.retries.ask(STUDY_UID, clock())

    assert (tried, state_of(ledger), reason_of(ledger)) == (Retry.ANALYSIS, "READY", "")
    assert claim(ledger, clock).attempt == 1


def test_another_analysis_that_was_asked_for_and_given_up_is_what_a_retry_brings_back(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    cancel(ledger, clock)

    tried = ledger.retries.ask(STUDY_UID, clock())

    assert (tried, state_of(ledger)) == (Retry.ANALYSIS, "READY")


@pytest.mark.parametrize("state", [DeliveryState.OWED, DeliveryState.REFUSED])
def test_what_a_destination_lacks_is_given_up_and_a_retry_brings_it_back(
    ledger: Ledger, clock: Clock, state: DeliveryState
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, state)

    given_up = cancel(ledger, clock)
    canceled = (state_of(ledger), reason_of(ledger), deliveries_of(ledger))
    due = ledger.outbox.due(clock.advance(3600), clock())
    view = ledger.views.destination("pacs")
    tried = ledger.retries.ask(STUDY_UID, clock())

    assert (given_up, due, view.owed, view.refused) == (1, [], 0, 0)
    assert canceled == ("CANCELED", WHY, [("2.25.1", "CANCELED")])
    assert (tried, state_of(ledger), reason_of(ledger)) == (Retry.DELIVERY, "ANALYZED", "")
    settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == "DELIVERED"


def test_of_a_study_that_was_not_read_only_the_answer_is_given_up(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="no mammogram"))

    given_up = cancel(ledger, clock)

    assert given_up == 1
    assert (state_of(ledger), reason_of(ledger)) == ("EXCLUDED", "no mammogram")
    assert deliveries_of(ledger) == [("2.25.1", "CANCELED")]


def test_of_a_delivered_study_nothing_can_be_given_up(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)

    with pytest.raises(PermanentError, match="is DELIVERED: nothing of it waits"):
        cancel(ledger, clock)


def test_a_study_is_not_given_up_twice(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    cancel(ledger, clock)

    with pytest.raises(PermanentError, match="is CANCELED: nothing of it waits"):
        cancel(ledger, clock)


def test_a_study_that_nobody_knows_can_neither_be_given_up_nor_hurried(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(PermanentError, match="no study"):
        cancel(ledger, clock)
    with pytest.raises(PermanentError, match="no study"):
        ledger.decisions.set_priority(STUDY_UID, Priority.STAT, "anna", clock())


@pytest.mark.parametrize(
    ("answer", "in_doubt", "state"),
    [
        (DeliveryState.STORED, False, "STORED"),
        (DeliveryState.OWED, False, "CANCELED"),
        (DeliveryState.OWED, True, "CANCELED"),
        (DeliveryState.REFUSED, False, "CANCELED"),
    ],
)
def test_what_is_sent_while_it_is_given_up_counts_as_there_where_it_may_be_there(
    ledger: Ledger, clock: Clock, answer: DeliveryState, in_doubt: bool, state: str
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    cancel(ledger, clock)

    settlement = Settlement(one.sop_uid, answer, "", "", in_doubt=in_doubt)
    ledger.outbox.settle(STUDY_UID, "pacs", [settlement], clock())

    assert (state_of(ledger), deliveries_of(ledger)) == ("CANCELED", [("2.25.1", state)])
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    may_be_there = [known.sop_uid for known in claim(ledger, clock).delivered]
    assert may_be_there == (["2.25.1"] if in_doubt or state == "STORED" else [])


def test_a_retry_wants_again_what_a_worker_still_sends_though_it_was_given_up(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    cancel(ledger, clock)

    ledger.retries.ask(STUDY_UID, clock())
    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock())

    assert state_of(ledger) == "DELIVERED"


@pytest.mark.parametrize("made", ["2.25.1", "2.25.2"])
def test_what_is_made_after_a_cancellation_waits_for_the_worker_that_still_sends(
    ledger: Ledger, clock: Clock, made: str
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@a")
    cancel(ledger, clock)
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis([a_result(made)]))

    with pytest.raises(LedgerConflictError, match="is being sent"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@b")
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock() + LEASE, LEASE, "delivery@b")

    assert (one.sop_uid, one.in_doubt) == (made, made == "2.25.1")


def test_a_worker_keeps_what_is_given_up_for_as_long_as_it_sends_it(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@a")
    cancel(ledger, clock)

    ledger.outbox.renew(STUDY_UID, "pacs", clock.advance(LEASE.total_seconds() - 1), LEASE, "delivery@a")
    ledger.retries.ask(STUDY_UID, clock.advance(2))

    with pytest.raises(LedgerConflictError, match="is being sent"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@b")


def test_what_was_given_up_in_the_hands_of_a_worker_that_starts_anew_holds_nobody_up(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@a")
    cancel(ledger, clock)

    ledger.outbox.release("delivery@a", clock())
    still_given_up = deliveries_of(ledger)
    ledger.retries.ask(STUDY_UID, clock())

    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@b")
    assert (still_given_up, one.in_doubt) == ([("2.25.1", "CANCELED")], True)


def test_studies_are_told_of_by_priority_and_then_by_how_long_they_wait(ledger: Ledger, clock: Clock) -> None:
    wanted = [
        ("1.2.1", Priority.LOW),
        ("1.2.2", Priority.ROUTINE),
        ("1.2.3", Priority.ROUTINE),
        ("1.2.4", Priority.STAT),
    ]
    for study_uid, priority in wanted:
        one = received(instance(R_CC, study_uid=study_uid, sop_uid=f"{study_uid}.9"))
        ledger.receipts.store(replace(one, priority=priority), PATIENCE, clock.advance(1))
    ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))

    told = ledger.claims.unpublished(clock(), START)

    assert told == [(uid, 1, priority) for uid, priority in (wanted[3], wanted[1], wanted[2], wanted[0])]


def test_the_most_urgent_image_makes_a_study_urgent_until_an_operator_says_otherwise(
    ledger: Ledger, clock: Clock
) -> None:
    steps = []
    for number, priority in enumerate((Priority.LOW, Priority.STAT, Priority.ROUTINE)):
        one = received(instance(R_CC, sop_uid=f"1.2.{number}"))
        ledger.receipts.store(replace(one, priority=priority), PATIENCE, clock())
        steps.append(priority_of(ledger))

    before = ledger.decisions.set_priority(STUDY_UID, Priority.LOW, "anna", clock())
    late = replace(received(instance(R_CC, sop_uid="1.2.9")), priority=Priority.STAT)
    ledger.receipts.store(late, PATIENCE, clock())

    assert steps == ["low", "stat", "stat"]
    assert (before, priority_of(ledger)) == (Priority.STAT, "low")


def test_a_study_whose_priority_is_set_is_told_of_anew_and_its_timeline_says_by_whom(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.claims.unpublished(clock(), START)

    ledger.decisions.set_priority(STUDY_UID, Priority.STAT, "anna", clock())

    assert ledger.claims.unpublished(clock(), START) == [(STUDY_UID, 4, Priority.STAT)]
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert study["timeline"][-1]["event"] == "priority set"
    assert study["timeline"][-1]["detail"] == "stat by anna"


def test_results_of_urgent_studies_are_told_of_first(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.decisions.set_priority(STUDY_UID, Priority.LOW, "", clock())
    urgent = replace(received(instance(R_CC, study_uid="1.2.9", sop_uid="1.2.9.1")), priority=Priority.STAT)
    ledger.receipts.store(urgent, PATIENCE, clock())
    ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))
    held = ledger.claims.claim("1.2.9", 1, "worker", clock(), LEASE)
    ledger.claims.commit(held, analysis([a_result("2.25.2")]), clock())

    due = ledger.outbox.due(clock(), clock())

    assert [study_uid for study_uid, *_ in due] == ["1.2.9", STUDY_UID]
    assert ledger.outbox.priority_of("1.2.9") is Priority.STAT
