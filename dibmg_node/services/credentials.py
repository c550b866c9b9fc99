"""Who this node is to a web server: bearer token, password, or a token of its own from an OAuth2 server."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote_plus, urlencode

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import ConfigError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Answer, Request, exchange
from dibmg_node.services.outcomes import outcome_of_http
from dibmg_node.services.tls import TlsFiles

Secret = Callable[[], str]
"""Reads a secret when it is needed, so that none is kept, shown, or old."""

_LONGEST_ANSWER: Final = 1 << 16
_EARLIER: Final = timedelta(seconds=30)
"""A token is not used in its last seconds: it would expire on its way."""
_LONGEST_LIFE: Final = 31_536_000
_OAUTH_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
"""RFC 6749 5.2; other texts of a server are not repeated."""


class Credentials(Protocol):
    """What the header Authorization says."""

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        """Value of the header; empty for none.

        Raises:
            PeerUnavailableError: The secret cannot be read, or the token server does not answer.
            PeerRefusedError: The token server refuses us.
        """

    def renew(self) -> bool:
        """Forget what the server no longer takes; whether the next value may be another one."""


@dataclass(frozen=True)
class Anonymous:
    """No credentials."""

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        """Nothing."""
        return ""

    def renew(self) -> bool:
        """There is nothing else to try."""
        return False


@dataclass(frozen=True)
class Bearer:
    """A token that somebody else renews. Source: RFC 6750."""

    token: Secret

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        """The token as it is now."""
        return f"Bearer {_checked(_read(self.token))}"

    def renew(self) -> bool:
        """Whoever writes the token renews it."""
        return False


@dataclass(frozen=True)
class Basic:
    """User name and password. Source: RFC 7617."""

    username: str
    password: Secret

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        """Both, encoded."""
        return _basic(self.username, _read(self.password))

    def renew(self) -> bool:
        """There is one password."""
        return False


@dataclass
class ClientCredentials:
    """A token of the node's own, kept until it expires. Source: RFC 6749 4.4."""

    token_url: str
    client_id: str
    client_secret: Secret
    scope: str
    tls: TlsFiles
    _token: str = field(default="", init=False, repr=False)
    _expires_at: datetime | None = field(default=None, init=False, repr=False)

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        """The token, fetched where there is none or where it is about to expire."""
        if self._expires_at is None or now >= self._expires_at:
            self._fetch(deadline, now)
        return f"Bearer {self._token}"

    def renew(self) -> bool:
        """The server may have withdrawn the token before its time."""
        self._token, self._expires_at = "", None
        return True

    def _fetch(self, deadline: Deadline, now: datetime) -> None:
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        body = urlencode(form).encode()
        request = Request(
            "POST",
            self.token_url,
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                # both encoded as in a form first: RFC 6749 2.3.1
                "Authorization": _basic(quote_plus(self.client_id), quote_plus(_read(self.client_secret))),
            },
            [body],
            len(body),
            _LONGEST_ANSWER,
        )
        answer = exchange(request, self.tls, deadline, now)
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer)
        self._token, seconds = _token_in(answer)
        self._expires_at = now + timedelta(seconds=seconds) - _EARLIER


def _refusal(answer: Answer) -> Exception:
    told = f"the token server answered {answer.status}"
    if outcome_of_http(answer.status) is DeliveryState.OWED:
        return PeerUnavailableError(told, answer.retry_after)
    error = _field(answer, "error")
    return PeerRefusedError(f"{told} {error}" if isinstance(error, str) and error in _OAUTH_ERRORS else told)


def _token_in(answer: Answer) -> tuple[str, float]:
    """Token and its life in seconds; 0, used once, where the server does not say how long.

    Raises:
        PeerUnavailableError: The answer has no token that can be used.
    """
    token, kind, life = (_field(answer, name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
        raise PeerUnavailableError("the token server's answer holds no bearer token")
    try:
        seconds = float(str(life))  # some servers write the number as text
    except ValueError:
        seconds = 0.0
    return _checked(token), seconds if 0 < seconds <= _LONGEST_LIFE else 0.0


def _field(answer: Answer, name: str) -> object:
    try:
        content = json.loads(answer.body or b"")
    except (ValueError, RecursionError):
        return None
    return content.get(name) if isinstance(content, dict) else None


def _read(secret: Secret) -> str:
    try:
        return secret()
    except ConfigError as error:
        raise PeerUnavailableError(str(error)) from error


def _checked(token: str) -> str:
    """A token that a header can hold: the error of whoever refuses another one would quote it."""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise PeerUnavailableError("the token is empty or holds characters that no header can hold")
    return token


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode("ascii")
