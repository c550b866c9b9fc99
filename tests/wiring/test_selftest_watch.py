"""What is told of self-tests, when one is due, and what becomes of one that nobody ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dibmg_node.config import load_settings
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.selftest import SELFTEST_AET, SelfTestStep, StepOutcome, selftest_uid
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import SILENT_AFTER, NodeEntry
from dibmg_node.storage.schema import selftests
from dibmg_node.storage.selftests import OpenSelfTest
from dibmg_node.wiring.selftest_watch import SelfTestWatch, end_left, next_selftest, selftest_facts
from tests.factories import PATIENCE, Clock, archive_data_set, mammogram
from tests.factories import instance as an_instance
from tests.factories import received as entry

TEST_UID = selftest_uid(9)
PASSED = StepOutcome(SelfTestStep.REMOVAL, True, 0.1, "gone")
BROKEN = StepOutcome(SelfTestStep.LESION, False, 0.1, "another score", "restart the node")


def register(ledger: Ledger, clock: Clock, study_uid: str = TEST_UID) -> None:
    test = OpenSelfTest(study_uid, clock(), clock() + timedelta(minutes=5), 4242, {})
    ledger.selftests.register(test)


def degraded_by(ledger: Ledger, clock: Clock, every: float) -> list[str]:
    told: list[str] = []
    selftest_facts(every, ledger.selftests, clock(), told)
    return told


def test_one_that_broke_degrades_the_node_until_one_passes(ledger: Ledger, clock: Clock) -> None:
    register(ledger, clock)
    ledger.selftests.end(TEST_UID, [BROKEN], clock())
    before = degraded_by(ledger, clock, every=0)
    clock.advance(60)
    register(ledger, clock, selftest_uid(10))
    ledger.selftests.end(selftest_uid(10), [PASSED], clock())

    assert before == ["the last self-test broke at lesion: another score: restart the node"]
    assert degraded_by(ledger, clock, every=0) == []


def test_one_of_a_clock_that_ran_ahead_hides_none_that_broke_afterwards(ledger: Ledger, clock: Clock) -> None:
    ahead = Clock(clock() + timedelta(days=400))
    register(ledger, ahead)
    ledger.selftests.end(TEST_UID, [PASSED], ahead())
    due = next_selftest(ledger, timedelta(hours=6), "this", clock())
    register(ledger, clock, selftest_uid(10))
    ledger.selftests.end(selftest_uid(10), [BROKEN], clock())

    assert due == clock()
    assert next_selftest(ledger, timedelta(hours=6), "this", clock()) == clock() + timedelta(hours=6)
    assert degraded_by(ledger, clock, every=6) == [
        "the last self-test broke at lesion: another score: restart the node"
    ]


def test_one_of_a_clock_that_ran_ahead_is_no_proof_that_the_schedule_is_kept(
    ledger: Ledger, clock: Clock
) -> None:
    ahead = Clock(clock() + timedelta(days=400))
    register(ledger, ahead)
    ledger.selftests.end(TEST_UID, [PASSED], ahead())

    assert len(degraded_by(ledger, clock, every=6)) == 1


def test_a_watch_whose_clock_goes_back_waits_no_longer_than_its_schedule(
    tmp_path: Path, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[datetime] = []

    class Watch(SelfTestWatch):
        def _due(self, now: datetime) -> datetime:
            looked.append(now)
            return now + timedelta(hours=6)

    (tmp_path / "config.toml").write_text("[selftest]\nevery_hours = 6\n")
    watch = Watch(load_settings(tmp_path / "config.toml"))
    watch.look(clock() + timedelta(days=400))

    for hours in (0, 5.9, 6):
        watch.look(clock() + timedelta(hours=hours))

    assert looked == [clock() + timedelta(days=400), clock() + timedelta(hours=6)]


def test_a_schedule_that_is_not_kept_degrades_the_node(ledger: Ledger, clock: Clock) -> None:
    register(ledger, clock)
    ledger.selftests.end(TEST_UID, [PASSED], clock())

    clock.advance(2 * 3600 + 1)

    assert degraded_by(ledger, clock, every=2) == []
    assert degraded_by(ledger, clock, every=0) == []
    assert len(degraded_by(ledger, clock, every=1)) == 1


def test_without_any_self_test_nothing_is_wrong(ledger: Ledger, clock: Clock) -> None:
    assert degraded_by(ledger, clock, every=24) == []


def test_a_schedule_goes_on_from_the_last_start_and_waits_while_its_way_is_paused(
    ledger: Ledger, clock: Clock
) -> None:
    every = timedelta(hours=6)
    before_any = next_selftest(ledger, every, "this", clock())
    register(ledger, clock)
    started = clock()
    ledger.selftests.end(TEST_UID, [PASSED], clock())
    clock.advance(7 * 3600)

    late = next_selftest(ledger, every, "this", clock())
    ledger.pauses.begin(Pause(Part.DESTINATION, "pacs", clock(), "", ""))
    with_a_destination_paused = next_selftest(ledger, every, "this", clock())
    ledger.pauses.begin(Pause(Part.ANALYSIS, "", clock(), "", ""))
    with_the_analysis_paused = next_selftest(ledger, every, "this", clock())

    assert before_any == started
    assert late == with_a_destination_paused == started + every
    assert clock() < with_the_analysis_paused < clock() + timedelta(minutes=1)


def test_none_is_started_while_another_runs_and_the_period_is_not_lost(ledger: Ledger, clock: Clock) -> None:
    every = timedelta(hours=6)
    register(ledger, clock)
    running = next_selftest(ledger, every, "this", clock())

    ledger.selftests.cancel(TEST_UID)

    assert clock() < running < clock() + timedelta(minutes=1)
    assert next_selftest(ledger, every, "this", clock()) == clock()


@pytest.mark.parametrize(
    ("name", "roles", "held_up"),
    [
        ("other", ("analysis",), True),
        ("other", ("sweep", "delivery"), True),
        ("other", ("sweep", "web"), False),
        ("this", ("analysis",), False),
    ],
)
def test_none_is_started_while_another_host_could_take_its_exam_or_its_results(
    ledger: Ledger, clock: Clock, name: str, roles: tuple[str, ...], held_up: bool
) -> None:
    ledger.nodes.enter(NodeEntry(name, "token", roles, "1.0", "0011", clock(), clock()))

    due = next_selftest(ledger, timedelta(hours=6), "this", clock())
    silent = clock() + SILENT_AFTER + timedelta(seconds=1)

    assert (due > clock()) is held_up
    assert next_selftest(ledger, timedelta(hours=6), "this", silent) == silent


def test_a_host_that_died_with_its_clock_ahead_holds_up_no_test(ledger: Ledger, clock: Clock) -> None:
    ahead = clock() + timedelta(days=365)
    ledger.nodes.enter(NodeEntry("other", "token", ("analysis",), "1.0", "0011", ahead, ahead))

    assert next_selftest(ledger, timedelta(hours=6), "this", clock()) == clock()


def test_a_schedule_that_other_hosts_hold_up_says_so_and_degrades_nothing(
    ledger: Ledger, clock: Clock
) -> None:
    register(ledger, clock)
    ledger.selftests.end(TEST_UID, [PASSED], clock())
    clock.advance(3 * 3600)
    told: list[str] = []

    facts = selftest_facts(1, ledger.selftests, clock(), told, ["other"])

    assert (facts["held_up_by"], told) == (["other"], [])


def test_what_a_killed_self_test_left_is_removed_and_told_once_its_time_is_over(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    image = mammogram(study_uid=TEST_UID, SOPInstanceUID=f"{TEST_UID}.1")
    archive_data_set(archive, image)
    register(ledger, clock)
    one = an_instance(study_uid=TEST_UID, sop_uid=f"{TEST_UID}.1")
    ledger.receipts.store(entry(one, sender=SELFTEST_AET), PATIENCE, clock())

    early = end_left(ledger, archive, clock())
    clock.advance(301)
    late = end_left(ledger, archive, clock())

    last = ledger.selftests.last(clock())
    assert (early, late) == (0, 1)
    assert last is not None
    assert last.broken_step == "end"
    assert ledger.views.study(TEST_UID) is None
    assert not archive.instance_path(f"{TEST_UID}.1").exists()
    assert end_left(ledger, archive, clock()) == 0


def test_one_that_sent_nothing_and_was_killed_is_not_remembered(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    ledger.selftests.register(OpenSelfTest(TEST_UID, clock(), clock() + timedelta(minutes=1), 0, {}))

    ended = end_left(ledger, archive, clock.advance(61))

    assert (ended, ledger.selftests.last(clock())) == (0, None)
    assert degraded_by(ledger, clock, every=0) == []
    with ledger.engine.connect() as connection:
        assert connection.execute(select(selftests.c.study_uid)).all() == []


def test_what_a_self_test_could_not_remove_is_removed_afterwards(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    register(ledger, clock)
    one = an_instance(study_uid=TEST_UID, sop_uid=f"{TEST_UID}.1")
    ledger.receipts.store(entry(one, sender=SELFTEST_AET), PATIENCE, clock())
    ledger.selftests.end(TEST_UID, [BROKEN], clock())

    end_left(ledger, archive, clock())

    last = ledger.selftests.last(clock())
    assert ledger.views.study(TEST_UID) is None
    assert last is not None
    assert last.broken_step == "lesion"
