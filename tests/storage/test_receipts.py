from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.study import ImageKind
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Receipt
from tests.factories import L_MLO, PATIENCE, R_CC, STUDY_UID, Clock, instance, received, screening
from tests.storage.life import analysis, analyze, claim, make_ready, settle, state_of, store


def study_of(ledger: Ledger, study_uid: str = STUDY_UID) -> dict[str, object]:
    study = ledger.views.study(study_uid)
    assert study is not None
    return study


def test_the_first_instance_opens_its_study(ledger: Ledger, clock: Clock) -> None:
    receipt = ledger.receipts.store(received(instance()), PATIENCE, clock())

    assert receipt is Receipt.NEW
    assert (study_of(ledger)["state"], study_of(ledger)["revision"]) == ("RECEIVING", 1)


def test_the_same_bytes_again_are_a_duplicate_and_change_nothing(ledger: Ledger, clock: Clock) -> None:
    ledger.receipts.store(received(instance()), PATIENCE, clock())
    before = study_of(ledger)

    receipt = ledger.receipts.store(received(instance()), PATIENCE, clock.advance(1))

    assert receipt is Receipt.DUPLICATE
    assert study_of(ledger) == before


@pytest.mark.parametrize(("crc32", "size"), [(2, 100), (1, 101)])
def test_other_bytes_under_a_known_uid_are_different(
    ledger: Ledger, clock: Clock, crc32: int, size: int
) -> None:
    ledger.receipts.store(received(instance()), PATIENCE, clock())

    receipt = ledger.receipts.store(received(instance(), crc32, size), PATIENCE, clock())

    assert receipt is Receipt.DIFFERENT
    assert ledger.receipts.known(instance().sop_uid, size, crc32) is Receipt.DIFFERENT
    assert study_of(ledger)["revision"] == 1


def test_an_unknown_instance_is_new(ledger: Ledger) -> None:
    assert ledger.receipts.known("1.2.3", 1, 1) is Receipt.NEW


def test_a_quarantine_is_in_the_history(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock, [instance()])

    ledger.receipts.quarantined(STUDY_UID, instance().sop_uid, clock())

    assert study_of(ledger)["timeline"][-1]["event"] == "quarantined"  # type: ignore[index]


def test_a_study_with_its_four_views_is_ready_two_seconds_after_the_last(
    ledger: Ledger, clock: Clock
) -> None:
    store(ledger, clock)

    too_early = ledger.receipts.complete_due(clock.advance(1.999))
    in_time = ledger.receipts.complete_due(clock.advance(0.001))

    assert (too_early, in_time, state_of(ledger)) == (0, 1, "READY")


def test_a_study_with_its_four_views_is_ready_once_its_sender_is_done(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock)

    ledger.receipts.sender_done([STUDY_UID], clock())

    assert ledger.receipts.complete_due(clock()) == 1


def test_a_sender_that_is_done_ends_no_wait_for_a_missing_view(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock, screening()[:3])

    ledger.receipts.sender_done([STUDY_UID], clock())

    assert ledger.receipts.complete_due(clock.advance(59.9)) == 0
    assert ledger.receipts.complete_due(clock.advance(0.1)) == 1


def test_four_views_of_which_one_cannot_be_read_are_waited_for(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock, [*screening()[:3], instance(L_MLO, kind=ImageKind.FOR_PROCESSING)])

    assert ledger.receipts.complete_due(clock.advance(3)) == 0


def test_every_instance_starts_the_quiet_time_anew(ledger: Ledger, clock: Clock) -> None:
    for one in screening()[:3]:
        store(ledger, clock, [one])
        clock.advance(50)

    assert ledger.receipts.complete_due(clock()) == 0
    assert ledger.receipts.complete_due(clock.advance(10)) == 1


def test_no_study_waits_longer_than_the_cap(ledger: Ledger, clock: Clock) -> None:
    first = clock()
    for number in range(7):
        store(ledger, clock, [instance(R_CC, sop_uid=f"1.2.{number}")])
        clock.advance(49)

    assert clock() - first > PATIENCE.longest
    assert ledger.receipts.complete_due(first + PATIENCE.longest - timedelta(seconds=1)) == 0
    assert ledger.receipts.complete_due(first + PATIENCE.longest) == 1


def test_a_study_does_not_wait_for_the_time_by_which_the_clock_was_set_back(
    ledger: Ledger, clock: Clock
) -> None:
    clock.advance(8 * 3600)
    store(ledger, clock, screening()[:3])

    clock.advance(-8 * 3600)

    assert ledger.receipts.complete_due(clock()) == 1


def test_a_study_received_by_a_clock_a_little_ahead_waits_its_quiet_time(
    ledger: Ledger, clock: Clock
) -> None:
    store(ledger, clock, screening()[:3])

    assert ledger.receipts.complete_due(clock.advance(-5)) == 0
    assert ledger.receipts.complete_due(clock.advance(64.9)) == 0
    assert ledger.receipts.complete_due(clock.advance(0.1)) == 1


@pytest.mark.parametrize("finished", ["READY", "ANALYZING", "ANALYZED", "DELIVERED"])
def test_a_late_mammogram_reopens_the_study_one_revision_on(
    ledger: Ledger, clock: Clock, finished: str
) -> None:
    make_ready(ledger, clock, screening()[:3])
    if finished != "READY":
        held = claim(ledger, clock, revision=3)
    if finished in ("ANALYZED", "DELIVERED"):
        ledger.claims.give_back(held, "", clock())
        analyze(ledger, clock, revision=3)
    if finished == "DELIVERED":
        settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == finished

    store(ledger, clock, [instance(L_MLO)])

    assert (state_of(ledger), study_of(ledger)["revision"]) == ("RECEIVING", 4)
    assert ledger.receipts.complete_due(clock.advance(2)) == 1


def test_a_reopened_study_waits_anew_from_its_late_instance(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:2])

    store(ledger, clock, [screening()[2]])

    assert ledger.receipts.complete_due(clock.advance(59)) == 0
    assert ledger.receipts.complete_due(clock.advance(1)) == 1


def test_a_late_object_that_is_no_mammogram_leaves_a_finished_study_alone(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)

    store(ledger, clock, [instance(sop_uid="1.2.7", kind=ImageKind.OTHER, modality="SR")])

    assert (state_of(ledger), study_of(ledger)["revision"]) == ("ANALYZED", 4)


def test_a_late_object_that_is_no_mammogram_has_its_verdict_at_once(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)
    store(ledger, clock, [instance(sop_uid="1.2.7", kind=ImageKind.SECONDARY_CAPTURE, modality="OT")])

    ledger.claims.commit(held, analysis(), clock())

    codes = {one["sop_uid"]: one["code"] for one in study_of(ledger)["instances"]}  # type: ignore[attr-defined]
    assert codes["1.2.7"] == "SECONDARY_CAPTURE"
    assert set(codes.values()) == {"USED", "SECONDARY_CAPTURE"}


def test_an_object_that_is_no_mammogram_counts_while_its_study_is_received(
    ledger: Ledger, clock: Clock
) -> None:
    store(ledger, clock, [instance(), instance(sop_uid="1.2.7", kind=ImageKind.OTHER, modality="SR")])

    assert study_of(ledger)["revision"] == 2


def test_thirty_two_associations_store_at_once_without_a_locked_database(
    ledger: Ledger, clock: Clock
) -> None:
    def send(number: int) -> list[Receipt]:
        study_uid = f"1.2.{number % 8}"
        return [
            ledger.receipts.store(
                received(instance(sop_uid=f"{study_uid}.{number}.{image}", study_uid=study_uid)),
                PATIENCE,
                clock(),
            )
            for image in range(6)
        ]

    with ThreadPoolExecutor(32) as pool:
        receipts = [receipt for sent in pool.map(send, range(32)) for receipt in sent]

    assert receipts == [Receipt.NEW] * 192
    assert {study_of(ledger, f"1.2.{n}")["revision"] for n in range(8)} == {24}


def test_associations_of_one_process_do_not_leave_it_to_sqlite_to_try_again(
    ledger: Ledger, clock: Clock
) -> None:
    """Where SQLite waits, it sleeps ever longer; here it may not wait at all."""
    event.listen(ledger.engine, "connect", _without_waiting)

    def send(number: int) -> list[Receipt]:
        stored = [received(instance(sop_uid=f"1.2.{number}.{image}")) for image in range(6)]
        return [ledger.receipts.store(one, PATIENCE, clock()) for one in stored]

    with ThreadPoolExecutor(16) as pool:
        receipts = [receipt for sent in pool.map(send, range(16)) for receipt in sent]

    assert receipts == [Receipt.NEW] * 96


def _without_waiting(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA busy_timeout=0")


def test_of_many_associations_with_one_instance_one_is_new(ledger: Ledger, clock: Clock) -> None:
    with ThreadPoolExecutor(16) as pool:
        receipts = list(
            pool.map(lambda _: ledger.receipts.store(received(instance()), PATIENCE, clock()), range(16))
        )

    assert sorted(receipt.name for receipt in receipts) == ["DUPLICATE"] * 15 + ["NEW"]
    assert study_of(ledger)["revision"] == 1
