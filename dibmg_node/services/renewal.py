"""Renewal: a claim is kept while a step goes on that nobody knows the length of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from dibmg_node.errors import LedgerConflictError, RetryableError

_log = logging.getLogger(__name__)


@contextmanager
def renewed(renew: Callable[[], None], every: timedelta, extra: Mapping[str, object]) -> Iterator[None]:
    """Renew a claim from a thread until the block ends.

    A claim that is lost is left alone: its holder is told when it enters what it did.

    Args:
        renew: Renews once.
        every: How often.
        extra: Facts of the log's lines.
    """
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(every.total_seconds()):
            try:
                renew()
            except LedgerConflictError:
                return
            except RetryableError as error:
                _log.warning("claim not renewed", extra={**extra, "reason": str(error)})

    thread = threading.Thread(target=go_on, name="renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
