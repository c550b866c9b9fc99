"""A login at a provider of OpenID Connect: authorization code flow with PKCE.

Source: OpenID Connect Core 1.0, 3.1; Discovery 1.0, 4; RFC 7636.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from dibmg_node.errors import ConfigError, PeerRefusedError, PeerUnavailableError
from dibmg_node.sections.values import check_web_url, is_exposed
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Answer, Request, exchange
from dibmg_node.services.id_token import Expected, UnknownKeyError, verified_claims
from dibmg_node.services.tls import TlsFiles
from dibmg_node.storage.users import UserRole

CALLBACK: Final = "/login/oidc/callback"
_SECONDS: Final = 15.0
_LONGEST_ANSWER: Final = 1 << 18
_KEPT: Final = timedelta(hours=1)
"""What a provider says of itself; renewed before where a token has a key that is not in it."""
_RENEWED_AGAIN: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 64
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class OidcClient:
    """What the node is to the provider, and whom it lets in.

    Attributes:
        client_secret: None: a public client, by PKCE alone.
        redirect_uri: Where the provider sends browsers back to.
        roles_claim: A claim, or a path in the claims, with dots.
        roles: Values of it that make an operator, and a viewer; an operator is looked for first.
        tls: Whom it trusts.
    """

    issuer: str
    client_id: str
    client_secret: Callable[[], str] | None
    redirect_uri: str
    scope: str
    roles_claim: str
    roles: Mapping[UserRole, Sequence[str]]
    tls: TlsFiles

    @property
    def stamp(self) -> str:
        """Changes with what decides who may in; a session that has another one is over."""
        told = [self.issuer, self.client_id, self.roles_claim]
        told += [f"{role.value}={sorted(values)}" for role, values in sorted(self.roles.items())]
        return sha256("\n".join(told).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Begun:
    """A login that was begun; only the browser that began it may end it.

    Attributes:
        state: Comes back in the URL.
        nonce: Comes back in the token.
        verifier: Shown to the provider with the code.
    """

    state: str
    nonce: str
    verifier: str

    def is_answered_by(self, brought: Mapping[str, str]) -> bool:
        """Whether the query of the way back is of this login. Source: RFC 6749 10.12."""
        return secrets.compare_digest(brought.get("state", "").encode(), self.state.encode())


@dataclass(frozen=True)
class Identity:
    """Who has logged in."""

    name: str
    role: UserRole


@dataclass(frozen=True)
class _Provider:
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    keys: Any
    read_at: datetime


@dataclass
class OidcLogin:
    """Sends browsers to the provider, and believes what they bring back once it is proven."""

    client: OidcClient
    now: Callable[[], datetime]
    _provider: _Provider | None = field(default=None, init=False)

    def begin(self) -> tuple[str, Begun]:
        """Where the browser goes, and what is kept of it.

        Raises:
            PeerUnavailableError: The provider does not answer.
            PeerRefusedError: What it says of itself cannot be used.
        """
        provider = self._read(_KEPT)
        begun = Begun(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scope,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        mark = "&" if "?" in provider.authorization_endpoint else "?"
        return provider.authorization_endpoint + mark + urlencode(asked), begun

    def finish(self, begun: Begun, brought: Mapping[str, str]) -> Identity:
        """Who it is.

        Args:
            begun: What was kept of the beginning.
            brought: The query of the URL that the provider sent the browser back to.

        Raises:
            PeerUnavailableError: The provider does not answer.
            PeerRefusedError: It was refused, by the provider or here; the message says why, without a token.
        """
        if not begun.is_answered_by(brought):
            raise PeerRefusedError("this is not the login that was begun here: begin again")
        provider = self._read(_KEPT)
        # mix-up of providers: RFC 9207
        if brought.get("iss", provider.issuer) != provider.issuer:
            raise PeerRefusedError("another provider answered")
        if "code" not in brought:
            raise PeerRefusedError("the provider did not log you in")
        token = self._redeem(provider, brought["code"], begun.verifier)
        expected = Expected(provider.issuer, self.client.client_id, begun.nonce, self.now())
        try:
            claims = verified_claims(token, provider.keys, expected)
        except UnknownKeyError:
            provider = self._read(_RENEWED_AGAIN)
            claims = verified_claims(token, provider.keys, expected)
        return Identity(_name_in(claims), self._role_in(claims))

    def _role_in(self, claims: Mapping[str, Any]) -> UserRole:
        held: Any = claims
        # a claim may be named like an address, with dots of its own
        wanted = self.client.roles_claim
        for name in [wanted] if wanted in claims else wanted.split("."):
            held = held.get(name) if isinstance(held, Mapping) else None
        values = {held} if isinstance(held, str) else set(map(str, held if isinstance(held, list) else ()))
        for role in (UserRole.OPERATOR, UserRole.VIEWER):
            if values & set(self.client.roles.get(role, ())):
                return role
        raise PeerRefusedError(f"your claim {self.client.roles_claim!r} holds no role of this node")

    def _redeem(self, provider: _Provider, code: str, verifier: str) -> str:
        """The ID token for a code. Source: Core 3.1.3."""
        client = self.client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if client.client_secret is None:
            form["client_id"] = client.client_id
        else:
            try:
                secret = client.client_secret()
            except ConfigError as error:
                raise PeerUnavailableError(str(error)) from error
            # both encoded as in a form first: RFC 6749 2.3.1
            both = f"{quote_plus(client.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = "Basic " + b64encode(both.encode()).decode("ascii")
        body = urlencode(form).encode()
        request = Request(
            "POST", provider.token_endpoint, headers, [body], len(body), longest_answer=_LONGEST_ANSWER
        )
        answer = self._ask(request)
        if answer.status // 100 == 4:
            raise PeerRefusedError(f"the provider does not take the code (HTTP {answer.status}): begin again")
        token = _json_of(answer).get("id_token")
        if not isinstance(token, str):
            raise PeerRefusedError("the provider's answer holds no ID token")
        return token

    def _read(self, age: timedelta) -> _Provider:
        """What the provider says of itself, no older than that."""
        known = self._provider
        if known is not None and self.now() - known.read_at < age:
            return known
        told = self._get(f"{self.client.issuer}/.well-known/openid-configuration")
        issuer = told.get("issuer")
        if not isinstance(issuer, str) or issuer.rstrip("/") != self.client.issuer:
            raise PeerRefusedError("the provider calls itself otherwise than web.oidc.issuer")
        authorization, token, keys = (_endpoint(told, name) for name in _ENDPOINTS)
        self._provider = _Provider(issuer, authorization, token, self._get(keys), self.now())
        return self._provider

    def _get(self, url: str) -> dict[str, Any]:
        return _json_of(
            self._ask(Request("GET", url, {"Accept": "application/json"}, longest_answer=_LONGEST_ANSWER))
        )

    def _ask(self, request: Request) -> Answer:
        with Deadline(_SECONDS) as deadline:
            return exchange(request, self.client.tls, deadline, self.now())


def _endpoint(told: Mapping[str, Any], name: str) -> str:
    url = told.get(name)
    try:
        # an authorization endpoint may have a query
        check_web_url(str(url).partition("?")[0])
    except ValueError as error:
        raise PeerRefusedError(f"the provider's {name} is no URL") from error
    if is_exposed(url):
        raise PeerRefusedError(f"the provider's {name} is not protected by TLS")
    return str(url)


def _json_of(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise PeerUnavailableError(f"the provider answered HTTP {answer.status}", answer.retry_after)
    try:
        told = json.loads(answer.body or b"")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise PeerUnavailableError("the provider's answer is no JSON object")
    return told


def _name_in(claims: Mapping[str, Any]) -> str:
    """What the pages call a person: for the audit trail a name that one can ask for, else the subject."""
    for name in ("preferred_username", "email", "sub"):
        value = claims.get(name)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:_LONGEST_NAME]
    raise PeerRefusedError("the provider's token names nobody")
