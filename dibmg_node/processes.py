"""Processes of one machine: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent ends, however that ends."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, sign, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def process_name(role: str) -> str:
    """How a process signs: its role and its machine."""
    return f"{role}@{socket.gethostname()}"


def is_alive(name: str, pid: int) -> bool | None:
    """Whether a process lives; None where it runs on another machine."""
    if name.partition("@")[2] != socket.gethostname():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
