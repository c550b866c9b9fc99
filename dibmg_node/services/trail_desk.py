"""The reading desk of the audit trail: who reads it is entered into it; and its verification."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dibmg_node.errors import PermanentError, RetryableError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.operating import Person
from dibmg_node.storage.trail import trail_files
from dibmg_node.storage.trail_check import check_trail
from dibmg_node.storage.trail_tail import TrailFilter, TrailPage, TrailPlace, read_back
from dibmg_node.storage.trail_verification import (
    Verification,
    head_to_meet,
    load_verification,
    save_verification,
    verification_of,
)

LONGEST_CHECK: Final = 128 << 20
"""Bytes that are verified while somebody waits for the page."""


@dataclass(frozen=True)
class TrailDesk:
    """Hands out lines, and verifies the chain.

    Attributes:
        folder: Of the trail.
        record: Where the last verification is kept.
        audit: Told who reads.
        now: The time.
    """

    folder: Path
    record: Path
    audit: Auditor
    now: Callable[[], datetime]
    longest: int = LONGEST_CHECK
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def read(self, who: Person, wanted: TrailFilter, before: TrailPlace | None, asked: str) -> TrailPage:
        """Lines of the trail; that they were read is entered first, so the reader sees it.

        Args:
            who: Reads.
            wanted: Which lines.
            before: Where a former page ended.
            asked: The same, as the URL has it; names no patient.

        Raises:
            RetryableError: The trail cannot be read.
        """
        self.audit.log_used(who.name, who.address, asked)
        try:
            return read_back(self.folder, wanted, before)
        except OSError as error:
            raise RetryableError(f"the audit trail cannot be read: {error.strerror}") from error

    def verified(self) -> Verification | None:
        """What came of the last verification."""
        return load_verification(self.record)

    def is_short(self) -> bool:
        """Whether it can be verified while somebody waits."""
        try:
            return sum(path.stat().st_size for _, path in trail_files(self.folder)) <= self.longest
        except OSError:
            return False

    def verify(self, who: Person) -> Verification:
        """Walk the whole chain, from the line on that the last verification began with.

        What the last one that found it whole ended with must still be in it.

        Raises:
            PermanentError: The trail is too long for this.
            RetryableError: It is being verified already, or cannot be read.
        """
        if not self.is_short():
            raise PermanentError("the trail is long: verify it by the command 'dibmg audit verify'")
        if not self._one_at_a_time.acquire(blocking=False):
            raise RetryableError("the trail is being verified just now")
        try:
            former = self.verified()
            first_seq = former.first_seq if former else 1
            self.audit.log_used(who.name, who.address, "/audit/verify")
            expected = head_to_meet(former)
            checked = check_trail(self.folder, first_seq, expected)
            found = verification_of(checked, who.name or who.address, first_seq, self.now(), expected)
            save_verification(self.record, found)
            return found
        except OSError as error:
            raise RetryableError(f"the audit trail cannot be read: {error.strerror}") from error
        finally:
            self._one_at_a_time.release()
