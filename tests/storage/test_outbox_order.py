"""Who goes first at a destination: one exam that breaks every association holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.outbox import Outbox
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import UNSENT, Settlement
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
        Settlement(first.sop_uid, DeliveryState.OWED, "", "no answer", in_doubt=reached, broke=reached),
        Settlement(second.sop_uid, DeliveryState.OWED, "", "no answer"),
    ]
    outbox.settle(study_uid, "pacs", said, clock())


def leave_unsent(outbox: Outbox, clock: Clock, study_uid: str, other: str = UNSENT) -> None:
    """The archive gave one result, or neither; the destination did not answer to the other one."""
    first, second = outbox.claim(study_uid, "pacs", clock(), LEASE)
    said = [
        Settlement(first.sop_uid, DeliveryState.OWED, UNSENT, "the archive cannot be read"),
        Settlement(second.sop_uid, DeliveryState.OWED, other, "no answer"),
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


def test_an_exam_that_the_archive_does_not_give_makes_no_other_wait(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD, *HEALTHY])

    leave_unsent(outbox, clock, BAD)

    assert sorted(told(outbox, clock)) == HEALTHY


def test_what_arrives_hastens_no_exam_that_the_archive_does_not_give(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD, *HEALTHY])
    leave_unsent(outbox, clock, BAD)

    arrive(outbox, clock, HEALTHY[0])

    assert sorted(told(outbox, clock)) == HEALTHY[1:]


def test_a_destination_that_is_away_is_noticed_though_the_archive_gives_only_a_part(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    owing(ledger, clock, [BAD, *HEALTHY])

    leave_unsent(outbox, clock, BAD, other="")

    assert told(outbox, clock) == []


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


@pytest.mark.parametrize("again", [Retry.ANALYSIS, None], ids=["the same images", "one more"])
def test_what_a_newer_reading_replaced_is_not_sent_after_it(
    ledger: Ledger, outbox: Outbox, clock: Clock, again: Retry | None
) -> None:
    first = analysis([a_result("2.25.9"), a_result("2.25.8", ResultKind.OVERLAY)])
    make_ready(ledger, clock, screening()[:3] if again is None else None)
    analyze(ledger, clock, first, revision=3 if again is None else 4)
    fail(outbox, clock, STUDY_UID, reached=True)
    if again is None:
        make_ready(ledger, clock, [instance(L_MLO)])
    else:
        ledger.retries.ask(STUDY_UID, clock(), again)
    held = ledger.claims.claim(STUDY_UID, 4, "worker", clock(), LEASE)
    ledger.claims.commit(held, analysis([a_result("2.25.5")]), clock())

    owed = outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    outbox.settle(STUDY_UID, "pacs", said, clock())

    # it may be there, and is known to the next reading as what that one may have to replace
    assert [one.sop_uid for one in held.delivered] == ["2.25.8"]
    assert [one.sop_uid for one in owed] == ["2.25.5"]
    assert told(outbox, clock) == []
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert study["state"] == "DELIVERED"


@pytest.mark.parametrize("answered", [DeliveryState.STORED, DeliveryState.OWED])
def test_what_is_replaced_while_it_is_sent_is_sent_once(
    ledger: Ledger, outbox: Outbox, clock: Clock, answered: DeliveryState
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.9")]))
    outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis([a_result("2.25.5")]))

    outbox.settle(STUDY_UID, "pacs", [Settlement("2.25.9", answered, "", "", in_doubt=True)], clock())
    clock.advance(60)

    assert [one.sop_uid for one in outbox.claim(STUDY_UID, "pacs", clock(), LEASE)] == ["2.25.5"]


def test_what_was_replaced_while_a_worker_that_died_sent_it_closes_its_study(
    ledger: Ledger, outbox: Outbox, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.9")]))
    outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis([a_result("2.25.5")], ["archive"]))
    arrive_at = outbox.claim(STUDY_UID, "archive", clock(), LEASE)
    outbox.settle(
        STUDY_UID, "archive", [Settlement(arrive_at[0].sop_uid, DeliveryState.STORED, "", "")], clock()
    )
    clock.advance(LEASE.total_seconds() + 1)

    assert told(outbox, clock) == [STUDY_UID]
    assert outbox.claim(STUDY_UID, "pacs", clock(), LEASE) == []
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert study["state"] == "DELIVERED"
