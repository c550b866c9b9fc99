"""One accepted socket, plain or TLS, on which everything has a deadline."""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress

from dibmg_node.domain.subject import subject_text
from dibmg_node.services.tls import ServerTls, told_of

_TOO_SLOW = "the peer was silent or too slow"
FAREWELL_SECONDS = 1.0
"""How long a peer may take to read our last PDU and to close. Closing first, with bytes of the peer
still unread, resets the connection and takes that PDU away from it."""


class DeadlineError(Exception):
    """The peer was too slow."""


class ConnectionLostError(Exception):
    """The peer closed the connection, or the network did."""


class TlsRefusedError(ConnectionLostError):
    """The handshake failed: no TLS, or no certificate that is accepted."""


class Connection:
    """One accepted socket. One thread uses it; `wake` may be called from any.

    Attributes:
        address: Of the peer.
        port: Of the peer.
    """

    def __init__(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Take an accepted socket over, and its time-out.

        Args:
            accepted: Without TLS yet.
            peer: Address and port.
        """
        self._socket = accepted
        self.address, self.port = peer[:2]

    def secure(self, tls: ServerTls | None, deadline: float) -> None:
        """Set the socket's options, and shake hands where there is TLS.

        Args:
            tls: Server side; None: plain.
            deadline: Latest time (`time.monotonic`) of the end of the handshake.

        Raises:
            DeadlineError: The handshake was not complete in time.
            TlsRefusedError: It failed over what the peer showed.
            ConnectionLostError: It failed over the network.
        """
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                secured = tls.context.wrap_socket(
                    self._socket, server_side=True, do_handshake_on_connect=False
                )
                self._socket = secured
                secured.do_handshake()
            # with a time-out the interpreter would poll before each of many thousand reads
            self._socket.setblocking(False)
        except TimeoutError as error:
            raise DeadlineError("TLS handshake not complete in time") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:  # which of them depends on Python
            raise ConnectionLostError("closed within the TLS handshake") from error
        except ssl.SSLError as error:
            raise TlsRefusedError(f"TLS handshake failed: {told_of(error)}") from error
        except OSError as error:
            raise ConnectionLostError(f"no connection or no TLS: {type(error).__name__}") from error

    @property
    def certificate_subject(self) -> str | None:
        """`O=Clinic,CN=mg1` of the verified client certificate, printable ASCII; None without one."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return None
        # Typed by typeshed as strings or tuples of any depth; the subject is a tuple of RDNs.
        names: object = (self._socket.getpeercert() or {}).get("subject", ())
        attributes = [a for rdn in names for a in rdn] if isinstance(names, tuple) else []
        return subject_text(attributes) or None

    def receive_into(self, view: memoryview, deadline: float) -> int:
        """Receive what is there, at least one byte.

        Args:
            view: Where to; not empty.
            deadline: Latest time (`time.monotonic`).

        Returns:
            Bytes received.

        Raises:
            DeadlineError: Nothing came in time.
            ConnectionLostError: Nothing will come.
        """
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineError(_TOO_SLOW)
            try:
                received = self._socket.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._await(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._await(select.POLLOUT, deadline)
            except OSError as error:
                raise ConnectionLostError(type(error).__name__) from error
            else:
                if received == 0:
                    raise ConnectionLostError("closed by the peer")
                return received

    def _await(self, event: int, deadline: float) -> None:
        """Wait until the socket can be read or written, or is closed."""
        poll = select.poll()
        poll.register(self._socket, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise DeadlineError(_TOO_SLOW)

    def send(self, encoded: bytes, seconds: float) -> None:
        """Send all of it.

        Raises:
            DeadlineError: The peer did not take it in time.
            ConnectionLostError: The peer cannot be reached any more.
        """
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(encoded)
            self._socket.setblocking(False)
        except TimeoutError as error:
            raise DeadlineError("the peer does not read its answers") from error
        except OSError as error:
            raise ConnectionLostError(type(error).__name__) from error

    def send_last(self, encoded: bytes) -> None:
        """Send the last PDU, if the peer can still be reached."""
        with suppress(DeadlineError, ConnectionLostError):
            self.send(encoded, FAREWELL_SECONDS)

    def await_close(self) -> None:
        """Nothing more will be sent: give the peer a moment to read and to close."""
        deadline = time.monotonic() + FAREWELL_SECONDS
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (remaining := deadline - time.monotonic()) > 0:
                self._socket.settimeout(remaining)
                if not self._socket.recv(64 * 1024):
                    return

    def wake(self) -> None:
        """Let a thread that waits in `receive_into` find the connection closed.

        On a plain connection the A-ABORT can still be sent. OpenSSL takes the end of the stream for an
        attack and closes: a TLS peer sees that instead.
        """
        # The base class's method: SSLSocket.shutdown belongs to the thread that uses the session.
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()
