"""A mail server on a free port that keeps what it is handed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pacs import free_port


@dataclass
class MailPeer:
    """What aiosmtpd asks for every message.

    Attributes:
        answer: To a whole message.
        refused: Addresses that it does not know.
        letters: What was handed in.
        given_to: Addresses of each of them.
    """

    answer: str = "250 OK"
    refused: frozenset[str] = frozenset()
    letters: list[EmailMessage] = field(default_factory=list)
    given_to: list[list[str]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the same
        if self.answer.startswith("250"):
            letter = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
            self.given_to.append(list(envelope.rcpt_tos))
        return self.answer

    @contextmanager
    def running(
        self, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, password: str = ""
    ) -> Iterator[MailPeer]:
        """Listen; with a password, the user `node` has to log in."""

        def check(
            server: Any, session: Any, envelope: Any, mechanism: str, login: LoginPassword
        ) -> AuthResult:
            right = (login.login, login.password) == (b"node", password.encode())
            return AuthResult(success=right, handled=right)

        self.port = free_port()
        controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=tls,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=check if password else None,
            auth_required=bool(password),
            auth_require_tls=tls is None,
        )
        controller.start()
        try:
            yield self
        finally:
            controller.stop()
