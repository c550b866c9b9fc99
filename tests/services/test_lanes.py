from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from dibmg_node.domain.priority import Priority
from dibmg_node.errors import RetryableError
from dibmg_node.services.lanes import Lanes
from tests.services.wire_peers import WAIT_SECONDS


class Work:
    """Records what is worked on; at some destinations it hangs until it is let go."""

    def __init__(self, *hanging: str, before: Callable[[str], None] = lambda study_uid: None) -> None:
        self.done: list[tuple[str, str]] = []
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self._hanging = hanging
        self._before = before
        self._changed = threading.Condition()

    def __call__(self, study_uid: str, destination: str) -> None:
        if destination in self._hanging:
            self.begun.set()
            self.let_go.wait(WAIT_SECONDS)
        self._before(study_uid)
        with self._changed:
            self.done.append((study_uid, destination))
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= count, WAIT_SECONDS)


def test_a_destination_that_hangs_holds_up_no_other() -> None:
    work = Work("slow")
    lanes = Lanes(work)

    lanes.give("1.1", "slow")
    work.begun.wait(WAIT_SECONDS)
    for number in range(5):
        lanes.give(f"1.{number}", "pacs")
    work.wait_for(5)
    before = list(work.done)
    work.let_go.set()
    work.wait_for(6)

    assert before == [(f"1.{number}", "pacs") for number in range(5)]
    assert work.done[-1] == ("1.1", "slow")
    assert lanes.stop(WAIT_SECONDS) == 0


def test_one_destination_has_one_thing_in_hand_and_a_study_waits_there_once() -> None:
    work = Work("pacs")
    lanes = Lanes(work)
    lanes.give("1.1", "pacs")
    work.begun.wait(WAIT_SECONDS)

    for study_uid in ("1.2", "1.3", "1.2", "1.2"):
        lanes.give(study_uid, "pacs")
    nothing_yet = list(work.done)
    work.let_go.set()
    work.wait_for(3)
    lanes.stop(WAIT_SECONDS)

    assert (nothing_yet, work.done) == ([], [("1.1", "pacs"), ("1.2", "pacs"), ("1.3", "pacs")])


def test_a_stop_lets_what_is_in_hand_be_finished_and_drops_the_rest() -> None:
    work = Work("pacs")
    lanes = Lanes(work)
    lanes.give("1.1", "pacs")
    lanes.give("1.2", "pacs")
    work.begun.wait(WAIT_SECONDS)

    left = lanes.stop(0)
    lanes.give("1.3", "archive")
    work.let_go.set()

    assert (left, lanes.stop(WAIT_SECONDS)) == (1, 0)
    assert work.done == [("1.1", "pacs")]


@pytest.mark.parametrize("error", [RetryableError("the ledger does not answer"), ValueError("Doe^Jane")])
def test_an_error_ends_its_study_and_not_the_lane(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail_once(study_uid: str) -> None:
        if study_uid == "1.1":
            raise error

    work = Work(before=fail_once)
    lanes = Lanes(work)

    with caplog.at_level(logging.WARNING):
        lanes.give("1.1", "pacs")
        lanes.give("1.2", "pacs")
        work.wait_for(1)

    assert work.done == [("1.2", "pacs")]
    assert len(caplog.records) == 1
    assert lanes.stop(WAIT_SECONDS) == 0


def test_an_urgent_study_overtakes_those_that_wait_at_a_destination() -> None:
    work = Work("pacs")
    lanes = Lanes(work)
    lanes.give("1.1", "pacs")
    work.begun.wait(WAIT_SECONDS)

    for study_uid, priority in (("1.2", Priority.LOW), ("1.3", Priority.ROUTINE), ("1.4", Priority.STAT)):
        lanes.give(study_uid, "pacs", priority)
    work.let_go.set()
    work.wait_for(4)

    assert [study_uid for study_uid, _ in work.done] == ["1.1", "1.4", "1.3", "1.2"]
    assert lanes.stop(WAIT_SECONDS) == 0
