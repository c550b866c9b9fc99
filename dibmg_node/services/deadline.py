"""A time limit on connections that holds whatever the peer does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType


class Deadline:
    """Ends every connection that is watched once its time is over.

    The time-outs of a client count from byte to byte: a peer that drips never reaches them.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """End a connection in time, whatever wraps its socket later."""
        with self._lock:
            self._watched.append(connection.dup())
            if self.passed:
                self._shut_down()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        for one in self._watched:
            one.close()

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            self._shut_down()

    def _shut_down(self) -> None:
        for one in self._watched:
            with suppress(OSError):  # the peer was faster
                one.shutdown(socket.SHUT_RDWR)
