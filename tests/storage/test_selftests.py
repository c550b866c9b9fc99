from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.selftest import SELFTEST_AET, SelfTestStep, StepOutcome, selftest_uid
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.listing import StudyFilter
from dibmg_node.storage.schema import metadata, selftests
from dibmg_node.storage.selftests import OpenSelfTest
from tests.factories import LEASE, PATIENCE, STUDY_UID, Clock, instance, received, screening
from tests.storage.life import analysis, store

TEST_UID = selftest_uid(77)
PASSED = StepOutcome(SelfTestStep.STORAGE, True, 0.5, "fine")
BROKEN = StepOutcome(SelfTestStep.ANALYSIS, False, 9.0, "it stays READY", "restart it")


def opened(clock: Clock, study_uid: str = TEST_UID) -> OpenSelfTest:
    return OpenSelfTest(study_uid, clock(), clock() + timedelta(minutes=5), 4242, {f"{study_uid}.1": "aa"})


def store_test(ledger: Ledger, clock: Clock) -> None:
    """A self-test's study, as intake enters it."""
    for number, one in enumerate(screening()):
        instance = replace(one, study_uid=TEST_UID, sop_uid=f"{TEST_UID}.{number}")
        entry = replace(received(instance), sender=SELFTEST_AET, keys=("a-key",))
        ledger.receipts.store(entry, PATIENCE, clock())


def analyze_test(ledger: Ledger, clock: Clock) -> None:
    clock.advance(PATIENCE.longest.total_seconds())
    ledger.receipts.complete_due(clock())
    claim = ledger.claims.claim(TEST_UID, 4, "worker", clock(), LEASE)
    ledger.claims.commit(claim, analysis(destinations=(SELFTEST_AET,)), clock())


def rows_of(ledger: Ledger, study_uid: str) -> dict[str, int]:
    with ledger.engine.connect() as connection:
        counted = {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.study_uid == study_uid)
            ).scalar_one()
            for table in metadata.sorted_tables
            if "study_uid" in table.c and table is not selftests
        }
    return {name: count for name, count in counted.items() if count}


def test_a_registered_self_test_is_running_until_it_ends(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))
    before = ledger.selftests.running(clock())

    ledger.selftests.end(TEST_UID, [PASSED], clock())

    assert before == opened(clock)
    assert ledger.selftests.running(clock()) is None


def test_a_self_test_is_not_running_any_more_once_its_time_is_over(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))

    clock.advance(300)

    assert ledger.selftests.running(clock()) is None
    assert ledger.selftests.left(clock()) == [TEST_UID]


def test_two_self_tests_do_not_run_at_once(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))

    with pytest.raises(PermanentError, match="another self-test is running until"):
        ledger.selftests.register(opened(clock, selftest_uid(78)))


def test_one_that_was_killed_does_not_keep_the_next_from_running(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))
    clock.advance(301)

    ledger.selftests.register(opened(clock, selftest_uid(78)))

    assert ledger.selftests.running(clock()) == opened(clock, selftest_uid(78))


def test_one_that_only_asks_to_be_let_in_gives_way_to_one_that_sends(ledger: Ledger, clock: Clock) -> None:
    silent = replace(opened(clock, selftest_uid(78)), port=0, digests={})
    ledger.selftests.register(silent)

    with pytest.raises(PermanentError, match="another self-test is running until"):
        ledger.selftests.register(replace(silent, study_uid=selftest_uid(79)))
    ledger.selftests.register(opened(clock))
    with pytest.raises(PermanentError, match="another self-test is running until"):
        ledger.selftests.register(silent)

    assert ledger.selftests.running(clock()) == opened(clock)


def test_a_study_of_a_patient_can_be_neither_registered_nor_wiped(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock)
    removed: list[Sequence[str]] = []

    def remove(*uids: Sequence[str]) -> int:
        removed.extend(uids)
        return 0

    with pytest.raises(ValueError, match="is no UID of a self-test"):
        ledger.selftests.register(opened(clock, STUDY_UID))
    with pytest.raises(ValueError, match="is no UID of a self-test"):
        ledger.selftests.wipe(STUDY_UID, remove)

    assert removed == []
    assert rows_of(ledger, STUDY_UID)["instances"] == 4


def test_the_last_self_test_tells_which_step_broke_and_what_to_do(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))
    clock.advance(12)
    ledger.selftests.end(TEST_UID, [PASSED, BROKEN], clock())

    last = ledger.selftests.last(clock())

    assert last is not None
    assert (last.passed, last.broken_step, last.reason) == (False, "analysis", "it stays READY: restart it")
    assert last.seconds == 12
    assert [one["step"] for one in last.steps] == ["storage", "analysis"]
    assert ledger.selftests.last_passed_at(clock()) is None


def test_a_self_test_ends_once(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))
    ledger.selftests.end(TEST_UID, [BROKEN], clock())

    with pytest.raises(LedgerConflictError):
        ledger.selftests.end(TEST_UID, [PASSED], clock())


def test_a_hundred_self_tests_are_remembered(ledger: Ledger, clock: Clock) -> None:
    for number in range(103):
        ledger.selftests.register(opened(clock, selftest_uid(number)))
        ledger.selftests.end(selftest_uid(number), [PASSED], clock())
        clock.advance(1)

    with ledger.engine.connect() as connection:
        kept = set(connection.scalars(select(selftests.c.study_uid)))

    assert kept == {selftest_uid(number) for number in range(3, 103)}


def test_those_of_a_clock_that_ran_ahead_are_forgotten_first(ledger: Ledger, clock: Clock) -> None:
    ahead = Clock(clock() + timedelta(days=400))
    for number, at in ((0, ahead), *((number, clock) for number in range(1, 102))):
        ledger.selftests.register(opened(at, selftest_uid(number)))
        ledger.selftests.end(selftest_uid(number), [PASSED], at())
        at.advance(1)

    with ledger.engine.connect() as connection:
        kept = set(connection.scalars(select(selftests.c.study_uid)))
    assert kept == {selftest_uid(number) for number in range(2, 102)}


def test_a_self_test_is_in_no_count_no_list_and_no_figure(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock)
    before = _figures(ledger, clock)
    store_test(ledger, clock)
    while_receiving = _figures(ledger, clock)
    analyze_test(ledger, clock)

    analyzed = _figures(ledger, clock)

    assert before["states"][StudyState.RECEIVING] == 1
    assert while_receiving == before
    # the patient's study became READY meanwhile
    assert analyzed["states"] == before["states"] | {StudyState.RECEIVING: 0, StudyState.READY: 1}
    assert analyzed["listed"] == before["listed"] == [STUDY_UID]
    assert analyzed["results"] == []
    assert analyzed["steps"] == {}


def _figures(ledger: Ledger, clock: Clock) -> dict:
    return {
        "states": ledger.views.count_by_state(),
        "waiting": ledger.views.oldest_waiting(),
        "failed": ledger.views.failed_since(clock() - timedelta(days=1)),
        "senders": ledger.views.last_received(),
        "studies": [one.study_uid for one in ledger.listing.newest(StudyFilter(), 9)],
        "listed": [one.study_uid for one in ledger.listing.page(StudyFilter()).lines],
        "named": ledger.listing.senders(),
        "results": ledger.catalog.newest(),
        "steps": ledger.pace.steps(),
    }


def test_wiping_leaves_no_row_of_the_self_test_and_every_row_of_the_others(
    ledger: Ledger, clock: Clock
) -> None:
    store(ledger, clock)
    others = rows_of(ledger, STUDY_UID)
    ledger.selftests.register(opened(clock))
    store_test(ledger, clock)
    clock.advance(1)
    analyze_test(ledger, clock)
    removed: list[Sequence[str]] = []

    def remove(*uids: Sequence[str]) -> int:
        removed.extend(map(sorted, uids))
        return 5

    before = rows_of(ledger, TEST_UID)
    freed = ledger.selftests.wipe(TEST_UID, remove)

    assert {"studies", "instances", "results", "deliveries", "history", "analyses", "study_keys"} <= set(
        before
    )
    assert freed == 5
    assert removed[0] == [f"{TEST_UID}.{number}" for number in range(4)]
    assert len(removed[1]) == 1
    assert rows_of(ledger, TEST_UID) == {}
    assert rows_of(ledger, STUDY_UID)["instances"] == others["instances"]


def test_what_of_a_self_test_comes_while_its_files_go_goes_next(ledger: Ledger, clock: Clock) -> None:
    ledger.selftests.register(opened(clock))
    store_test(ledger, clock)
    removed: list[Sequence[str]] = []

    def remove(instance_uids: Sequence[str], result_uids: Sequence[str]) -> int:
        if not removed:  # a ledger that were locked would not take it
            late = replace(instance(), study_uid=TEST_UID, sop_uid=f"{TEST_UID}.9")
            ledger.receipts.store(replace(received(late), sender=SELFTEST_AET), PATIENCE, clock())
        removed.append(instance_uids)
        return 5

    ledger.selftests.wipe(TEST_UID, remove)

    assert f"{TEST_UID}.9" in removed[-1]
    assert len(removed) == 2
    assert rows_of(ledger, TEST_UID) == {}


def test_a_worker_that_reads_a_wiped_self_test_has_lost_its_claim(ledger: Ledger, clock: Clock) -> None:
    store_test(ledger, clock)
    clock.advance(PATIENCE.longest.total_seconds())
    ledger.receipts.complete_due(clock())
    claim = ledger.claims.claim(TEST_UID, 4, "worker", clock(), LEASE)
    ledger.selftests.wipe(TEST_UID, lambda *uids: 0)

    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(claim, analysis(), clock())

    assert claim.is_selftest
