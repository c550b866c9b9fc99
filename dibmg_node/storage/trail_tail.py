"""The audit trail read backwards: its newest lines, however long it is."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from dibmg_node.storage.trail import trail_files

MOST_BYTES: Final = 6 << 20
"""Read for one page: what is looked for may be rare, or not there at all."""
_BLOCK: Final = 64 << 10
_FIRST: Final = 4096
_AT: Final = re.compile(rb'"at": "([^"]{1,40})"')


@dataclass(frozen=True)
class TrailPlace:
    """A place between two lines.

    Attributes:
        number: Of the file.
        offset: Bytes of it that are before.
    """

    number: int
    offset: int


@dataclass(frozen=True)
class TrailFilter:
    """Which lines are wanted; None: all.

    Attributes:
        event: Code of the event.
        outcome: 0, 4 or 8.
        since: Not before.
        until: Before.
    """

    event: str | None = None
    study_uid: str | None = None
    outcome: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class TrailPage:
    """Some lines, newest first.

    Attributes:
        following: Where the next page begins; None: there is nothing further.
        looked_back_to: Time of the oldest line that was looked at, ISO 8601; empty: of none.
        complete: The page is full, or there is nothing further; False: the search stopped for its length.
    """

    lines: Sequence[Mapping[str, Any]]
    following: TrailPlace | None
    looked_back_to: str
    complete: bool


def read_back(
    folder: Path,
    wanted: TrailFilter,
    before: TrailPlace | None = None,
    most: int = 50,
    most_bytes: int = MOST_BYTES,
) -> TrailPage:
    """The newest lines that are wanted, before a place. What is no line (a torn one) is passed over.

    Args:
        folder: Of the trail.
        wanted: Which lines.
        before: Where a former page ended; None: at the end of the trail.
        most: Lines of a page.
        most_bytes: That are looked through, from the last block on.

    Raises:
        OSError: A file cannot be read.
    """
    needles, since, until = _needles(wanted), _written(wanted.since), _written(wanted.until)
    found: list[Mapping[str, Any]] = []
    read, looked = 0, ""
    for place, raw in _backwards(folder, before, until):
        read += len(raw) + 1
        met = _AT.search(raw, 0, 200)
        looked = met[1].decode("ascii", "replace") if met else looked
        if since and looked and looked < since:
            return TrailPage(found, None, looked, complete=True)
        is_later = bool(until) and looked >= until
        told = _parsed(raw) if not is_later and all(one in raw for one in needles) else None
        if told is not None and _passes(told, wanted):
            found.append(told)
        if len(found) >= most or read >= most_bytes:
            return TrailPage(found, place, looked, complete=len(found) >= most)
    return TrailPage(found, None, looked, complete=True)


def _backwards(folder: Path, before: TrailPlace | None, until: str) -> Iterator[tuple[TrailPlace, bytes]]:
    """Whole lines with the place of their beginning, newest first."""
    files = [(n, path) for n, path in trail_files(folder) if before is None or n <= before.number]
    if until:
        # files follow one another in time: those that begin later hold nothing that is wanted
        files = files[: bisect_right(files, until, key=lambda one: _first_at(one[1]))]
    for number, path in reversed(files):
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            if before is not None and number == before.number:
                end = min(end, before.offset)
            if until:
                end = _end_of_earlier(file, end, until)
            rest = b""  # the end of a line whose beginning is not read yet
            whole = False  # what follows the last line feed is torn, or being written
            while end:
                step = min(_BLOCK, end)
                end -= step
                file.seek(end)
                content = file.read(step) + rest
                rest, *lines = content.split(b"\n")
                start = end + len(content) + 1
                for line in reversed(lines):
                    start -= len(line) + 1
                    if whole:
                        yield TrailPlace(number, start), line
                    whole = True
            if whole:
                yield TrailPlace(number, 0), rest


def _end_of_earlier(file: BinaryIO, end: int, until: str) -> int:
    """A place at most a block behind the last line that is earlier, found by halves."""
    low, high = 0, end
    while high - low > _BLOCK:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()  # the rest of a line
        met = _AT.search(file.readline())
        if met is not None and met[1].decode("ascii", "replace") < until:
            low = middle
        else:
            high = middle
    file.seek(high)
    file.readline()
    return min(file.tell(), end)


def _first_at(path: Path) -> str:
    with path.open("rb") as file:
        met = _AT.search(file.read(_FIRST))
    return met[1].decode("ascii", "replace") if met else ""


def _needles(wanted: TrailFilter) -> list[bytes]:
    """What a wanted line holds as it is written, so that few have to be parsed."""
    needles = []
    if wanted.event is not None:
        needles.append(b'"event": ' + json.dumps(wanted.event).encode())
    if wanted.study_uid is not None:
        needles.append(b'"study_uid": ' + json.dumps(wanted.study_uid).encode())
    if wanted.outcome is not None:
        needles.append(f'"outcome": {wanted.outcome}'.encode())
    return needles


def _passes(told: Mapping[str, Any], wanted: TrailFilter) -> bool:
    return (
        (wanted.event is None or told.get("event") == wanted.event)
        and (wanted.outcome is None or told.get("outcome") == wanted.outcome)
        and (
            wanted.study_uid is None
            or any(one.get("study_uid") == wanted.study_uid for one in told.get("studies", ()))
        )
    )


def _written(at: datetime | None) -> str:
    """A time as lines have it, so that texts compare as times do."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else ""


def _parsed(raw: bytes) -> Mapping[str, Any] | None:
    try:
        told = json.loads(raw)
        int(told["seq"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
