"""Who may ask: a bearer token, or this machine alone; and one line in the log for every request."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dibmg_node.errors import ConfigError
from dibmg_node.services.audit import Auditor
from dibmg_node.web.threads import in_thread

_log = logging.getLogger(__name__)

_GUARDED: Final = "/dicom-web"
"""Health is for everybody, the pages have a guard of their own."""
_UNKEPT: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of what names patients."""
_FORWARDED: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)


class Bearer:
    """The tokens that open DICOMweb and the metrics.

    Attributes:
        asked: Whether there was any at the start; if so, one is asked of everybody from then on.
    """

    def __init__(self, tokens: Callable[[], Sequence[str]]) -> None:
        """Make a guard.

        Args:
            tokens: Reads them anew for every request, so that one is renewed while the node runs. While
                the new one comes into use, both hold.
        """
        self._tokens = tokens
        self.asked = bool(tokens())

    def opens(self, headers: Headers) -> bool:
        """Whether a request has one of them."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = sha256(token.strip().encode()).digest()
        try:
            wanted = [sha256(one.encode()).digest() for one in self._tokens()]
        except ConfigError as error:
            _log.error("no bearer token can be read, nobody is let in", extra={"reason": str(error)})
            return False
        # digests have one length, and all are compared: how long it takes tells nothing of any token
        return scheme.lower() == "bearer" and sum(hmac.compare_digest(given, one) for one in wanted) > 0

    @staticmethod
    def challenge() -> Response:
        """The answer to a request that has none."""
        challenge = {"WWW-Authenticate": 'Bearer realm="dibmg"'}
        return PlainTextResponse("a bearer token is asked for", 401, challenge)


class Access:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, bearer: Bearer, loopback_names_only: bool, audit: Auditor) -> None:
        """Guard an application.

        Args:
            app: What is guarded.
            bearer: The tokens of DICOMweb.
            loopback_names_only: Refuse requests to DICOMweb that call this machine by another name: a page
                that has its own name resolve to 127.0.0.1 would read results through its visitor's browser.
            audit: Told who was let in by a token, and who was not.
        """
        self._audit = audit
        self._app = app
        self._bearer = bearer
        self._loopback_names_only = loopback_names_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on; what DICOMweb answers is kept nowhere on its way."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.monotonic()
        client = scope.get("client")
        peer_address = client[0] if client else ""
        refusal = self._refusal(scope)

        async def send_noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.start" and scope["path"].startswith(_GUARDED):
                MutableHeaders(scope=message).update(_UNKEPT)
            await send(message)

        try:
            await self._tell(scope, peer_address, refusal)
            await (refusal or self._app)(scope, receive, send_noting)
        finally:
            # URLs of QIDO-RS hold names and dates of birth: the endpoint is named, never the URL
            endpoint = scope.get("endpoint")
            extra = {
                "method": scope["method"],
                "endpoint": getattr(endpoint, "__name__", ""),
                "status": status,
                "peer_address": peer_address,
                "seconds": round(time.monotonic() - started, 3),
            }
            _log.info("request answered", extra=extra)

    async def _tell(self, scope: Scope, peer_address: str, refusal: Response | None) -> None:
        """Enter who was let in by a token, and who was not."""
        if refusal is not None:
            reason = {401: "no token, or a wrong one", 403: "not called by a name of this machine"}
            await in_thread(self._audit.not_authenticated, peer_address, reason[refusal.status_code])
        elif self._bearer.asked and scope["path"].startswith(_GUARDED):
            await in_thread(self._audit.authenticated, peer_address)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not scope["path"].startswith(_GUARDED):
            return None
        if self._bearer.asked:
            return None if self._bearer.opens(headers) else self._bearer.challenge()
        if self._loopback_names_only and not is_loopback(headers.get("host", "")):
            return PlainTextResponse("without a token this node answers to localhost only", 403)
        if self._loopback_names_only and is_forwarded(headers):
            return PlainTextResponse("behind a proxy DICOMweb needs a token", 403)
        return None


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy asks for somebody else, who may be on another machine."""
    return any(name in headers for name in _FORWARDED)


def is_loopback(host: str) -> bool:
    """Whether a Host header calls this machine by one of its loopback names."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
