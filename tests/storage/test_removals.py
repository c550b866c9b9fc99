"""Which files of purged studies are still to go, on both databases."""

from __future__ import annotations

from dataclasses import replace

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.study import ImageKind
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Receipt
from dibmg_node.storage.removals import Removal
from tests.factories import PATIENCE, R_CC, STUDY_UID, Clock, a_result, instance, received, sop_uid
from tests.storage.life import analyze, make_ready, settle, store


def purge(ledger: Ledger, clock: Clock) -> list[Removal]:
    """A study that was read and answered is purged; what is to go of it."""
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)
    clock.advance(60)
    assert ledger.purges.purge(STUDY_UID, clock()) is not None
    return ledger.purges.removals.of(STUDY_UID)


def test_images_and_results_of_a_purged_study_are_to_go_until_they_are_gone(
    ledger: Ledger, clock: Clock
) -> None:
    removals = ledger.purges.removals

    going = purge(ledger, clock)
    standing = [removals.stands(one) for one in going]
    removals.end(going[:2])
    left = removals.of(STUDY_UID)
    removals.end(going)

    assert [one.is_result for one in going] == [False] * 4 + [True]
    assert standing == [True] * 5
    assert left == going[2:]
    assert removals.studies() == []


def test_an_image_that_came_again_is_not_to_go_any_more(ledger: Ledger, clock: Clock) -> None:
    going = purge(ledger, clock)

    receipt = ledger.receipts.store(received(instance(R_CC)), PATIENCE, clock())

    removals = ledger.purges.removals
    assert receipt is Receipt.PURGED
    assert [one.sop_uid for one in going if not removals.stands(one)] == [sop_uid(R_CC)]


def test_a_result_that_is_written_again_is_not_to_go_any_more(ledger: Ledger, clock: Clock) -> None:
    going = purge(ledger, clock)

    ledger.claims.spare(a_result().sop_uid)

    assert [one.is_result for one in going if not ledger.purges.removals.stands(one)] == [True]


def test_the_end_of_a_removal_does_not_end_that_of_a_later_purge(ledger: Ledger, clock: Clock) -> None:
    first = purge(ledger, clock)
    store(ledger, clock, [instance(R_CC)])
    clock.advance(60)
    ledger.purges.purge(STUDY_UID, clock())

    ledger.purges.removals.end(first)

    assert len(ledger.purges.removals.of(STUDY_UID)) == 5
    assert not ledger.purges.removals.stands(first[0])


def test_a_result_that_a_pacs_sent_back_goes_as_an_image_and_as_a_result(
    ledger: Ledger, clock: Clock
) -> None:
    own = a_result().sop_uid
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)
    store(ledger, clock, [replace(instance(R_CC), sop_uid=own, kind=ImageKind.OTHER)])
    clock.advance(60)

    ledger.purges.purge(STUDY_UID, clock())

    removals = ledger.purges.removals
    twice = [one for one in removals.of(STUDY_UID) if one.sop_uid == own]
    assert [(one.is_result, removals.stands(one)) for one in twice] == [(False, True), (True, True)]
