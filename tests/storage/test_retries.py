"""What a person may have tried again."""

from __future__ import annotations

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from tests.factories import L_MLO, LEASE, STUDY_UID, Clock, a_result, instance, screening
from tests.storage.life import (
    analysis,
    analyze,
    claim,
    deliveries_of,
    make_ready,
    reason_of,
    settle,
    state_of,
)


def test_a_retry_reads_a_delivered_study_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)

    assert ledger.retries.ask(STUDY_UID, clock()) == "analysis"
    assert claim(ledger, clock).attempt == 1


def test_a_retry_of_a_failed_analysis_reads_it_again_whatever_the_destinations_owe(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.FAILED, reason="broke"))
    assert deliveries_of(ledger) == [("2.25.1", "OWED")]

    assert ledger.retries.ask(STUDY_UID, clock()) == "analysis"
    assert state_of(ledger) == "READY"


def test_a_retry_sends_what_was_refused(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")
    assert state_of(ledger) == "FAILED"

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    assert (state_of(ledger), reason_of(ledger)) == ("ANALYZED", "")
    settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == "DELIVERED"


def test_a_retry_makes_what_waits_for_its_backoff_due_at_once(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED)
    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    assert len(ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)) == 1


def test_a_retry_takes_nothing_from_a_worker_that_is_sending_it(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)


def test_a_study_that_is_being_read_cannot_be_retried(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)

    with pytest.raises(PermanentError, match="ANALYZING"):
        ledger.retries.ask(STUDY_UID, clock())


def test_a_study_that_nobody_knows_cannot_be_retried(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(PermanentError, match="no study"):
        ledger.retries.ask("1.2.3", clock())


def test_a_person_may_have_a_study_read_again_although_a_delivery_was_refused(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")

    assert ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS) is Retry.ANALYSIS
    assert state_of(ledger) == "READY"
    analyze(ledger, clock)
    assert deliveries_of(ledger) == [("2.25.1", "OWED")]


def test_a_person_may_have_everything_sent_again_to_a_destination_that_lost_it(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == "DELIVERED"

    assert ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY) is Retry.DELIVERY
    assert (state_of(ledger), deliveries_of(ledger)) == ("ANALYZED", [("2.25.1", "OWED")])


def test_nothing_can_be_sent_again_of_a_study_without_results(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    with pytest.raises(PermanentError, match="no result to deliver"):
        ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)


def test_what_another_result_has_replaced_is_not_sent_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    settle(ledger, clock, DeliveryState.STORED)
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.2")]))
    settle(ledger, clock, DeliveryState.STORED)

    ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)

    assert deliveries_of(ledger) == [("2.25.1", "STORED"), ("2.25.2", "OWED")]
