"""PDUs from a socket: one buffer, a deadline for each whole PDU, lengths checked before a byte is awaited."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Mapping

from dibmg_node.services.connection import Connection
from dibmg_node.services.pdu import (
    HEADER_LENGTH,
    AbortReason,
    PduType,
    ProtocolError,
    read_header,
    split_data,
)

READ_AHEAD = 1024 * 1024
"""One read takes what is there, up to this: about eight PDUs of the announced length."""

_SMALLEST_READ = 64 * 1024
_MOST_FRAGMENTS = 256
"""Taken at once: a peer may send them of one byte each."""


class PduStream:
    """The PDUs that one peer sends.

    Attributes:
        waited: Seconds spent waiting for the peer so far.
    """

    def __init__(
        self, connection: Connection, longest_pdu: int, before_reuse: Callable[[], None] = lambda: None
    ) -> None:
        """Read from a connection from now on.

        Args:
            connection: Secured, where it is TLS.
            longest_pdu: Largest limit that `read` will be given, bytes without header.
            before_reuse: Called before the memory of bodies that were given out is used again.
        """
        self._before_reuse = before_reuse
        self.waited = 0.0
        self._stalled = 0.0
        self._connection = connection
        # Anonymous memory, not a bytearray: untouched pages cost nothing, and all go back at the end.
        self._buffer = memoryview(mmap.mmap(-1, max(READ_AHEAD, longest_pdu + HEADER_LENGTH)))
        self._start = self._end = 0

    def read(
        self, limits: Mapping[PduType, int], *, first_byte_by: float, within: float
    ) -> tuple[PduType, memoryview]:
        """The next PDU.

        Args:
            limits: Longest body of each type that may come now, bytes.
            first_byte_by: Latest time (`time.monotonic`) of its first byte.
            within: Seconds from its first byte to its last.

        Returns:
            Type and body; the body is valid until `before_reuse` is called.

        Raises:
            ProtocolError: The type is unknown or may not come now, or the PDU is too long.
            DeadlineError: It did not come in time.
            ConnectionLostError: It will not come.
        """
        stalled = self._stalled
        if self._start == self._end:
            self._fill(first_byte_by, stalled)
        complete_by, stalled = time.monotonic() + within, self._stalled
        while self._end - self._start < HEADER_LENGTH:
            self._fill(complete_by, stalled)
        kind, length = read_header(self._buffer, self._start)
        if kind not in limits:
            raise ProtocolError(AbortReason.UNEXPECTED_PDU, f"{kind.name} does not belong here")
        if length > limits[kind]:
            raise ProtocolError(
                AbortReason.INVALID_PARAMETER, f"{kind.name} of {length} bytes, at most {limits[kind]}"
            )
        stop = HEADER_LENGTH + length
        while self._end - self._start < stop:
            self._fill(complete_by, stalled)
        body = self._buffer[self._start + HEADER_LENGTH : self._start + stop]
        self._start += stop
        return kind, body

    def data(self, context_id: int, longest: int) -> list[memoryview]:
        """What of a data set is here already and need not be awaited; may be nothing.

        Args:
            context_id: Of its message.
            longest: Longest PDU, bytes without header.

        Returns:
            Fragments, none of them the last; valid as bodies are.
        """
        here = self._buffer[self._start : self._end]
        fragments, used = split_data(here, context_id, longest, _MOST_FRAGMENTS)
        self._start += used
        return fragments

    def _fill(self, deadline: float, stalled_before: float) -> None:
        """Receive more; what `before_reuse` took since the deadline was set is not the peer's delay."""
        held = self._end - self._start
        if len(self._buffer) - self._end < _SMALLEST_READ:
            began = time.monotonic()
            self._before_reuse()
            self._stalled += time.monotonic() - began
            self._buffer[:held] = self._buffer[self._start : self._end]
            self._start, self._end = 0, held
        began = time.monotonic()
        try:
            by = deadline + self._stalled - stalled_before
            self._end += self._connection.receive_into(self._buffer[self._end :], by)
        finally:
            self.waited += time.monotonic() - began
