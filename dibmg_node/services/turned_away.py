"""Who was turned away or had instances refused, counted in memory and entered now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.errors import RetryableError
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.rejections import Rejected, Rejections

_MOST: Final = 100
"""Different ones between two entries; more are not told apart any longer."""
_LONGEST_REASON: Final = 500


class TurnedAwayCount:
    """Counts; told by the threads of all connections."""

    def __init__(self, rejections: Rejections, now: Callable[[], datetime]) -> None:
        self._rejections = rejections
        self._now = now
        self._lock = threading.Lock()
        self._counted: dict[TurnedAway, Rejected] = {}

    def tell(self, who: TurnedAway) -> None:
        """Somebody was turned away; a self-test that meets a pause is no sender, and in no list."""
        if who.for_now and who.calling_aet == SELFTEST_AET:
            return
        now = self._now()
        with self._lock:
            if who not in self._counted and len(self._counted) >= _MOST:
                who = TurnedAway("", "", "", "others, too many to tell apart")
            known = self._counted.get(who) or Rejected(
                who.peer_address, who.calling_aet, who.called_aet, who.sentence[:_LONGEST_REASON], 0, now
            )
            self._counted[who] = replace(known, times=known.times + 1, at=now)

    def enter(self) -> None:
        """Enter what was counted.

        Raises:
            RetryableError: The ledger does not take it; it stays counted.
        """
        with self._lock:
            counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            self._rejections.enter(counted.values())
        except RetryableError:
            with self._lock:
                self._counted = counted | self._counted
            raise
