"""The queue, as the roles open it that write to it or work on it."""

from __future__ import annotations

from typing import Final

from dibmg_node import wiring
from dibmg_node.config import Settings
from dibmg_node.tasks import Queue, open_queue

_DELIVERY_SECONDS: Final = 300.0


def open_node_queue(settings: Settings) -> Queue:
    """The queue of these settings."""
    longest = max(settings.model.deadline_seconds, _DELIVERY_SECONDS)
    return open_queue(settings.broker_url, longest, wiring.broker_tls(settings))
