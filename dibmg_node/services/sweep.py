"""The sweep: finds what is due, so that no lost message and no dead worker holds a study."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from dibmg_node.storage.ledger import Ledger

_log = logging.getLogger(__name__)

REPUBLISH_AFTER: Final = timedelta(seconds=15)
"""What was published and not claimed for this long is published again, once the queue is empty."""


class Publisher(Protocol):
    """Tells workers where to look; losing what it says loses nothing."""

    def analyze(self, study_uid: str, revision: int) -> None:
        """A study is READY."""

    def deliver(self, study_uid: str, revision: int, destination: str) -> None:
        """Results of a study are due at a destination."""

    def waiting(self) -> tuple[int, int]:
        """Messages not yet taken by a worker: of analyses, of deliveries."""


@dataclass(frozen=True)
class Sweep:
    """One look at the ledger for what is due; cheap enough for twice a second."""

    ledger: Ledger
    publisher: Publisher
    now: Callable[[], datetime]

    def run(self) -> None:
        """Complete studies, end dead workers' claims, publish what nobody was told of."""
        now = self.now()
        completed = self.ledger.receipts.complete_due(now)
        expired = self.ledger.claims.end_expired(now)
        if completed or expired:
            _log.info("studies ready", extra={"completed": completed, "expired": expired})
        analyses, deliveries = self.publisher.waiting()
        # with messages still queued, nothing of them is lost: publishing again would only pile up copies
        long_ago = now - REPUBLISH_AFTER
        never = datetime.min.replace(tzinfo=now.tzinfo) + timedelta(days=1)
        for study_uid, revision in self.ledger.claims.unpublished(now, never if analyses else long_ago):
            self.publisher.analyze(study_uid, revision)
        for study_uid, revision, destination in self.ledger.outbox.due(
            now, never if deliveries else long_ago
        ):
            self.publisher.deliver(study_uid, revision, destination)
