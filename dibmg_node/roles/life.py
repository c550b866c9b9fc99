"""What the processes of the node have in common: signals end them, and they give signs of life."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError
from dibmg_node.machine.latch import Latch
from dibmg_node.machine.processes import process_name
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role

_log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
"""Between two signs of life of a process."""


@contextmanager
def stopped_by_signal() -> Iterator[Latch]:
    """A latch that SIGTERM and SIGINT set."""
    stopping = Latch()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    yield stopping


@contextmanager
def renewed_by_signal(renew: Callable[[], None]) -> Iterator[None]:
    """SIGHUP has certificates read anew, on a thread of its own."""
    asked, ended = Latch(), threading.Event()

    def wait() -> None:
        while asked.wait() and not ended.is_set():
            asked.clear()
            renew()

    thread = threading.Thread(target=wait, name="renewal", daemon=True)
    thread.start()
    signal.signal(signal.SIGHUP, lambda *_: asked.set())
    try:
        yield
    finally:
        ended.set()
        asked.set()
        thread.join()


@contextmanager
def beating(
    settings: Settings,
    ledger: Ledger,
    role: Role,
    detail: Callable[[], str] = str,
    beside: Callable[[], None] = lambda: None,
    every_seconds: float = BEAT_SECONDS,
) -> Iterator[None]:
    """Enter signs of life from a thread of their own: work in hand must not look like death.

    Args:
        settings: Of the node.
        ledger: Where to.
        role: Whose.
        detail: For people.
        beside: Entered in the ledger as often.
        every_seconds: Between two of them.
    """
    name = process_name(role, settings.node_name)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_seconds):
            try:
                ledger.beats.beat(name, foundation.now(), detail())
                beside()
            except RetryableError as error:
                _log.warning("sign of life not entered", extra={"reason": str(error)})
            # without this thread a process that works would count as dead
            except Exception as error:  # noqa: BLE001
                _log.error("unexpected error at a sign of life", exc_info=error)

    ledger.beats.start(name, foundation.now(), detail())
    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
        beside()
        ledger.beats.stop(name)
    finally:
        ended.set()
        thread.join()
