"""A syslog server over TLS."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from contextlib import suppress

WAIT_SECONDS = 60


class Receiver:
    """A syslog server over TLS, as RFC 5425 has it: a length, a blank, a message.

    Attributes:
        messages: Every whole message, in order.
        resets: Number of connections that are reset without a byte read.
    """

    def __init__(self, context: ssl.SSLContext, *, says_goodbye: bool = True) -> None:
        self.messages: list[bytes] = []
        self.resets = 0
        self._context = context
        self._says_goodbye = says_goodbye
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= number, WAIT_SECONDS)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_SECONDS)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(WAIT_SECONDS)
        with self._context.wrap_socket(connection, server_side=True) as secured:
            if self.resets:
                self.resets -= 1
                secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            buffer = b""
            while piece := secured.recv(4096):
                buffer += piece
                buffer = self._take(buffer)
            assert buffer == b""
            if self._says_goodbye:
                secured.unwrap()

    def _take(self, buffer: bytes) -> bytes:
        while found := re.match(rb"([1-9][0-9]*) ", buffer):
            end = found.end() + int(found[1])
            if len(buffer) < end:
                break
            with self._changed:
                self.messages.append(buffer[found.end() : end])
                self._changed.notify_all()
            buffer = buffer[end:]
        return buffer


def xml_of(message: bytes) -> bytes:
    return message.partition(b"\xef\xbb\xbf")[2]
