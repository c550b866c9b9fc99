"""Group commit: what threads enter at the same moment is one transaction, and one wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from dibmg_node.errors import LedgerUnavailableError

_T = TypeVar("_T")


class GroupCommit:
    """Runs steps of many threads, each as if it had a transaction of its own.

    SQLite has one writer, and who waits for it sleeps up to 100 ms and asks again. Here a thread waits for
    the one before it, and then enters for all that have come meanwhile. PostgreSQL has many writers, and
    groups their commits by itself.

    Attributes:
        waiting: Steps that no thread runs yet, with what their owners wait for.
    """

    def __init__(self, engine: Engine) -> None:
        """Make one that has nothing to do."""
        self.waiting: deque[tuple[Callable[[Connection], Any], Future[Any]]] = deque()
        self._engine = engine
        self._many_writers = engine.dialect.name == "postgresql"
        self._writer = Lock()

    def run(self, step: Callable[[Connection], _T]) -> _T:
        """Run a step in a transaction.

        Args:
            step: Run again, in a transaction of its own, where another one of its group fails.

        Returns:
            What the step returned, once its transaction is committed.

        Raises:
            Exception: What the step or its commit raised; nothing of it is entered then.
        """
        if self._many_writers:
            with self._engine.begin() as connection:
                return step(connection)
        outcome: Future[_T] = Future()
        self.waiting.append((step, outcome))
        with self._writer:
            if not outcome.done():
                # taken one by one: others come at any moment
                self._commit([self.waiting.popleft() for _ in range(len(self.waiting))])
        return outcome.result()

    def _commit(self, group: Sequence[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        try:
            with self._engine.begin() as connection:
                results = [step(connection) for step, _ in group]
        except Exception as error:  # noqa: BLE001 - raised where the step came from
            # each alone would wait as long again for a ledger that does not answer
            if len(group) == 1 or isinstance(error, LedgerUnavailableError):
                for _, outcome in group:
                    outcome.set_exception(error)
            else:
                for one in group:
                    self._commit([one])
        else:
            for (_, outcome), result in zip(group, results, strict=True):
                outcome.set_result(result)
