"""A latch: set by a signal's handler on the very thread that waits for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from dibmg_node.machine.latch import Latch

HUNDRED_MICROSECONDS = 1e-4


@pytest.fixture
def interrupted() -> Iterator[Latch]:
    """A latch that a handler sets ten thousand times a second of this process's work."""
    latch = Latch()
    before = signal.signal(signal.SIGVTALRM, lambda *_: latch.set())
    signal.setitimer(signal.ITIMER_VIRTUAL, HUNDRED_MICROSECONDS, HUNDRED_MICROSECONDS)
    yield latch
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.timeout(60)
def test_a_handler_that_runs_while_its_thread_looks_at_the_latch_sets_it(interrupted: Latch) -> None:
    times_set = 0

    while times_set < 200:
        if interrupted.wait(0):
            times_set += 1
            interrupted.clear()

    assert times_set == 200


def test_it_is_waited_for_by_several_and_stays_set() -> None:
    latch, went_on = Latch(), []
    waiting = [threading.Thread(target=lambda: went_on.append(latch.wait())) for _ in range(3)]
    for thread in waiting:
        thread.start()

    latch.set()
    for thread in waiting:
        thread.join(60)

    assert went_on == [True] * 3
    assert latch.is_set()


def test_one_that_nobody_sets_says_so_after_the_time() -> None:
    latch = Latch()

    assert not latch.wait(0.01)
    assert not latch.is_set()


def test_one_taken_back_is_not_set_however_often_it_was_set() -> None:
    latch = Latch()
    latch.set()
    latch.set()

    latch.clear()
    latch.clear()

    assert not latch.is_set()
