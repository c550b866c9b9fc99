"""Syslog over TLS, as audit repositories take it. Source: RFC 5424, RFC 5425, PS3.15 A.6."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.tls import TlsFiles, trust_of

SECONDS: Final = 15.0
"""For the connection, for each write, and for the end."""
_SECURITY: Final = 10
"""Facility of security and authorization messages. Source: RFC 5424 6.2.1."""
_SEVERITY: Final = {0: 5, 4: 4, 8: 3}
"""Notice, warning, error, by Event Outcome Indicator."""
_MESSAGE_ID: Final = "DICOM+RFC3881"
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class SyslogMessage:
    """One audit message on its way.

    Attributes:
        outcome: Its Event Outcome Indicator.
        at: Its time, RFC 3339.
        seq: Its number in the trail: who receives it sees by gaps what is missing.
    """

    xml: bytes
    outcome: int
    at: str
    seq: int

    def encode(self) -> bytes:
        """The frame with its length."""
        priority = _SECURITY * 8 + _SEVERITY.get(self.outcome, 3)
        host = socket.gethostname().encode("ascii", "replace").decode()[:255] or "-"
        head = f"<{priority}>1 {self.at} {host} dibmg {os.getpid()} {_MESSAGE_ID} "
        # the same type of element is standard: RFC 5424 7.3.1
        head += f'[meta sequenceId="{(self.seq - 1) % 2147483647 + 1}"] '
        message = head.encode("ascii") + _BOM + self.xml
        return b"%d %s" % (len(message), message)


@dataclass(frozen=True)
class SyslogPeer:
    """A syslog receiver; its certificate is always verified."""

    host: str
    port: int
    tls: TlsFiles

    def send(self, messages: Iterable[SyslogMessage]) -> None:
        """Send messages over one connection, and see it ended in good order.

        Syslog has no acknowledgment. A receiver that answers our end of the stream with its own, and does not
        reset the connection, has taken every byte from the network; what it does then is its own affair.

        Raises:
            PeerUnavailableError: No connection, no trust, or no good end: send everything again.
        """
        try:
            with socket.create_connection((self.host, self.port), SECONDS) as plain:
                stream = _TlsStream(plain, trust_of(self.tls), self.host)
                for message in messages:
                    stream.send(message.encode())
                stream.end()
        except OSError as error:
            raise PeerUnavailableError(f"syslog {self.host}:{self.port}: {_reason(error)}") from error


class _TlsStream:
    """One TLS connection as client, on memory buffers.

    `ssl.SSLSocket.unwrap` does not do: OpenSSL's SSL_shutdown takes a fatal alert for the good end that it
    waits for, and with TLS 1.3 an alert is how the receiver says that it did not accept our certificate,
    after we have sent everything.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Shake hands."""
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()

    def send(self, content: bytes) -> None:
        """Send all of it."""
        rest = memoryview(content)
        while rest:
            rest = rest[self._tls.write(rest) :]
            self._flush()

    def end(self) -> None:
        """Tell the end, and wait for the other side's.

        Raises:
            OSError: It was an alert or a reset, or nothing came.
        """
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            self._feed()
            try:
                while self._tls.read(4096):
                    pass
                return  # some releases of Python tell the end by a read of nothing
            except ssl.SSLWantReadError:
                continue
            # many receivers close without close_notify: the end of the stream is told all the same
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return
        raise TimeoutError

    def _flush(self) -> None:
        self._plain.sendall(self._outgoing.read())

    def _feed(self) -> None:
        piece = self._plain.recv(16384)
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or type(error).__name__
