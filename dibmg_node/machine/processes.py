"""Processes of one machine: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dibmg_node.errors import PermanentError

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends.

    Args:
        parent: Process ID of the parent, which may have ended already.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def alone(path: Path, complaint: str) -> Iterator[None]:
    """Hold a lock file; the kernel frees it when the process ends, however that ends.

    Raises:
        PermanentError: Another process holds it; the message is the complaint.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermanentError(complaint) from error
        yield


def process_name(role: str, node: str) -> str:
    """How a process signs: its role and its node."""
    return f"{role}@{node}"


def is_alive(process: str, pid: int, node: str) -> bool | None:
    """Whether a process lives; None where it is one of another node, whose process IDs mean nothing here."""
    if process.partition("@")[2] != node:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
