from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.storage.group_commit import GroupCommit
from dibmg_node.storage.ledger import Ledger
from tests.factories import new_ledger

PATIENCE_SECONDS = 60


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path)
    with ledger.engine.begin() as connection:
        connection.execute(text("CREATE TABLE entered (number INTEGER)"))
    yield ledger
    ledger.engine.dispose()


def locking(connection: Connection) -> int:
    raise LedgerUnavailableError("locked")


def entering(number: int) -> Callable[[Connection], int]:
    def step(connection: Connection) -> int:
        connection.execute(text("INSERT INTO entered VALUES (:number)"), {"number": number})
        if number < 0:
            raise ValueError(number)
        return number

    return step


def run_at_once(ledger: Ledger, steps: list[Callable[[Connection], int]]) -> tuple[list[Future[int]], int]:
    """Steps that all wait for one before them; what became of them, and in how many transactions."""
    group, commits = GroupCommit(ledger.engine), []
    started, go_on = threading.Event(), threading.Event()
    event.listen(ledger.engine, "commit", commits.append)

    def first(connection: Connection) -> None:
        started.set()
        assert go_on.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(len(steps) + 1) as pool:
        before = pool.submit(group.run, first)
        assert started.wait(PATIENCE_SECONDS)
        others = [pool.submit(group.run, step) for step in steps]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(group.waiting) < len(steps) and time.monotonic() < deadline:
            time.sleep(0.001)
        go_on.set()
    before.result()
    return others, len(commits) - 1


def entered(ledger: Ledger) -> list[int]:
    with ledger.engine.connect() as connection:
        return sorted(connection.scalars(text("SELECT number FROM entered")))


def test_all_that_waited_for_one_are_entered_in_one_transaction(sqlite: Ledger) -> None:
    others, transactions = run_at_once(sqlite, [entering(number) for number in (1, 2, 3, 4)])

    assert [one.result() for one in others] == [1, 2, 3, 4]
    assert (entered(sqlite), transactions) == ([1, 2, 3, 4], 1)


def test_one_that_fails_is_told_so_and_fails_no_other(sqlite: Ledger) -> None:
    others, _ = run_at_once(sqlite, [entering(1), entering(-2), entering(3)])

    assert isinstance(others[1].exception(), ValueError)
    assert [others[0].result(), others[2].result()] == [1, 3]
    assert entered(sqlite) == [1, 3]


def test_a_ledger_that_does_not_answer_one_is_not_asked_again_for_each_of_the_others(sqlite: Ledger) -> None:
    begun: list[Connection] = []
    event.listen(sqlite.engine, "begin", begun.append)

    others, _ = run_at_once(sqlite, [entering(1), locking, entering(3)])

    assert [type(one.exception()) for one in others] == [LedgerUnavailableError] * 3
    assert len(begun) == 2  # of the step before them, and of all three
    assert entered(sqlite) == []


def test_what_a_step_returns_is_given_out_after_its_commit(sqlite: Ledger) -> None:
    order: list[str] = []
    event.listen(sqlite.engine, "commit", lambda _: order.append("committed"))

    order.append(f"returned {GroupCommit(sqlite.engine).run(entering(1))}")

    assert order == ["committed", "returned 1"]


def test_a_commit_that_fails_is_told_to_everyone_whose_step_it_was(sqlite: Ledger) -> None:
    def refuse(_: Connection) -> None:
        raise OSError("disk")

    group = GroupCommit(sqlite.engine)
    event.listen(sqlite.engine, "commit", refuse)

    with pytest.raises(OSError, match="disk"):
        group.run(entering(1))

    event.remove(sqlite.engine, "commit", refuse)
    assert entered(sqlite) == []
