"""The queue, as the roles open it that write to it or work on it."""

from __future__ import annotations

from typing import Final

from dibmg_node.config import Settings
from dibmg_node.tasks import Queue, open_queue
from dibmg_node.wiring import foundation

_DELIVERY_SECONDS: Final = 300.0


def open_node_queue(settings: Settings) -> Queue:
    """The queue of these settings."""
    longest = max(settings.model.deadline_seconds, _DELIVERY_SECONDS)
    return open_queue(settings.broker_url, longest, foundation.broker_tls(settings))
