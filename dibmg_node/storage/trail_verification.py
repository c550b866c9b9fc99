"""What came of the last verification of the audit trail, kept beside it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.trail_check import Checked


@dataclass(frozen=True)
class Verification:
    """One verification.

    Attributes:
        at: ISO 8601.
        by: Who had it made.
        first_seq: Line that the trail had to begin with.
        lines: That are whole, up to the first break.
        head: SHA-256 of the last of them.
        reason: The first break, with its file and line; empty: the trail is whole.
        expected: Head of the last one that found the trail whole, which had to be in it; empty: none had to.
    """

    at: str
    by: str
    first_seq: int
    lines: int
    head: str
    reason: str
    expected: str = ""


def head_to_meet(former: Verification | None) -> str:
    """The head that must still be in the trail after a verification; empty: none.

    It tells that the end was cut off, or that everything was removed or rewritten.
    """
    if former is None:
        return ""
    return former.head if former.lines and not former.reason else former.expected


def verification_of(
    checked: Checked, by: str, first_seq: int, at: datetime, expected: str = ""
) -> Verification:
    """What is kept of a check."""
    broken = checked.broken
    reason = f"{broken.place.file.name}:{broken.place.line}: {broken.reason}" if broken else ""
    time = at.isoformat(timespec="seconds")
    return Verification(time, by, first_seq, checked.lines, checked.head, reason, expected)


def load_verification(path: Path) -> Verification | None:
    """The one in a file; None where there is none, or none that can be understood."""
    try:
        return Verification(**json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return None


def save_verification(path: Path, verification: Verification) -> None:
    """Keep one, whole or not at all, for other users of this machine to read as well.

    Raises:
        OSError: It could not be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(verification)), encoding="ascii")
    draft.chmod(0o644)
    hand_over(draft)
    draft.replace(path)
