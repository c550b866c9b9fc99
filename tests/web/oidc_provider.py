"""A small provider of OpenID Connect: discovery, codes that count once, PKCE, signed tokens."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "dibmg", "a secret: of %some length"


@dataclass
class Provider:
    """What it does, and what a test has it do wrong.

    Attributes:
        issuer: Set once its port is known.
        person: Claims of whoever logs in.
        wrong: Claims of the token that are not as they should be.
        metadata: The same of what it says of itself.
        forms: What the token endpoint was sent.
    """

    now: Callable[[], float]
    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "4711", "roles": ["radiology"]})
    wrong: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}))
    published: RSAKey | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def app(self) -> Starlette:
        """Its web service."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
            ]
        )

    def log_in(self, url: str) -> str:
        """What a person does there: the URL that the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert asked["client_id"] == CLIENT
        code = f"code-{len(self.forms)}"
        self._codes[code] = asked
        return asked["redirect_uri"] + "?" + urlencode({"code": code, "state": asked["state"]})

    def describe(self, request: Request) -> Response:
        """Discovery."""
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse({**told, **self.metadata})

    def authorize(self, request: Request) -> Response:
        """For a real browser."""
        return RedirectResponse(self.log_in(str(request.url)), 303)

    def keys(self, request: Request) -> Response:
        """Its public key."""
        return JSONResponse({"keys": [(self.published or self.key).as_dict(private=False)]})

    async def token(self, request: Request) -> Response:
        """A token for a code, once."""
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.forms.append(form)
        asked = self._codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if form["redirect_uri"] != asked["redirect_uri"] or not _is_client(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        at = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": at,
            "exp": at + 300,
            "nonce": asked["nonce"],
            **self.person,
            **self.wrong,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


def _is_client(request: Request) -> bool:
    kind, _, both = request.headers.get("authorization", "").partition(" ")
    expected = urlencode({"": CLIENT})[1:] + ":" + urlencode({"": SECRET})[1:]
    return kind == "Basic" and b64decode(both).decode() == expected
