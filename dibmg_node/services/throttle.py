"""The same thing over and over: told once, then counted. Nobody fills the disk by knocking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_MOST: Final = 1000
"""Different things that are kept apart; more of them are one."""
_OTHERS: Final = ("others",)


@dataclass
class _Seen:
    at: datetime
    repeated: int = 0


class Throttle:
    """Admits each thing once in a while. Used by many threads."""

    def __init__(self, pause: timedelta, now: Callable[[], datetime]) -> None:
        """Make one that has seen nothing.

        Args:
            pause: How long the same thing is counted before it is told again.
            now: The time.
        """
        self._pause = pause
        self._now = now
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._lock = threading.Lock()

    def admit(self, *thing: str) -> int | None:
        """Whether to tell of a thing.

        Returns:
            How often it was kept back since it was told last; None: keep it back.
        """
        now = self._now()
        with self._lock:
            if thing not in self._seen and len(self._seen) >= _MOST:
                self._forget(now)
                thing = thing if len(self._seen) < _MOST else _OTHERS
            seen = self._seen.get(thing)
            if seen is not None and now - seen.at < self._pause:
                seen.repeated += 1
                return None
            self._seen[thing] = _Seen(now)
            return seen.repeated if seen else 0

    def _forget(self, now: datetime) -> None:
        """Drop what would be told again anyway."""
        old = [thing for thing, seen in self._seen.items() if now - seen.at >= self._pause]
        for thing in old:
            del self._seen[thing]
