from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dibmg_node.errors import DibmgError, LedgerConflictError, PermanentError, RetryableError
from dibmg_node.services.sandbox import ChildDiedError, DeadlineError, Sandbox
from tests.services.sandbox_work import (
    CANARY,
    ERRORS,
    build,
    build_death,
    build_nothing,
    prepare,
    slow_prepare,
)

FAMILIES: dict[str, tuple[type[DibmgError], str]] = {
    "weights": (PermanentError, "WeightsError: sha256 differs"),
    "rejected": (PermanentError, "InstanceRejectedError: what"),
    "config": (PermanentError, "ConfigError: a: b; c: d"),
    "conflict": (PermanentError, "LedgerConflictError: moved on"),
    "full": (RetryableError, "StorageFullError: no room"),
    "peer": (RetryableError, "PeerUnavailableError: gone"),
    "disk": (RetryableError, "OSError: Input/output error"),
    "unexpected": (RetryableError, "unexpected ValueError in the model process; its log has the place"),
    "recursion": (RetryableError, "unexpected RecursionError in the model process; its log has the place"),
}


def resident_mb(pid: object) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def count(into: list[int]) -> Callable[[], None]:
    return lambda: into.append(1)


def quiet() -> None:
    """A tick that does nothing."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox[str, object]]:
    """One sandbox for the tests that leave its child alive."""
    sandbox: Sandbox[str, object] = Sandbox(build, prepare, 30)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox() -> Iterator[Sandbox[str, object]]:
    sandbox: Sandbox[str, object] = Sandbox(build, prepare, 30)
    yield sandbox
    sandbox.stop()


def test_an_order_is_carried_out_in_another_process_that_is_kept(shared: Sandbox[str, object]) -> None:
    first, second = shared.run("pid", quiet), shared.run("pid", quiet)

    assert first == second != os.getpid()
    assert shared.run("answer", quiet) == "ANSWER"


@pytest.mark.timeout(60)
def test_memory_of_an_order_goes_back_to_the_system_once_it_is_answered(
    shared: Sandbox[str, object],
) -> None:
    pid = shared.run("pid", quiet)
    before = resident_mb(pid)

    filled = shared.run("fill", quiet)

    assert filled == 256 * 2**20
    while resident_mb(pid) > before + 64:  # given back after the answer was sent
        time.sleep(0.01)


@pytest.mark.timeout(60)
def test_an_order_waits_for_the_one_in_hand_and_ticks_meanwhile(shared: Sandbox[str, object]) -> None:
    shared.start()
    first = threading.Thread(target=shared.run, args=("nap", quiet))
    first.start()
    deadline = time.monotonic() + 30
    while shared.is_free:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ticks: list[int] = []

    assert shared.run_if_free("answer", quiet, 30) is None
    assert shared.run("answer", count(ticks)) == "ANSWER"

    assert ticks
    first.join()
    assert shared.run_if_free("answer", quiet, 30) == "ANSWER"


def test_an_order_for_which_there_is_less_time_is_ended_earlier_and_its_child_replaced(
    sandbox: Sandbox[str, object],
) -> None:
    sandbox.start()
    first, turn = sandbox._child, sandbox.turn

    with pytest.raises(DeadlineError, match="no answer within 0 s"):
        sandbox.run_if_free("hang", quiet, 0.3)

    second = sandbox._child
    assert second is not None
    assert second is not first
    assert second.is_alive()
    assert sandbox.turn == turn + 2  # an order, and a child
    assert sandbox.run("answer", quiet) == "ANSWER"
    assert sandbox.turn == turn + 3


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_the_child_says_what_to_do_next_and_quotes_nothing(
    shared: Sandbox[str, object], name: str
) -> None:
    family, words = FAMILIES[name]
    pid = shared.run("pid", quiet)

    with pytest.raises(family) as caught:
        shared.run(name, quiet)

    assert (type(caught.value), str(caught.value)) == (family, words)
    assert CANARY not in str(caught.value)
    assert shared.run("pid", quiet) == pid


@pytest.mark.parametrize(
    ("order", "ending"), [("kill", "SIGKILL"), ("exit", "exit code 7"), ("crash", "SIGSEGV")]
)
def test_a_child_that_dies_is_told_with_its_ending_and_the_next_order_works(
    sandbox: Sandbox[str, object], order: str, ending: str
) -> None:
    with pytest.raises(ChildDiedError, match=ending):
        sandbox.run(order, quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"


def test_a_child_that_was_killed_between_two_orders_is_replaced(sandbox: Sandbox[str, object]) -> None:
    sandbox.start()
    child = sandbox._child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    assert sandbox.run("answer", quiet) == "ANSWER"


def test_an_order_that_takes_too_long_is_ended_and_the_next_works() -> None:
    sandbox: Sandbox[str, object] = Sandbox(build, prepare, 0.3)
    sandbox.start()
    child = sandbox._child
    assert child is not None

    with pytest.raises(DeadlineError, match="no answer within"):
        sandbox.run("hang", quiet)

    assert not child.is_alive()
    assert sandbox.run("answer", quiet) == "ANSWER"
    sandbox.stop()


def test_a_child_that_stalls_within_its_answer_is_ended_and_the_next_order_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dibmg_node.services.sandbox._MESSAGE_SECONDS", 0.5)
    sandbox: Sandbox[str, object] = Sandbox(build, prepare, 5)

    with pytest.raises(ChildDiedError, match="SIGKILL"):
        sandbox.run("stall", quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"
    sandbox.stop()


def test_a_child_that_does_not_take_its_order_is_ended_and_the_next_order_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dibmg_node.services.sandbox._MESSAGE_SECONDS", 0.5)
    sandbox: Sandbox[str, object] = Sandbox(build, prepare, 5)
    sandbox.start()
    child = sandbox._child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)

    with pytest.raises(ChildDiedError, match="gone"):
        sandbox.run("a" * 10_000_000, quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"
    sandbox.stop()


def test_a_claim_that_is_lost_ends_the_order(sandbox: Sandbox[str, object]) -> None:
    def lose() -> None:
        raise LedgerConflictError("the claim is lost")

    sandbox.start()

    with pytest.raises(LedgerConflictError, match="lost"):
        sandbox.run("hang", lose)

    assert sandbox.run("answer", quiet) == "ANSWER"


def test_a_claim_is_renewed_while_a_child_is_started_anew() -> None:
    sandbox: Sandbox[str, object] = Sandbox(build, slow_prepare, 30)
    ticks: list[int] = []

    sandbox.run("answer", count(ticks))

    assert len(ticks) >= 1
    sandbox.stop()


def test_an_answer_that_cannot_travel_is_a_dead_child(sandbox: Sandbox[str, object]) -> None:
    with pytest.raises(ChildDiedError):
        sandbox.run("unpicklable", quiet)

    assert sandbox.run("answer", quiet) == "ANSWER"


def test_an_answer_that_would_run_something_here_ends_the_child_and_runs_nothing(
    sandbox: Sandbox[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RetryableError, match=r"answered with posix.mkdir"):
        sandbox.run(f"evil {tmp_path / 'made'}", quiet)

    assert list(tmp_path.iterdir()) == []
    assert sandbox._child is None
    assert "may have been taken over" in caplog.text
    assert sandbox.run("answer", quiet) == "ANSWER"


def test_what_building_raises_is_told_and_leaves_no_child() -> None:
    sandbox: Sandbox[str, object] = Sandbox(build_nothing, prepare, 30)

    for _ in range(2):
        with pytest.raises(PermanentError, match="no weights"):
            sandbox.run("answer", quiet)

    assert sandbox._child is None


def test_a_child_that_dies_while_it_is_built_is_told() -> None:
    sandbox: Sandbox[str, object] = Sandbox(build_death, prepare, 30)

    with pytest.raises(ChildDiedError, match="exit code 3"):
        sandbox.start()


def test_stopping_twice_is_harmless(sandbox: Sandbox[str, object]) -> None:
    sandbox.start()

    sandbox.stop()
    sandbox.stop()
