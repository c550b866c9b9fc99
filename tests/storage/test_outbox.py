from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.outbox import Outbox
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_MLO, PATIENCE, START, STUDY_UID, Clock, a_result, instance, received, screening
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


@pytest.fixture
def outbox(ledger: Ledger) -> Outbox:
    """An outbox whose backoff has no chance in it."""
    return Outbox(ledger.engine, lambda: 1.0)


def test_what_is_owed_is_told_by_its_worker_and_by_the_sweep_where_that_was_lost(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO, ["pacs", "archive"]))

    first = ledger.outbox.due(clock(), START)
    later = ledger.outbox.due(clock.advance(15), clock())
    again = ledger.outbox.due(clock(), START)

    assert first == []
    assert sorted(later) == [(STUDY_UID, 4, "archive"), (STUDY_UID, 4, "pacs")]
    assert again == []


def test_results_are_handed_out_with_the_report_last(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO))

    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert [(one.sop_uid, one.kind) for one in owed] == [("2.25.2", "overlay"), ("2.25.1", "cad-sr")]


def test_what_a_study_owes_goes_out_together_again_after_any_number_of_attempts(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO))

    for _ in range(12):
        owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
        assert [one.kind for one in owed] == ["overlay", "cad-sr"]
        away = [Settlement(one.sop_uid, DeliveryState.OWED, "", "away") for one in owed]
        ledger.outbox.settle(STUDY_UID, "pacs", away, clock())
        clock.advance(900)


def test_a_destination_that_cannot_be_reached_is_not_tried_for_each_of_its_studies(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO, ["pacs", "archive"]))
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    (first, second) = owed
    away = Settlement(first.sop_uid, DeliveryState.OWED, "", "away")
    ledger.outbox.release("", clock())

    ledger.outbox.settle(STUDY_UID, "pacs", [away], clock())

    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    assert len(ledger.outbox.claim(STUDY_UID, "archive", clock(), LEASE)) == 2
    stored = Settlement(second.sop_uid, DeliveryState.STORED, "0x0000", "")
    ledger.outbox.settle(STUDY_UID, "pacs", [stored], clock())
    assert [one.sop_uid for one in ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)] == [first.sop_uid]


def test_a_report_that_waits_for_its_image_is_not_hastened_by_another_that_arrived(
    ledger: Ledger, clock: Clock
) -> None:
    results = [*TWO, a_result("2.25.3", ResultKind.OVERLAY)]
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(results))
    *images, report = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [
        Settlement(images[0].sop_uid, DeliveryState.STORED, "0x0000", ""),
        Settlement(images[1].sop_uid, DeliveryState.OWED, "0xA700", "full"),
        Settlement(report.sop_uid, DeliveryState.OWED, "", "waits for its images"),
    ]

    ledger.outbox.settle(STUDY_UID, "pacs", said, clock())

    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)


def test_two_workers_cannot_hold_one_delivery(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    with pytest.raises(LedgerConflictError, match="is being sent"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock.advance(299), LEASE)


def test_a_worker_that_does_not_come_back_loses_its_delivery(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert len(ledger.outbox.claim(STUDY_UID, "pacs", clock.advance(300), LEASE)) == 1


def test_one_destination_does_not_wait_for_another(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["pacs", "archive"]))
    settle(ledger, clock, DeliveryState.OWED)

    assert len(ledger.outbox.claim(STUDY_UID, "archive", clock(), LEASE)) == 1


def test_an_unknown_study_or_destination_is_a_conflict(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)

    for study_uid, destination in (("1.2.3", "pacs"), (STUDY_UID, "elsewhere")):
        with pytest.raises(LedgerConflictError):
            ledger.outbox.claim(study_uid, destination, clock(), LEASE)


def test_each_failure_waits_twice_as_long_up_to_a_quarter_of_an_hour(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    waits = []

    for _ in range(13):
        outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
        outbox.settle(
            STUDY_UID, "pacs", [Settlement("2.25.1", DeliveryState.OWED, "", "no connection")], clock()
        )
        study = ledger.views.study(STUDY_UID)
        assert study is not None
        waits.append(_seconds_until(study["deliveries"][0]["next_at"], clock))
        clock.advance(waits[-1] - 0.001)
        assert outbox.due(clock(), START) == []
        clock.advance(0.001)
        assert outbox.due(clock(), START) == [(STUDY_UID, 4, "pacs")]

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def _seconds_until(moment: str, clock: Clock) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(moment) - clock()).total_seconds()


def test_attempts_have_no_end_by_count(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)

    for _ in range(30):
        settle(ledger, clock, DeliveryState.OWED)
        clock.advance(900)

    assert deliveries_of(ledger) == [("2.25.1", "OWED")]
    assert state_of(ledger) == "ANALYZED"


def test_a_study_whose_results_are_all_stored_is_delivered(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO, ["pacs", "archive"]))

    settle(ledger, clock, DeliveryState.STORED)
    half = state_of(ledger)
    settle(ledger, clock, DeliveryState.STORED, destination="archive")

    assert (half, state_of(ledger)) == ("ANALYZED", "DELIVERED")


def test_a_study_of_which_a_result_was_refused_is_failed_and_says_by_whom(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO, ["pacs", "archive"]))

    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")
    waiting = state_of(ledger)
    settle(ledger, clock, DeliveryState.STORED, destination="archive")

    assert (waiting, state_of(ledger)) == ("ANALYZED", "FAILED")
    assert reason_of(ledger) == "pacs refused (0x0122)"


def test_a_refusal_without_a_status_reads_as_well(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)

    settle(ledger, clock, DeliveryState.REFUSED)

    assert reason_of(ledger) == "pacs refused (a comment)"


@pytest.mark.parametrize("outcome", [Outcome.EXCLUDED, Outcome.FAILED])
def test_an_unread_study_stays_what_it_is_when_its_report_is_delivered(
    ledger: Ledger, clock: Clock, outcome: Outcome
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=outcome, reason="why"))

    settle(ledger, clock, DeliveryState.STORED)

    assert (state_of(ledger), reason_of(ledger)) == (outcome.value.upper(), "why")
    assert deliveries_of(ledger) == [("2.25.1", "STORED")]


def test_a_result_that_was_superseded_stays_so_whatever_is_settled(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.2")]))

    ledger.outbox.settle(
        STUDY_UID, "pacs", [Settlement("2.25.1", DeliveryState.STORED, "0x0000", "")], clock()
    )

    assert deliveries_of(ledger) == [("2.25.1", "SUPERSEDED"), ("2.25.2", "OWED")]
    assert state_of(ledger) == "ANALYZED"


def test_nothing_of_a_study_is_sent_while_it_is_read_anew(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])
    claim(ledger, clock)

    due = ledger.outbox.due(clock(), clock())
    with pytest.raises(LedgerConflictError, match="is being read"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert due == []


def test_a_delivery_settled_while_its_study_was_reopened_closes_nothing(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    make_ready(ledger, clock, [instance(L_MLO)])

    ledger.outbox.settle(
        STUDY_UID, "pacs", [Settlement("2.25.1", DeliveryState.STORED, "0x0000", "")], clock()
    )

    assert state_of(ledger) == "READY"


def test_a_worker_that_starts_frees_what_the_last_one_held(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.due(clock(), START)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert ledger.outbox.release("", clock()) == 1
    assert ledger.outbox.due(clock(), START) == [(STUDY_UID, 4, "pacs")]
    assert len(ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)) == 1


def test_a_wait_that_a_destination_asks_for_is_kept_and_everything_else_for_it_waits_as_long(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(TWO, ["pacs", "archive"]))
    first = outbox.claim(STUDY_UID, "archive", clock(), LEASE)[0]
    outbox.release("", clock())
    busy = Settlement(first.sop_uid, DeliveryState.OWED, "503", "busy", timedelta(minutes=10))

    outbox.settle(STUDY_UID, "archive", [busy], clock())

    assert {destination for *_, destination in outbox.due(clock.advance(599), clock())} == {"pacs"}
    assert len(outbox.claim(STUDY_UID, "archive", clock.advance(1), LEASE)) == 2


def test_a_wait_that_is_shorter_than_the_backoff_does_not_shorten_it(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    for _ in range(6):
        outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
        busy = Settlement("2.25.1", DeliveryState.OWED, "429", "busy", timedelta(seconds=1))
        outbox.settle(STUDY_UID, "pacs", [busy], clock())
        clock.advance(32)

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    assert _seconds_until(study["deliveries"][0]["next_at"], clock) == 0
    assert study["deliveries"][0]["status"] == "429"


def test_an_http_status_and_the_reason_of_a_result_are_kept(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)

    settle(ledger, clock, DeliveryState.REFUSED, "202 0x0122")

    assert reason_of(ledger) == "pacs refused (202 0x0122)"


def test_what_came_to_be_owed_while_a_study_is_sent_waits_for_that_and_is_told_anew(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(hours=1), "delivery@a")
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.2")]))

    with pytest.raises(LedgerConflictError, match="is being sent"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@b")
    said = [Settlement("2.25.1", DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock())

    assert ledger.outbox.due(clock(), START) == [(STUDY_UID, 4, "pacs")]
    (left,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@b")
    assert left.sop_uid == "2.25.2"


def test_a_worker_that_starts_frees_its_own_deliveries_alone(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@a")

    assert ledger.outbox.release("delivery@b", clock()) == 0
    assert ledger.outbox.release("delivery@a", clock()) == 1


def test_a_worker_that_lost_its_delivery_does_not_keep_it_from_the_one_that_has_it(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE, "delivery@a")
    ledger.outbox.claim(STUDY_UID, "pacs", clock.advance(301), LEASE, "delivery@b")

    ledger.outbox.renew(STUDY_UID, "pacs", clock.advance(299), LEASE, "delivery@a")

    assert ledger.outbox.claim(STUDY_UID, "pacs", clock.advance(2), LEASE, "delivery@c")


def test_the_most_urgent_results_are_told_of_first_however_many_wait(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(f"2.25.{number}") for number in range(501)]))
    urgent = received(instance(L_MLO, study_uid="1.2.9", sop_uid="1.2.9.1"))
    ledger.receipts.store(replace(urgent, priority=Priority.STAT), PATIENCE, clock())
    ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))
    held = ledger.claims.claim("1.2.9", 1, "worker", clock(), LEASE)
    ledger.claims.commit(held, analysis([a_result("2.25.999")]), clock())

    told = ledger.outbox.due(clock.advance(15), clock())

    assert told == [("1.2.9", 1, "pacs"), (STUDY_UID, 4, "pacs")]
