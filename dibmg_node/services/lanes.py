"""Lanes: a thread for each destination, so that one that hangs holds up nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from dibmg_node.domain.priority import Priority
from dibmg_node.errors import RetryableError

_log = logging.getLogger(__name__)


class Lanes:
    """Takes hints (study, destination) and works on them, one at a time for each destination, STAT first.

    Hints live in memory only: what is lost with the process is in the ledger, and hinted at again.
    """

    def __init__(self, work: Callable[[str, str], None]) -> None:
        """Make lanes without a thread yet.

        Args:
            work: Called with study and destination, on the lane's thread.
        """
        self._work = work
        self._changed = threading.Condition()
        self._waiting: dict[str, dict[str, int]] = {}
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def give(self, study_uid: str, destination: str, priority: Priority = Priority.ROUTINE) -> None:
        """Have a study looked at; one that waits at this destination already does not wait twice."""
        with self._changed:
            if self._stopping:
                return
            if destination not in self._waiting:
                self._waiting[destination] = {}
                thread = threading.Thread(
                    target=self._run, args=(destination,), name=f"to-{destination}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
            self._waiting[destination][study_uid] = priority.rank
            self._changed.notify_all()

    def stop(self, seconds: float) -> int:
        """Let what is in hand be finished; returns the number of lanes that were not in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _run(self, destination: str) -> None:
        waiting = self._waiting[destination]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: waiting or self._stopping)
                if self._stopping:
                    return
                study_uid = min(waiting, key=waiting.__getitem__)
                del waiting[study_uid]
            extra = {"study_uid": study_uid, "destination": destination}
            try:
                self._work(study_uid, destination)
            except RetryableError as error:
                _log.warning(
                    "delivery broken off; the sweep finds it again", extra={**extra, "reason": str(error)}
                )
            # the text of an error may quote a data set, and the lane must live on
            except Exception as error:  # noqa: BLE001
                _log.error("unexpected error in a lane; its lease runs out", exc_info=error, extra=extra)
