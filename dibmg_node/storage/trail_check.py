"""Whether the audit trail is whole: every line there, in its order, as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dibmg_node.storage.trail import NO_FORMER, digest_of, standing_still, trail_files


@dataclass(frozen=True)
class Place:
    """One line of the trail, by its file and its number, from 1 on."""

    file: Path
    line: int


@dataclass(frozen=True)
class Break:
    """Where the chain does not hold, and why."""

    place: Place
    reason: str


@dataclass(frozen=True)
class Checked:
    """What a check found, up to the first break.

    Attributes:
        files: Number of files.
        lines: Number of whole lines.
        torn: Lines that a killed writer left half written; the node has marked them.
        first_at: Time of the first line.
        last_at: Time of the last one.
        head: SHA-256 of the last line: noted elsewhere, it tells later whether the end was cut off.
        broken: The first break; None: the chain is whole.
    """

    files: int
    lines: int
    torn: int
    first_at: str
    last_at: str
    head: str
    broken: Break | None


@dataclass(frozen=True)
class _Line:
    place: Place
    raw: bytes
    whole: bool


def check_trail(folder: Path, first_seq: int = 1, noted_head: str = "") -> Checked:
    """Walk the whole chain.

    Args:
        folder: Of the trail.
        first_seq: Sequence number of the first line that must be there, where older files were taken away.
        noted_head: Digest of a line that must be in it; empty: of none.

    Raises:
        OSError: There is no trail, or it cannot be read.
    """
    with standing_still(folder):
        files = trail_files(folder)
        sizes = [(path, path.stat().st_size) for _, path in files]
    walk = _Walk(first_seq, noted_head)
    broken = walk.first_break(_lines(sizes))
    if broken is None and noted_head and not walk.met:
        at = walk.last or Place(folder, 0)
        broken = Break(at, f"no line has the digest {noted_head}: the end was cut off, or all was rewritten")
    return Checked(len(files), walk.count, walk.torn, walk.first_at, walk.last_at, walk.head, broken)


class _Walk:
    """One pass over the lines."""

    def __init__(self, first_seq: int, noted_head: str) -> None:
        self._expected = first_seq
        self._noted = noted_head
        self.met = False
        self.count = self.torn = 0
        self.first_at = self.last_at = ""
        self.head = NO_FORMER
        self.last: Place | None = None

    def first_break(self, lines: Iterator[_Line]) -> Break | None:
        line = next(lines, None)
        while line is not None:
            following = next(lines, None)
            if following is not None and _marks(following.raw, line.raw):
                self.torn += 1
            elif not line.whole:
                return Break(line.place, "torn: the line has no end")
            elif reason := self._take(line):
                return reason
            line = following
        return None

    def _take(self, line: _Line) -> Break | None:
        told = _parsed(line.raw)
        if told is None:
            return Break(line.place, "changed or torn: not a line of the trail")
        seq, former = told.get("seq"), told.get("former")
        if not self.count and self._expected == 1 and (seq, former) != (1, NO_FORMER):
            return Break(line.place, f"removed: the trail begins with line {seq}, expected 1")
        if seq != self._expected:
            kind = "removed" if isinstance(seq, int) and seq > self._expected else "reordered or repeated"
            return Break(line.place, f"{kind}: found line {seq}, expected {self._expected}")
        if self.count and former != self.head:
            assert self.last is not None
            return Break(self.last, f"changed: line {self._expected - 1} is not what line {seq} follows")
        self.head, self.last, self.last_at = digest_of(line.raw), line.place, str(told.get("at", ""))
        self.first_at = self.first_at or self.last_at
        self.met = self.met or self.head == self._noted
        self.count += 1
        self._expected += 1
        return None


def _lines(sizes: list[tuple[Path, int]]) -> Iterator[_Line]:
    """Lines as they were when the walk began, without line feeds."""
    for path, size in sizes:
        with path.open("rb") as file:
            number = 0
            while (left := size - file.tell()) > 0:
                raw = file.readline(left)
                number += 1
                yield _Line(Place(path, number), raw.removesuffix(b"\n"), raw.endswith(b"\n"))


def _marks(raw: bytes, torn: bytes) -> bool:
    """Whether a line is the one that the node puts after a torn one."""
    if b'"torn":' not in raw:
        return False
    told = _parsed(raw)
    return told is not None and told.get("torn") == {"bytes": len(torn), "sha256": digest_of(torn)}


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
