"""Nudges through a named pipe: heard at once, and nobody's trouble where nobody hears them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dibmg_node.machine.latch import Latch
from dibmg_node.machine.nudge import Nudges, nudge

ONE_HOUR = 3600.0

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    return tmp_path / "nudge"


def test_who_is_nudged_goes_on_at_once(pipe: Path) -> None:
    nudges, went_on = Nudges(pipe), []
    thread = threading.Thread(target=lambda: went_on.append(nudges.wait(Latch(), ONE_HOUR)))
    thread.start()

    nudge(pipe)

    thread.join()
    assert went_on == [False]


def test_a_nudge_while_nobody_waits_is_heard_later_and_once(pipe: Path) -> None:
    nudges = Nudges(pipe)

    nudge(pipe)
    nudge(pipe)

    nudges.wait(Latch(), ONE_HOUR)
    with pytest.raises(BlockingIOError):
        os.read(nudges._pipe, 1)


def test_a_latch_ends_the_wait(pipe: Path) -> None:
    stopping = Latch()
    stopping.set()

    assert Nudges(pipe).wait(stopping, ONE_HOUR)


def test_nobody_is_kept_waiting_by_nudges_that_nobody_reads(pipe: Path) -> None:
    nudges = Nudges(pipe)

    for _ in range(100_000):
        nudge(pipe)

    assert not nudges.wait(Latch(), ONE_HOUR)


def test_to_nudge_nobody_does_nothing(pipe: Path) -> None:
    nudge(pipe)
    os.mkfifo(pipe)

    nudge(pipe)

    assert pipe.is_fifo()


def test_where_no_pipe_can_be_made_the_wait_is_as_long_as_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nudges, stopping = Nudges(tmp_path / "missing" / "nudge"), Latch()

    ended_by_time = nudges.wait(stopping, 0.01)
    stopping.set()

    assert not ended_by_time
    assert nudges.wait(stopping, ONE_HOUR)
    assert "nobody is nudged" in caplog.text


def test_a_pipe_of_an_earlier_run_and_a_file_in_its_place_serve_as_well(pipe: Path) -> None:
    pipe.write_text("no pipe")
    Nudges(pipe)

    nudges = Nudges(pipe)
    nudge(pipe)

    assert not nudges.wait(Latch(), ONE_HOUR)


def test_a_pipe_that_takes_nothing_is_nobodys_trouble() -> None:
    # as one whose last reader has ended since it was opened
    nudge(Path("/dev/full"))
