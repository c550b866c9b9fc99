"""How often somebody may guess a password."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

MOST_FAILURES: Final = 10
WITHIN_SECONDS: Final = 900.0
_MOST_KEYS: Final = 10_000


class Attempts:
    """Counts failed logins of this process, by whatever should be held back: an address, a name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, *keys: str) -> int:
        """Seconds until the next attempt is let through; 0: now."""
        now = self._clock()
        waits = [0.0]
        for key in keys:
            failures = self._failures.get(key, deque())
            if len(failures) >= MOST_FAILURES:
                waits.append(failures[0] + WITHIN_SECONDS - now)
        longest = max(waits)
        return int(longest) + 1 if longest > 0 else 0

    def failed(self, *keys: str) -> None:
        """Count a failure; the oldest beyond the limit is forgotten."""
        for key in keys:
            self._failures.setdefault(key, deque(maxlen=MOST_FAILURES)).append(self._clock())
            self._failures.move_to_end(key)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget failures."""
        for key in keys:
            self._failures.pop(key, None)
