"""The audit trail read on from where it was left, for whoever passes its lines on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from dibmg_node.storage.trail import trail_file, trail_files

_LOOKED_AT: Final = 4096
"""Bytes before a bookmark."""


@dataclass(frozen=True)
class Bookmark:
    """How far somebody has read.

    Attributes:
        number: Of the file; 0: nothing was read yet.
        offset: Bytes of it.
        seq: Of the last line.
        error: Why nothing more was passed on; empty where it was.
        before: SHA-256 of the bytes that end there; empty where a former version kept none.
        cut_at: When the trail was last found to end before what was read, so that it is read from its
            beginning again; ISO 8601, empty where it never was.
    """

    number: int = 0
    offset: int = 0
    seq: int = 0
    error: str = ""
    before: str = ""
    cut_at: str = ""


def load_bookmark(path: Path) -> Bookmark:
    """The bookmark in a file; the beginning where there is none, or none that can be used."""
    try:
        return Bookmark(**json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return Bookmark()


def save_bookmark(path: Path, bookmark: Bookmark) -> None:
    """Keep a bookmark, whole or not at all.

    Raises:
        OSError: It could not be written.
    """
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="ascii") as file:
        json.dump(asdict(bookmark), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def still_holds(folder: Path, bookmark: Bookmark) -> bool:
    """Whether the trail still has, at its place, what was read last; older files may have been taken away.

    Where its end was cut off, or all of it removed, it grows again from before the bookmark.

    Raises:
        OSError: A file cannot be read.
    """
    if not bookmark.number:
        return True
    path = trail_file(folder, bookmark.number)
    if not path.exists():
        return any(one > bookmark.number for one, _ in trail_files(folder))
    if path.stat().st_size < bookmark.offset:
        return False
    return not bookmark.before or _before(path, bookmark.offset) == bookmark.before


def read_on(folder: Path, bookmark: Bookmark, most: int) -> tuple[Sequence[Mapping[str, Any]], Bookmark]:
    """The next lines of the trail that are whole, and where they end.

    What is no line (a torn one) is passed over.

    Args:
        folder: Of the trail.
        bookmark: Where to begin.
        most: Number of lines.

    Raises:
        OSError: A file cannot be read.
    """
    number, offset, seq = bookmark.number, bookmark.offset, bookmark.seq
    if not trail_file(folder, number).exists():
        later = [one for one, _ in trail_files(folder) if one > number]
        if not later:
            return [], bookmark
        number, offset = later[0], 0
    found: list[Mapping[str, Any]] = []
    while len(found) < most:
        with trail_file(folder, number).open("rb") as file:
            file.seek(offset)
            while len(found) < most and (raw := file.readline()).endswith(b"\n"):
                offset += len(raw)
                told = _parsed(raw)
                if told is not None:
                    found.append(told)
                    seq = int(told["seq"])
        if len(found) >= most or not trail_file(folder, number + 1).exists():
            break
        number, offset = number + 1, 0
    before = _before(trail_file(folder, number), offset)
    return found, Bookmark(number, offset, seq, before=before, cut_at=bookmark.cut_at)


def _before(path: Path, offset: int) -> str:
    """SHA-256 of the bytes of a file that end at an offset: with the last line's digest of the one before."""
    with path.open("rb") as file:
        file.seek(max(0, offset - _LOOKED_AT))
        return sha256(file.read(min(offset, _LOOKED_AT))).hexdigest()


def _parsed(raw: bytes) -> Mapping[str, Any] | None:
    try:
        told = json.loads(raw)
        int(told["seq"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
