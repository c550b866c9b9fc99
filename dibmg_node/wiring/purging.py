"""Purging: what may go from the archive goes, beside everything else that a process does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.purge import Purge, PurgePolicy
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.selftest_watch import end_left

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 10.0


def make_purge(
    settings: Settings, ledger: Ledger, audit: Auditor, older_than: timedelta | None = None
) -> Purge:
    """Who purges.

    Args:
        settings: Of the node.
        ledger: Of the node.
        audit: Told what goes.
        older_than: Instead of `archive.purge_after_days`.
    """
    section = settings.archive
    days = timedelta(days=section.purge_after_days)
    policy = PurgePolicy(
        # the disk of a node says nothing about the room of an object storage
        high_water=1.0 if section.url else section.high_water_percent / 100,
        keep=timedelta(hours=section.keep_hours),
        after=older_than if older_than is not None else days or None,
    )
    archive = foundation.open_archive(settings)
    hold = foundation.make_hold(settings, ledger, archive)
    return Purge(archive, ledger.purges, policy, foundation.now, audit, hold)


@contextmanager
def purging(
    purge: Purge,
    ledger: Ledger,
    archive: Archive,
    now: Callable[[], datetime],
    is_on_turn: Callable[[], bool],
    every_seconds: float = _EVERY_SECONDS,
) -> Iterator[None]:
    """Purge, remove what self-tests left, keep the ledger in order, now and then on a thread of its own.

    A sweep must not wait for an archive that is far, and slow.

    Args:
        purge: Of the node.
        ledger: Of the node.
        archive: Of the node.
        now: The time.
        is_on_turn: Whether this machine is the one to do it.
        every_seconds: From the end of one to the next.
    """
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(every_seconds):
            if not is_on_turn():
                continue
            try:
                _add_up(ledger)
                _run_purge(purge)
                _end_left_tests(ledger, archive, now())
                _pull_back(ledger, now())
            # nobody would miss this thread until the disk is full
            except Exception as error:  # noqa: BLE001
                _log.error("unexpected error while purging", exc_info=error)

    # a daemon: a purge that is broken off is done again
    thread = threading.Thread(target=run, name="purge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(_DRAIN_SECONDS)


def _add_up(ledger: Ledger) -> None:
    try:
        ledger.tally.add_up()
    except RetryableError as error:
        _log.warning("delivered studies not added up", extra={"reason": str(error)})


def _pull_back(ledger: Ledger, now: datetime) -> None:
    try:
        if wrong := ledger.wrong_clocks.pull_back(now):
            _log.warning("times of a wrong clock pulled back", extra={"rows": wrong})
    except RetryableError as error:
        _log.warning("times of a wrong clock not looked for", extra={"reason": str(error)})


def _run_purge(purge: Purge) -> None:
    try:
        purge.run()
    except (RetryableError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        _log.warning("purge broken off", extra={"reason": told})


def _end_left_tests(ledger: Ledger, archive: Archive, now: datetime) -> None:
    try:
        left = end_left(ledger, archive, now)
    except (RetryableError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        _log.warning("what a self-test left not removed", extra={"reason": told})
    else:
        if left:
            _log.warning("self-tests that were broken off ended", extra={"count": left})
