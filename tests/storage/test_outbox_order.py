"""Who goes first at a destination: one exam that breaks every association holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.outbox import Outbox
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_MLO, PATIENCE, STUDY_UID, Clock, a_result, instance, received, screening
from tests.storage.life import analysis, analyze, make_ready

LEASE = timedelta(minutes=5)
BAD, *HEALTHY = (f"1.2.9.{number}" for number in range(4))


@pytest.fixture
def outbox(ledger: Ledger) -> Outbox:
    """An outbox whose backoff has no chance in it."""
    return Outbox(ledger.engine, lambda: 1.0)


def owing(ledger: Ledger, clock: Clock, study_uids: Sequence[str]) -> None:
    """Studies of one image that owe a report and an overlay each, the first for the longest time."""
    for study_uid in study_uids:
        image = instance(L_MLO, study_uid=study_uid, sop_uid=f"{study_uid}.1")
        ledger.receipts.store(received(image), PATIENCE, clock())
        ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))
        number = study_uid.rpartition(".")[2]
        two = [a_result(f"2.25.{number}1"), a_result(f"2.25.{number}2", ResultKind.OVERLAY)]
        held = ledger.claims.claim(study_uid, 1, "worker", clock(), LEASE)
        ledger.claims.commit(held, analysis(two), clock())


def fail(outbox: Outbox, clock: Clock, study_uid: str, *, reached: bool) -> None:
    """A send without any answer: the association broke with the first result, or there was none."""
    first, second = outbox.claim(study_uid, "pacs", clock(), LEASE)
    said = [
        Settlement(first.sop_uid, DeliveryState.OWED, "", "no answer", in_doubt=reached),
        Settlement(second.sop_uid, DeliveryState.OWED, "", "no answer"),
    ]
    outbox.settle(study_uid, "pacs", said, clock())


def arrive(outbox: Outbox, clock: Clock, study_uid: str) -> None:
    owed = outbox.claim(study_uid, "pacs", clock(), LEASE)
    outbox.settle(
        study_uid,
        "pacs",
        [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed],
        clock(),
    )


def told(outbox: Outbox, clock: Clock) -> list[str]:
    """Studies in the order in which a worker hears of them."""
    return [study_uid for study_uid, *_ in outbox.due(clock(), clock())]


def test_an_exam_that_breaks_the_association_makes_no_other_wait_as_long(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD])
    for _ in range(8):
        fail(outbox, clock, BAD, reached=True)
        clock.advance(256)
    owing(ledger, clock, HEALTHY)
    clock.advance(600)

    fail(outbox, clock, BAD, reached=True)
    clock.advance(1)

    assert sorted(told(outbox, clock)) == HEALTHY


def test_what_arrives_hastens_no_exam_that_broke_the_association(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD])
    for _ in range(8):
        fail(outbox, clock, BAD, reached=True)
        clock.advance(256)
    owing(ledger, clock, HEALTHY)
    clock.advance(600)
    fail(outbox, clock, BAD, reached=True)
    clock.advance(1)

    arrive(outbox, clock, HEALTHY[0])

    assert sorted(told(outbox, clock)) == HEALTHY[1:]


def test_what_waited_for_a_destination_to_come_back_goes_out_when_something_arrives(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD, *HEALTHY])
    for study_uid in HEALTHY:
        for _ in range(3):
            fail(outbox, clock, study_uid, reached=False)
            clock.advance(4)
    fail(outbox, clock, HEALTHY[0], reached=False)
    clock.advance(8)

    arrive(outbox, clock, HEALTHY[1])

    assert sorted(told(outbox, clock)) == [BAD, HEALTHY[0], HEALTHY[2]]


def test_an_older_report_that_may_be_there_is_sent_before_the_newer_one(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, analysis([a_result("2.25.9"), a_result("2.25.8", ResultKind.OVERLAY)]), revision=3)
    fail(outbox, clock, STUDY_UID, reached=True)
    owed = outbox.claim(STUDY_UID, "pacs", clock.advance(60), LEASE)
    broke = [Settlement(one.sop_uid, DeliveryState.OWED, "", "no answer", in_doubt=True) for one in owed]
    outbox.settle(STUDY_UID, "pacs", broke, clock())
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.5"), a_result("2.25.7", ResultKind.OVERLAY)]))

    owed = outbox.claim(STUDY_UID, "pacs", clock.advance(60), LEASE)

    assert [one.sop_uid for one in owed] == ["2.25.8", "2.25.9", "2.25.7", "2.25.5"]
