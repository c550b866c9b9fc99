"""A nudge from one process of a node to another: there is something to look for now.

To lose one loses nothing: who is nudged looks by itself, only later.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

from dibmg_node.machine.latch import Latch

_log = logging.getLogger(__name__)

_READ: Final = 4096


class Nudges:
    """The side that is nudged.

    Source: fifo(7).
    """

    def __init__(self, path: Path) -> None:
        """Listen; what others nudge from now on is noticed.

        Args:
            path: Of a named pipe, made where there is none. On a file system that has no pipes nobody is
                nudged, and that is logged.
        """
        self._pipe: int | None = None
        try:
            if path.exists() and not stat.S_ISFIFO(path.stat().st_mode):
                path.unlink()
            with suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            # for writing, too: without any writer a pipe would be ready to be read all the time
            self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            _log.warning("no named pipe: nobody is nudged", extra={"reason": error.strerror})
        else:
            weakref.finalize(self, os.close, self._pipe)

    def wait(self, stopping: Latch, seconds: float) -> bool:
        """Wait for a nudge, for a latch, or for some seconds; whether the latch is set."""
        poll = select.poll()
        poll.register(stopping.fileno(), select.POLLIN)
        if self._pipe is not None:
            poll.register(self._pipe, select.POLLIN)
        poll.poll(seconds * 1000)
        if self._pipe is not None:
            with suppress(BlockingIOError):  # nobody nudged
                os.read(self._pipe, _READ)
        return stopping.is_set()


def nudge(path: Path) -> None:
    """Nudge whoever listens there; nobody does where that process has ended or is on another machine."""
    # it may end in this moment, too, or the pipe is full of nudges that are still to be noticed
    with suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(pipe, b"\0")
        finally:
            os.close(pipe)
