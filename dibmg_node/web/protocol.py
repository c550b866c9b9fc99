"""One HTTP connection: uvicorn's, with a deadline for all that the application does not wait for itself."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
STALL_SECONDS: Final = 30.0


class DeadlineProtocol(H11Protocol):
    """Cut when it neither sends a whole request head nor is being answered, or does not read its answer.

    uvicorn waits without end for the first byte of a connection, for the end of a head and for a peer that
    does not read, and it reads a body that was answered early for as long as it drips: a few hundred silent
    connections would stop the server.

    Attributes:
        head_seconds: For a connection's first request head, for the next one, and for the rest of a body
            that was refused (it is read that long so that its sender sees the answer).
        stall_seconds: For the peer to make room for more of an answer.
    """

    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS
    _head: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete head ends the wait."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start to wait for the rest of this request, and for the next one."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Start to wait for the peer to read."""
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has read."""
        self._stall = _end(self._stall)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End every wait."""
        self._head, self._stall = _end(self._head), _end(self._stall)
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._head = _end(self._head)  # the application has it, with deadlines of its own
        elif self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self.transport.abort)


def _end(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Stop a timer; what stands in its place."""
    if timer is not None:
        timer.cancel()
    return None
