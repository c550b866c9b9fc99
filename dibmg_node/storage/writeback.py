"""Begins to write a file to the disk while it still grows. Only this module knows the system call."""

from __future__ import annotations

import ctypes
from typing import Final

_BEGIN: Final = 2
"""SYNC_FILE_RANGE_WRITE: whatever is dirty is handed to the disk, and nothing is awaited."""
_LIBC: Final = ctypes.CDLL(None)
_OFFSET: Final = ctypes.c_int64


def begin_writeback(descriptor: int, offset: int, size: int) -> None:
    """Let the disk begin with a part of a file, so that less is left to the fsync at its end.

    Safe is nothing before that fsync, which also tells of errors; the answer here says nothing.

    Source: sync_file_range(2), Linux 2.6.17.
    """
    _LIBC.sync_file_range(descriptor, _OFFSET(offset), _OFFSET(size), _BEGIN)
