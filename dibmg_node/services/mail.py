"""Alarms by e-mail: SMTP, encrypted as the mail server offers it. The only door to smtplib."""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum
from typing import Final

from dibmg_node.domain.alarm import AlarmMessage
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.alarm_watch import SEND_SECONDS
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.tls import TlsFiles, told_of, trust_of

_log = logging.getLogger(__name__)

_STEP_SECONDS: Final = 10.0
_READY: Final = 220


class MailSecurity(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in.

    Attributes:
        security: STARTTLS and TLS are verified, and nothing is sent without them.
        username: Empty: the server asks for none.
        password: Read for every message.
    """

    host: str
    port: int
    security: MailSecurity
    username: str
    password: Callable[[], str]
    tls: TlsFiles


@dataclass(frozen=True)
class Mail:
    """Addresses that are told of alarms; satisfies `alarm_watch.Channel`."""

    server: MailServer
    from_address: str
    to: tuple[str, ...]
    now: Callable[[], datetime]
    seconds: float = SEND_SECONDS

    def tell(self, message: AlarmMessage) -> None:
        """Hand it in for all addresses at once. As `Channel` has it."""
        server = self.server
        who = f"{server.host}:{server.port}"
        context = _trust(server)
        with (
            Deadline(self.seconds) as deadline,
            _translated(who, deadline),
            _connected(server, context, deadline) as smtp,
        ):
            refused = smtp.send_message(self._letter(message), self.from_address, self.to)
        if refused:
            # the others have it: to try again would tell them twice
            codes = sorted({code for code, _ in refused.values()})
            _log.error("addresses refused", extra={"server": who, "count": len(refused), "codes": codes})

    def _letter(self, message: AlarmMessage) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self.from_address
        letter["To"] = ", ".join(self.to)
        letter["Subject"] = f"[{message.node}] {message.title}"
        letter["Date"] = format_datetime(self.now())
        # an AE title may hold what this header may not
        origin = re.sub(r"[^A-Za-z0-9-]+", ".", message.node)
        letter["Message-ID"] = f"<{message.uid}.{origin}@{self.from_address.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers
        letter.set_content(_text(message))
        return letter


def _text(message: AlarmMessage) -> str:
    return (
        f"{message.sentence}\n\n"
        f"event  {message.event.value}, {message.at:%Y-%m-%d %H:%M:%S} UTC\n"
        f"since  {message.since:%Y-%m-%d %H:%M:%S} UTC\n"
        f"node   {message.node}\n\n"
        "What holds now: dibmg alarms\n"
    )


def _trust(server: MailServer) -> ssl.SSLContext:
    try:
        return trust_of(server.tls)
    except OSError as error:
        told = f"a file of tls cannot be used: {error.strerror or error}"
        raise PeerUnavailableError(f"{server.host}:{server.port}: {told}") from error


@contextmanager
def _connected(server: MailServer, context: ssl.SSLContext, deadline: Deadline) -> Iterator[smtplib.SMTP]:
    smtp = _Watched(server, context, deadline)
    try:
        code, words = smtp.connect(server.host, server.port)
        if code != _READY:
            raise smtplib.SMTPConnectError(code, words)
        if server.security is MailSecurity.STARTTLS:
            smtp.starttls(context=context)
        if server.username:
            smtp.login(server.username, server.password())
        yield smtp
        with suppress(smtplib.SMTPException, OSError):  # it has taken the message
            smtp.quit()
    finally:
        smtp.close()


class _Watched(smtplib.SMTP):
    """A connection that the deadline ends, encrypted from its first byte where that is asked."""

    def __init__(self, server: MailServer, context: ssl.SSLContext, deadline: Deadline) -> None:
        super().__init__(local_hostname=socket.gethostname(), timeout=_STEP_SECONDS)
        self._context = context if server.security is MailSecurity.TLS else None
        self._deadline = deadline
        self._host = server.host  # smtplib's own name for what a certificate has to be for

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        self._deadline.watch(connection)
        if self._context is None:
            return connection
        return self._context.wrap_socket(connection, server_hostname=host)


@contextmanager
def _translated(who: str, deadline: Deadline) -> Iterator[None]:
    """Errors of smtplib in words; what a server says may repeat an address, so its code alone is told."""
    try:
        yield
    # what was cut off in the middle means nothing
    except (smtplib.SMTPException, OSError) as error:
        if deadline.passed:
            raise PeerUnavailableError(f"{who}: no whole answer within {deadline.seconds:g} s") from error
        raise _translation(who, error) from error


def _translation(who: str, error: Exception) -> PeerUnavailableError | PeerRefusedError:
    match error:
        case smtplib.SMTPNotSupportedError():
            return PeerRefusedError(f"{who}: the server offers no STARTTLS, or no login")
        case smtplib.SMTPAuthenticationError():
            return PeerRefusedError(f"{who}: user or password refused ({error.smtp_code})")
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            return _by_code(f"{who}: every address refused", codes[0])
        case smtplib.SMTPResponseException():
            return _by_code(f"{who}: answered", error.smtp_code)
    return PeerUnavailableError(f"{who}: {_why(error)}")


def _by_code(told: str, code: int) -> PeerUnavailableError | PeerRefusedError:
    """5yz needs a person, all else may pass. Source: RFC 5321 4.2.1."""
    kind = PeerRefusedError if code // 100 == 5 else PeerUnavailableError
    return kind(f"{told} ({code})")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {told_of(error)}"
    if isinstance(error, TimeoutError):
        return f"nothing came for {_STEP_SECONDS:g} s"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection: {error.strerror}"
    return "the connection broke, or what was answered is not SMTP"
