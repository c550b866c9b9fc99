"""The sweep: finds what is due, so that no lost message and no dead worker holds a study."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from dibmg_node.domain.priority import Priority
from dibmg_node.errors import RetryableError
from dibmg_node.storage.ledger import Ledger

_log = logging.getLogger(__name__)

REPUBLISH_AFTER: Final = timedelta(seconds=15)
"""What was published and not claimed for this long is published again, once its queue is empty."""

_NEVER: Final = datetime(1970, 1, 2, tzinfo=UTC)


class Publisher(Protocol):
    """Tells workers where to look; losing what it says loses nothing."""

    def analyze(self, study_uid: str, revision: int, priority: Priority) -> None:
        """A study is READY."""

    def deliver(self, study_uid: str, revision: int, destination: str) -> None:
        """Results of a study are due at a destination."""

    def waiting(self) -> tuple[Mapping[Priority, int], int]:
        """Messages not yet taken by a worker: of analyses, by priority; of deliveries."""


@dataclass
class Sweep:
    """One look at the ledger for what is due; cheap enough for twice a second."""

    ledger: Ledger
    publisher: Publisher
    now: Callable[[], datetime]
    _repaired_at: datetime | None = None

    def run(self) -> None:
        """Complete studies, end dead workers' claims, publish what nobody was told of."""
        now = self.now()
        completed = self.ledger.receipts.complete_due(now)
        expired = self.ledger.claims.end_expired(now)
        if completed or expired:
            _log.info("studies ready", extra={"completed": completed, "expired": expired})
        lost, deliveries_before = self._lost(now)
        self._publish(self.ledger.claims.unpublished(now, now - REPUBLISH_AFTER, lost))
        due = self.ledger.outbox.due(now, deliveries_before) + self.ledger.proofs.due(now, deliveries_before)
        for study_uid, revision, destination in dict.fromkeys(due):
            _log.debug("delivery published", extra={"study_uid": study_uid, "destination": destination})
            self.publisher.deliver(study_uid, revision, destination)

    def _publish(self, ready: Sequence[tuple[str, int, Priority]]) -> None:
        for place, (study_uid, revision, priority) in enumerate(ready):
            extra = {"study_uid": study_uid, "revision": revision, "priority": priority.value}
            try:
                self.publisher.analyze(study_uid, revision, priority)
            except RetryableError:
                # nobody was told of it, nor of those behind it
                self.ledger.claims.unpublish([uid for uid, _, _ in ready[place:]])
                raise
            _log.debug("analysis published", extra=extra)

    def _lost(self, now: datetime) -> tuple[Collection[Priority], datetime]:
        """Which messages are lost: old ones of these priorities that wait still; deliveries before a moment.

        While messages are still queued none of that queue is: publishing again would only pile up copies.
        """
        # either way: the clock may have been set back since
        if self._repaired_at is not None and abs(now - self._repaired_at) < REPUBLISH_AFTER:
            return (), _NEVER
        analyses, deliveries = self.publisher.waiting()
        self._repaired_at = now
        lost = [priority for priority, messages in analyses.items() if not messages]
        return lost, _NEVER if deliveries else now - REPUBLISH_AFTER
