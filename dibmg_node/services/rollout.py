"""Rollout: a new configuration reaches hosts one by one; what one does not know yet another may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

_ROLLED_OUT_WITHIN: Final = timedelta(hours=1)
"""What a host does not know by then is something that the configuration has no more."""


def may_be_known_elsewhere(since: datetime | None, now: datetime, others_are_up: Callable[[], bool]) -> bool:
    """Whether something that waits for what this host does not know is to be left to the other hosts.

    Args:
        since: Since when it waits; None: nothing does.
        now: The time.
        others_are_up: Whether other hosts share the ledger.
    """
    return since is not None and now - since < _ROLLED_OUT_WITHIN and others_are_up()
