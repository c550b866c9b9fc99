"""Self-tests on a schedule: each a process of its own that the node starts; and what became of the last."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.domain.pause import Part
from dibmg_node.domain.selftest import SelfTestStep, StepOutcome
from dibmg_node.errors import DibmgError, LedgerConflictError
from dibmg_node.machine.processes import die_with_parent
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.selftests import SelfTests
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role

_log = logging.getLogger(__name__)

_LOOK_EVERY: Final = timedelta(seconds=30)
_STOP_SECONDS: Final = 10.0
_LATE: Final = 2.0
"""So many times the schedule without a test that passed is too long."""


class SelfTestWatch:
    """Starts a self-test when one is due, and never two at once."""

    def __init__(self, settings: Settings) -> None:
        """Make a watch that has not looked yet."""
        self._settings = settings
        self._every = timedelta(hours=settings.selftest.every_hours)
        self._next: datetime | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def look(self, now: datetime) -> None:
        """Start one if it is due; the first right after the node has come up, unless one ran lately."""
        if self._next is not None:
            # a clock that was set back must not make the schedule wait for what it had said
            self._next = min(self._next, now + max(self._every, _LOOK_EVERY))
        if not self._every or (self._next is not None and now < self._next) or self._is_running():
            return
        self._next = now + _LOOK_EVERY
        try:
            due = self._due(now)
            if due <= now:
                self._process = _start(self._settings)
                # one that does not even begin must not be started twice a minute
                due = now + self._every
        except (DibmgError, OSError) as error:
            _log.warning("self-test not started", extra={"reason": str(error)})
            return
        self._next = due

    def stop(self) -> None:
        """End the one that is running; what it left is removed by the sweep."""
        if self._process is not None and self._is_running():
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _is_running(self) -> bool:
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        if code:
            _log.error("self-test did not pass; see status", extra={"code": code})
        self._process = None
        return False

    def _due(self, now: datetime) -> datetime:
        ledger = foundation.open_node_ledger(self._settings)
        try:
            return next_selftest(ledger, self._every, self._settings.node_name, now)
        finally:
            ledger.engine.dispose()


def next_selftest(ledger: Ledger, every: timedelta, node: str, now: datetime) -> datetime:
    """When the next self-test of a schedule is due; while it cannot pass, or another one runs, not yet."""
    paused = any(one.part is not Part.DESTINATION for one in ledger.pauses.all())
    if paused or ledger.selftests.running(now) or helpers(ledger, node, now):
        return now + _LOOK_EVERY
    last = ledger.selftests.last(now)
    # when one dated after now really began nobody knows: a clock ran ahead
    return last.started_at + every if last and last.started_at <= now else now


def helpers(ledger: Ledger, node: str, now: datetime) -> list[str]:
    """Other nodes that analyze or deliver just now: what a test sends might come back to them."""
    return [
        one.name
        for one in ledger.nodes.up(now)
        if one.name != node and {Role.ANALYSIS, Role.DELIVERY} & set(one.roles)
    ]


def selftest_facts(
    every: float, tests: SelfTests, now: datetime, degraded: list[str], beside: Sequence[str] = ()
) -> dict[str, Any]:
    """The last self-test, for status, dashboard and metrics.

    Args:
        every: Hours of the schedule; 0: there is none.
        tests: Of the node.
        now: The time.
        degraded: Gets what is wrong, in words.
        beside: Nodes that keep the schedule from being held to.
    """
    last, passed_at = tests.last(now), tests.last_passed_at(now)
    late = timedelta(hours=_LATE * every)
    if last is not None and not last.passed:
        degraded.append(f"the last self-test broke at {last.broken_step}: {last.reason}")
    elif every and not beside and passed_at is not None and abs(now - passed_at) > late:
        degraded.append(f"no self-test has passed since {passed_at.isoformat(timespec='seconds')}")
    return {
        "every_hours": every,
        "held_up_by": list(beside) if every else [],
        "at": last.ended_at if last else None,
        "passed": last.passed if last else None,
        "broken_step": last.broken_step if last else "",
        "reason": last.reason if last else "",
        "seconds": last.seconds if last else None,
        "last_passed_at": passed_at,
    }


def end_left(ledger: Ledger, archive: Archive, now: datetime) -> int:
    """End the self-tests that nobody ended, and remove what they left; returns how many."""
    told = "it was broken off, and did not say how far it had come"
    outcome = StepOutcome(SelfTestStep.END, False, 0.0, told, "run 'dibmg selftest' by hand")
    ledger.selftests.cancel_left(now)
    left = ledger.selftests.left(now)
    for study_uid in left:
        ledger.selftests.wipe(study_uid, archive.remove)
        try:
            ledger.selftests.end(study_uid, [outcome], now)
        except LedgerConflictError:
            continue  # it came to its end after all
    # its own removal may have failed, as with a ledger that did not answer
    for study_uid in ledger.selftests.unremoved():
        ledger.selftests.wipe(study_uid, archive.remove)
    return len(left)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dibmg_node", "selftest", "--json"]
    if settings.path is not None:
        command += ["--config", str(settings.path)]
    with (foundation.log_folder(settings) / "selftest.log").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=settings.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - a call into the kernel and nothing else
        )
