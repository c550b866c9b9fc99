"""The audit trail on disk: lines that are only ever appended, each carrying the digest of the one before.

One chain for all processes of a data folder, appended to under a file lock. A chain for each process would
need no lock, but whoever removed one whole chain would leave no gap in the others, and the order of what
several processes did would be lost. What the lock costs is small: a study has about ten events.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dibmg_node.domain.audit import Action, AuditEvent, EventId, EventType, Gravity, Participant, Role
from dibmg_node.storage.ownership import hand_over

NO_FORMER: Final = "0" * 64
"""What the first line carries instead of a digest."""
LONGEST_FILE: Final = 64 << 20
_BLOCK: Final = 64 << 10
_LOCK: Final = "lock"


@dataclass(frozen=True)
class Head:
    """The end of the chain.

    Attributes:
        number: Of the file that is appended to; 0: there is none yet.
        size: Bytes of it.
        seq: Sequence number of the last whole line; 0: there is none.
        digest: SHA-256 of that line, hexadecimal.
        day: UTC day of that line, `YYYY-MM-DD`.
        torn: What a killed writer left of a line after it.
    """

    number: int = 0
    size: int = 0
    seq: int = 0
    digest: str = NO_FORMER
    day: str = ""
    torn: bytes = b""


class Trail:
    """Appends to the chain. Threads and processes may do so at the same time."""

    def __init__(self, folder: Path, process: str, longest_file: int = LONGEST_FILE) -> None:
        """Open a trail; its folder is made where it is missing.

        Args:
            folder: Of the trail.
            process: Who appends.
            longest_file: Bytes, after which a new file is begun; one is begun every day (UTC), too.
        """
        self.folder = folder
        self._process = process
        self._longest = longest_file
        self._head = Head()
        self._file: tuple[int, int] | None = None
        self._threads = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        hand_over(folder)
        hand_over(folder / _LOCK)

    def append(self, told: Mapping[str, Any], at: datetime) -> None:
        """Add one line; on the disk when this returns.

        A writer that was killed may have left a torn line: it stays, and a line that tells its length and
        digest is put after it.

        Raises:
            OSError: It could not be written. What was written of it is marked as torn by the next line.
        """
        with self._threads, _held(self._lock, fcntl.LOCK_EX):
            head = self._current_head()
            if head.torn:
                head = self._write(head, self._mark(head.torn), at, lead=b"\n")
            day = at.astimezone(UTC).date().isoformat()
            if not head.number or head.size >= self._longest or (head.size and day > head.day):
                head = self._next_file(head)
            self._write(head, told, at)

    def close(self) -> None:
        """Give the descriptors back."""
        with self._threads:
            os.close(self._lock)
            self._close_file()

    def _current_head(self) -> Head:
        """The end of the chain, from memory where no other process has appended since."""
        known = self._head
        if known.number and not trail_file(self.folder, known.number + 1).exists():
            try:
                if trail_file(self.folder, known.number).stat().st_size == known.size:
                    return known
            except FileNotFoundError:
                pass  # removed by hand; see below
        self._close_file()
        found = find_head(self.folder)
        if found.seq < known.seq:
            # the end was cut off by hand: going on where it was leaves the gap to be found
            return replace(found, seq=known.seq, digest=known.digest)
        return found

    def _next_file(self, head: Head) -> Head:
        number = head.number + 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(trail_file(self.folder, number), flags, 0o600)
        self._keep(number, descriptor)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return Head(number, 0, head.seq, head.digest, head.day)

    def _write(self, head: Head, told: Mapping[str, Any], at: datetime, lead: bytes = b"") -> Head:
        place = {
            "seq": head.seq + 1,
            "former": head.digest,
            "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "process": self._process,
        }
        line = json.dumps({**place, **told}).encode("ascii")
        content = memoryview(lead + line + b"\n")
        size = head.size + len(content)
        descriptor = self._descriptor(head.number)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fdatasync(descriptor)
        self._head = Head(head.number, size, head.seq + 1, digest_of(line), str(place["at"])[:10])
        return self._head

    def _descriptor(self, number: int) -> int:
        if self._file is None or self._file[0] != number:
            path = trail_file(self.folder, number)
            self._keep(number, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
        assert self._file is not None
        return self._file[1]

    def _keep(self, number: int, descriptor: int) -> None:
        self._close_file()
        self._file = (number, descriptor)
        hand_over(trail_file(self.folder, number))

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def _mark(self, torn: bytes) -> dict[str, Any]:
        event = AuditEvent(
            EventId.SECURITY_ALERT,
            Action.EXECUTE,
            (Participant(self._process, Role.APPLICATION),),
            EventType.RECORDING_STOPPED,
            Gravity.MINOR,
            "a process ended while it wrote the line before",
        )
        return {**event.to_json(), "torn": {"bytes": len(torn), "sha256": digest_of(torn)}}


def trail_file(folder: Path, number: int) -> Path:
    """A file of the trail."""
    return folder / f"audit-{number:06d}.jsonl"


def trail_files(folder: Path) -> list[tuple[int, Path]]:
    """Every file of the trail, oldest first."""
    found = [(path.stem.removeprefix("audit-"), path) for path in folder.glob("audit-*.jsonl")]
    return sorted((int(number), path) for number, path in found if number.isdigit())


def digest_of(line: bytes) -> str:
    """What the next line carries of a line, which comes without its line feed."""
    return sha256(line).hexdigest()


@contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """Keep writers out, so that no line is half there while somebody looks.

    Raises:
        OSError: There is no trail, or it may not be read.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _held(descriptor, fcntl.LOCK_SH):
            yield
    finally:
        os.close(descriptor)


def find_head(folder: Path) -> Head:
    """The end of the chain, from the files; the caller keeps writers out."""
    files = trail_files(folder)
    if not files:
        return Head()
    number, newest = files[-1]
    torn = b""
    for _, path in reversed(files):
        lines, rest = _tail(path)
        torn = torn or rest
        if lines:
            seq, day = _place(lines)
            return Head(number, newest.stat().st_size, seq, digest_of(lines[-1]), day, torn)
    return Head(number, newest.stat().st_size, torn=torn)


def _tail(path: Path) -> tuple[list[bytes], bytes]:
    """The last whole lines of a file, one at least if there is one, and what follows them."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        content = b""
        while at and content.count(b"\n") < 2:
            step = min(_BLOCK, at)
            at -= step
            file.seek(at)
            content = file.read(step) + content
    *lines, torn = content.split(b"\n")
    return (lines[1:] if at else lines), torn


def _place(lines: list[bytes]) -> tuple[int, str]:
    """Sequence number and day of the last line that has them; a damaged line must not end the trail."""
    for line in reversed(lines):
        try:
            told = json.loads(line)
            return int(told["seq"]), str(told["at"])[:10]
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
    return 0, ""


@contextmanager
def _held(descriptor: int, how: int) -> Iterator[None]:
    fcntl.flock(descriptor, how)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
