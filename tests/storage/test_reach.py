from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.reach import DestinationReach
from dibmg_node.storage.settlement import UNSENT, Settlement
from tests.factories import STUDY_UID, Clock, a_result
from tests.storage.life import analysis, analyze, make_ready, settle


def owing(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)


def test_of_a_destination_that_was_sent_nothing_nobody_knows(ledger: Ledger, clock: Clock) -> None:
    owing(ledger, clock)

    assert ledger.reach.of("pacs") == DestinationReach(None, "", None)


def test_one_that_stored_is_reachable(ledger: Ledger, clock: Clock) -> None:
    owing(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED, "0x0000")

    assert ledger.reach.of("pacs") == DestinationReach(True, "", None)


def test_one_that_did_not_answer_is_not_and_says_when_and_why(ledger: Ledger, clock: Clock) -> None:
    owing(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED)
    clock.advance(60)
    settle(ledger, clock, DeliveryState.OWED)
    tried = clock()
    clock.advance(60)

    assert ledger.reach.of("pacs") == DestinationReach(False, "a comment", tried)
    assert ledger.reach.of("pac") == DestinationReach(None, "", None)


def test_one_that_is_out_of_room_is_reachable_all_the_same(ledger: Ledger, clock: Clock) -> None:
    owing(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED, "0xA700")

    assert ledger.reach.of("pacs") == DestinationReach(True, "a comment", clock())


def test_what_the_archive_does_not_give_says_nothing_of_the_destination(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]))
    settle(ledger, clock, DeliveryState.OWED, UNSENT)
    before = ledger.reach.of("pacs")
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock.advance(60), timedelta(minutes=5))
    stored, unsent = DeliveryState.STORED, DeliveryState.OWED
    said = [
        Settlement(owed[0].sop_uid, stored, "0x0000", ""),
        Settlement(owed[1].sop_uid, unsent, UNSENT, "why"),
    ]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock())

    after = ledger.reach.of("pacs")
    assert (before.reachable, before.last_error) == (None, "a comment")
    assert (after.reachable, after.last_error) == (True, "why")


def test_one_that_does_not_answer_is_not_reachable_whatever_the_archive_did_not_give_since(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]))
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
    said = [
        Settlement(owed[0].sop_uid, DeliveryState.OWED, UNSENT, "why"),
        Settlement(owed[1].sop_uid, DeliveryState.OWED, "", "no answer"),
    ]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock())

    assert ledger.reach.of("pacs") == DestinationReach(False, "no answer", clock())


def test_one_that_refuses_is_reachable(ledger: Ledger, clock: Clock) -> None:
    owing(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0xC000")

    assert ledger.reach.of("pacs") == DestinationReach(True, "a comment", clock())


def test_one_that_came_back_is_reachable_though_not_all_is_sent_again_yet(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]))
    settle(ledger, clock, DeliveryState.OWED)
    failed = clock()
    clock.advance(60)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))

    ledger.outbox.settle(
        STUDY_UID, "pacs", [Settlement("2.25.2", DeliveryState.STORED, "0x0000", "")], clock()
    )

    assert ledger.reach.of("pacs") == DestinationReach(True, "a comment", failed)
