"""Recording audit events: what cannot be written stops nobody, and is told of once something can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from dibmg_node.domain.audit import Action, AuditEvent, EventId, EventType, Gravity, Participant, Role
from dibmg_node.domain.counted import counted

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """Where events are kept."""

    def append(self, told: Mapping[str, Any], at: datetime) -> None:
        """Keep one.

        Raises:
            OSError: It could not be written.
        """


class Nowhere:
    """Keeps nothing."""

    def append(self, told: Mapping[str, Any], at: datetime) -> None:
        """Forget it."""


class Recorder:
    """Writes events; raises nothing."""

    def __init__(self, journal: Journal, node: str, now: Callable[[], datetime]) -> None:
        """Make one.

        Args:
            journal: Where events are kept.
            node: AE title of this node.
            now: The time.
        """
        self._journal = journal
        self._node = node
        self._now = now
        self._missed = 0

    def record(self, event: AuditEvent) -> None:
        """Write an event, and before it what could not be written."""
        try:
            if self._missed:
                self._journal.append(self._gap().to_json(), self._now())
                self._missed = 0
            self._journal.append(event.to_json(), self._now())
        except OSError as error:
            self._missed += 1
            extra = {"code": event.event.code, "error": error.strerror or type(error).__name__}
            _log.error("audit event not written", extra=extra)

    def _gap(self) -> AuditEvent:
        """What tells of events that could not be written."""
        return AuditEvent(
            EventId.SECURITY_ALERT,
            Action.EXECUTE,
            (Participant(self._node, Role.APPLICATION),),
            EventType.RECORDING_STOPPED,
            Gravity.SERIOUS,
            f"{counted(self._missed, 'event')} could not be written",
        )
