"""An event that a signal handler may set."""

from __future__ import annotations

import os
import select
import weakref


class Latch:
    """Set once by a signal's handler, or by anybody; others wait for it.

    `threading.Event` does not do for that: it holds a lock while it looks whether it is set, and a handler
    that runs in this moment, on the thread that looks, waits for that lock for ever. A counter in the
    kernel needs no lock.

    Source: eventfd(2).
    """

    def __init__(self) -> None:
        """Make a latch that is not set."""
        self._counter = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._counter)

    def fileno(self) -> int:
        """What is ready to be read once it is set: who waits for other things as well polls it."""
        return self._counter

    def set(self) -> None:
        """Set it; everybody who waits goes on."""
        os.eventfd_write(self._counter, 1)

    def clear(self) -> None:
        """Take it back."""
        if self.is_set():
            os.eventfd_read(self._counter)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or for some seconds; whether it is set."""
        poll = select.poll()
        poll.register(self._counter, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
