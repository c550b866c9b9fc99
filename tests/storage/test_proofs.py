from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.proofs import Proofs
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.schema import deliveries
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_MLO, PATIENCE, START, STUDY_UID, Clock, a_result, instance, received
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

LEASE = timedelta(minutes=5)
TWO = [a_result(), a_result("2.25.2", ResultKind.OVERLAY)]
REPORT, OVERLAY = "2.25.1", "2.25.2"
BAD, WORSE, HEALTHY = (f"1.2.9.{number}" for number in range(3))
WAITING = [Evidence(REPORT, Finding.WAITING, comment="later"), Evidence(OVERLAY, Finding.WAITING)]


@pytest.fixture
def proofs(ledger: Ledger, clock: Clock) -> Proofs:
    """Two results are stored by `pacs`, which is to prove them; the backoff has no chance in it."""
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO))
    store(ledger, clock)
    return Proofs(ledger.engine, lambda: 1.0)


def store(ledger: Ledger, clock: Clock, proof: Proof = Proof.COMMITMENT) -> None:
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock(), proof)


def store_of(ledger: Ledger, clock: Clock, study_uid: str) -> None:
    """A study of one image whose report is stored, and to be proven."""
    image = instance(L_MLO, study_uid=study_uid, sop_uid=f"{study_uid}.1")
    ledger.receipts.store(received(image), PATIENCE, clock())
    ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))
    held = ledger.claims.claim(study_uid, 1, "worker", clock(), LEASE)
    ledger.claims.commit(held, analysis([a_result(f"{study_uid}.2")]), clock())
    (owed,) = ledger.outbox.claim(study_uid, "pacs", clock(), LEASE)
    stored = [Settlement(owed.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(study_uid, "pacs", stored, clock(), Proof.QUERY)


def fail(proofs: Proofs, clock: Clock, study_uid: str) -> None:
    """Asking for the proof of a study came to nothing."""
    (one,) = proofs.claim(study_uid, "pacs", clock(), LEASE)
    proofs.settle(study_uid, "pacs", [Evidence(one.sop_uid, Finding.WAITING)], clock(), unreachable=True)


def due(proofs: Proofs, clock: Clock) -> set[str]:
    return {study_uid for study_uid, *_ in proofs.due(clock(), clock())}


def ask(proofs: Proofs, clock: Clock, transaction_uid: str = "2.25.77") -> None:
    claimed = proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    proofs.ask(STUDY_UID, "pacs", transaction_uid, [one.sop_uid for one in claimed], clock())
    proofs.settle(STUDY_UID, "pacs", WAITING, clock())


def lost(sop_uid: str) -> dict[str, Evidence]:
    return {sop_uid: Evidence(sop_uid, Finding.LOST, "0x0112", "no such object instance")}


def next_tries(ledger: Ledger, clock: Clock) -> set[float]:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    moments = [datetime.fromisoformat(one["next_at"]) for one in study["deliveries"] if one["next_at"]]
    return {(moment - clock()).total_seconds() for moment in moments}


def test_a_study_is_delivered_once_everything_is_proven(proofs: Proofs, ledger: Ledger, clock: Clock) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)

    proofs.settle(STUDY_UID, "pacs", [Evidence(REPORT, Finding.PROVEN)], clock())
    half = state_of(ledger)
    proofs.settle(STUDY_UID, "pacs", [Evidence(OVERLAY, Finding.PROVEN)], clock())

    assert (half, state_of(ledger)) == ("ANALYZED", "DELIVERED")
    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "PROVEN")]


def test_a_proof_is_due_at_once_and_claimed_by_one_worker(proofs: Proofs, clock: Clock) -> None:
    due = proofs.due(clock(), START)

    claimed = proofs.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert due == [(STUDY_UID, 4, "pacs")]
    assert [one.sop_uid for one in claimed] == [REPORT, OVERLAY]
    assert proofs.due(clock.advance(299), clock()) == []
    with pytest.raises(LedgerConflictError):
        proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    assert len(proofs.claim(STUDY_UID, "pacs", clock.advance(1), LEASE)) == 2


def test_it_is_known_since_when_a_proof_is_lacking(proofs: Proofs, ledger: Ledger, clock: Clock) -> None:
    stored = clock()
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    proofs.settle(STUDY_UID, "pacs", [Evidence(REPORT, Finding.PROVEN)], clock.advance(60))

    assert proofs.lacking_since(STUDY_UID, "pacs") == stored
    assert proofs.lacking_since(STUDY_UID, "pac") is None
    proofs.settle(STUDY_UID, "pacs", [Evidence(OVERLAY, Finding.PROVEN)], clock())
    assert proofs.lacking_since(STUDY_UID, "pacs") is None


def test_what_needs_no_proof_is_never_due(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO))

    settle(ledger, clock, DeliveryState.STORED)

    assert state_of(ledger) == "DELIVERED"
    assert ledger.proofs.due(clock.advance(9999), clock()) == []


def test_each_failure_to_ask_waits_twice_as_long_up_to_a_quarter_of_an_hour(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    waits = []

    for _ in range(6):
        proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
        proofs.settle(STUDY_UID, "pacs", WAITING, clock(), unreachable=True)
        (wait,) = next_tries(ledger, clock)
        waits.append(wait)
        clock.advance(wait)

    assert waits == [60, 120, 240, 480, 900, 900]
    assert state_of(ledger) == "ANALYZED"
    assert ledger.views.destination("pacs").doubtful == 2


def test_a_study_that_cannot_be_asked_for_makes_no_other_wait_as_long(ledger: Ledger, clock: Clock) -> None:
    proofs = Proofs(ledger.engine, lambda: 1.0)
    store_of(ledger, clock, BAD)
    for wait in (60, 120, 240, 480):
        fail(proofs, clock, BAD)
        clock.advance(wait)
    store_of(ledger, clock, HEALTHY)

    fail(proofs, clock, BAD)

    assert due(proofs, clock) == set()
    clock.advance(60)
    assert due(proofs, clock) == {HEALTHY}


def test_many_that_cannot_be_asked_for_take_no_turn_from_another(ledger: Ledger, clock: Clock) -> None:
    proofs = Proofs(ledger.engine, lambda: 1.0)
    for study_uid in (BAD, WORSE, HEALTHY):
        store_of(ledger, clock, study_uid)
    fail(proofs, clock, BAD)
    clock.advance(30)
    ledger.retries.ask(WORSE, clock())

    fail(proofs, clock, WORSE)

    clock.advance(30)
    assert HEALTHY in due(proofs, clock)


def test_what_was_not_asked_for_yet_is_no_complaint_whatever_storing_it_said(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(update(deliveries).values(comment="elements discarded"))

    assert ledger.views.destination("pacs").comment == ""
    with ledger.engine.begin() as connection:
        connection.execute(update(deliveries).values(comment="not found", proof_attempts=1))
    assert ledger.views.destination("pacs").comment == "not found"
    assert ledger.views.destination("pac").comment == ""


def test_a_report_proves_what_it_names_and_sends_what_failed_again(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)

    known = proofs.report("2.25.77", {REPORT}, lost(OVERLAY), clock.advance(3))

    assert known
    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "OWED")]
    assert next_tries(ledger, clock) == {1}
    assert ledger.views.destination("pacs").comment == "no such object instance"
    clock.advance(1)
    assert [one.sop_uid for one in ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)] == [OVERLAY]


def test_a_late_report_does_not_send_again_what_an_analysis_has_replaced(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)
    make_ready(ledger, clock, [instance(L_MLO, sop_uid="1.2.99")])
    analyze(ledger, clock, analysis([a_result("2.25.9")]), revision=5)

    proofs.report("2.25.77", set(), lost(REPORT) | lost(OVERLAY), clock.advance(3))

    assert deliveries_of(ledger)[:2] == [(REPORT, "STORED"), (OVERLAY, "STORED")]


def test_what_was_stored_and_could_not_be_proven_may_be_shown_and_has_to_be_replaced(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    never = [Evidence(one, Finding.UNPROVABLE, "0x0122", "class not supported") for one in (REPORT, OVERLAY)]
    proofs.settle(STUDY_UID, "pacs", never, clock())
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)

    claimed = claim(ledger, clock)

    assert {one.sop_uid for one in claimed.delivered} == {REPORT, OVERLAY}


def test_what_is_committed_to_and_denied_at_once_is_denied(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)

    proofs.report("2.25.77", {REPORT, OVERLAY}, lost(OVERLAY), clock())

    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "OWED")]


def test_a_report_that_nobody_asked_for_changes_nothing(proofs: Proofs, ledger: Ledger, clock: Clock) -> None:
    ask(proofs, clock)

    assert not proofs.report("2.25.78", {REPORT, OVERLAY}, {}, clock())
    assert proofs.report("2.25.77", {"1.2.3.4"}, lost("1.2.3.5"), clock())

    assert deliveries_of(ledger) == [(REPORT, "STORED"), (OVERLAY, "STORED")]


def test_a_report_faster_than_the_response_to_its_request_stands(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    proofs.ask(STUDY_UID, "pacs", "2.25.77", [REPORT, OVERLAY], clock())
    before = proofs.is_open("2.25.77")
    proofs.report("2.25.77", {REPORT, OVERLAY}, {}, clock())

    proofs.settle(STUDY_UID, "pacs", WAITING, clock())

    assert (before, proofs.is_open("2.25.77")) == (True, False)
    assert state_of(ledger) == "DELIVERED"


def test_an_answer_that_comes_after_it_was_asked_anew_counts(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)
    clock.advance(60)
    ask(proofs, clock, "2.25.78")

    proofs.report("2.25.77", {REPORT, OVERLAY}, {}, clock())

    assert state_of(ledger) == "DELIVERED"


def test_an_old_report_says_nothing_of_what_was_sent_again_since(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)
    proofs.report("2.25.77", {REPORT}, lost(OVERLAY), clock())
    clock.advance(1)
    store(ledger, clock)

    proofs.report("2.25.77", {REPORT}, lost(OVERLAY), clock())

    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "STORED")]


def test_what_will_never_be_committed_to_fails_the_study_and_says_why(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)
    never = Evidence(OVERLAY, Finding.UNPROVABLE, "0x0122", "SOP class not supported")

    proofs.report("2.25.77", {REPORT}, {OVERLAY: never}, clock())

    assert (state_of(ledger), reason_of(ledger)) == ("FAILED", "pacs refused (0x0122)")


def test_proof_that_is_no_longer_asked_is_waived(proofs: Proofs, ledger: Ledger, clock: Clock) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)

    waived = [Evidence(uid, Finding.WAIVED) for uid in (REPORT, OVERLAY)]
    proofs.settle(STUDY_UID, "pacs", waived, clock())

    assert state_of(ledger) == "DELIVERED"
    assert deliveries_of(ledger) == [(REPORT, "STORED"), (OVERLAY, "STORED")]


def test_results_that_are_no_longer_current_need_no_proof(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock, [instance(L_MLO, sop_uid="1.2.99")])
    analyze(ledger, clock, analysis([a_result("2.25.3")]), revision=5)
    settle(ledger, clock, DeliveryState.STORED)

    assert proofs.due(clock(), clock()) == []
    assert state_of(ledger) == "DELIVERED"


def test_a_result_that_is_proven_is_not_owed_again_by_a_later_reading(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    proofs.settle(STUDY_UID, "pacs", [Evidence(u, Finding.PROVEN) for u in (REPORT, OVERLAY)], clock())

    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis(TWO))

    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "PROVEN")]
    assert state_of(ledger) == "DELIVERED"


def test_a_retry_asks_for_the_proof_that_is_missing_at_once(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    ask(proofs, clock)

    tried = ledger.retries.ask(STUDY_UID, clock())

    assert tried is Retry.DELIVERY
    assert proofs.due(clock(), START) == [(STUDY_UID, 4, "pacs")]
    assert deliveries_of(ledger) == [(REPORT, "STORED"), (OVERLAY, "STORED")]


def test_a_worker_that_starts_frees_the_proofs_that_the_last_one_asked_for(
    proofs: Proofs, ledger: Ledger, clock: Clock
) -> None:
    proofs.claim(STUDY_UID, "pacs", clock(), LEASE)

    ledger.outbox.release("", clock())

    assert len(proofs.claim(STUDY_UID, "pacs", clock(), LEASE)) == 2
