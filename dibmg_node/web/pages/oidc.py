"""Logging in at a provider of OpenID Connect: there, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Final

from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.oidc import Begun, OidcLogin
from dibmg_node.web.pages.attempts import Attempts
from dibmg_node.web.pages.guard import begin_provided_session
from dibmg_node.web.pages.login import inside
from dibmg_node.web.pages.template import Templates
from dibmg_node.web.search import peer_address
from dibmg_node.web.threads import in_thread

_log = logging.getLogger(__name__)

_PATH: Final = "/login/oidc"
_PATIENCE_SECONDS: Final = 600


class OidcPages:
    """Two steps of one login, held together by a cookie of the browser that began it.

    The session's own cookie is strict: a browser that comes from another site does not show it.
    """

    def __init__(
        self,
        login: OidcLogin,
        attempts: Attempts,
        audit: Auditor,
        now: Callable[[], datetime],
        templates: Templates,
        session_key: str,
        tls: bool,
    ) -> None:
        self._login = login
        self._attempts = attempts
        self._audit = audit
        self._now = now
        self._templates = templates
        self._signer = URLSafeSerializer(session_key, salt="oidc login")
        self._cookie = "__Secure-dibmg-login" if tls else "dibmg-login"
        self._tls = tls

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        following = inside(request.query_params.get("next", "/"))
        try:
            url, begun = await in_thread(self._login.begin)
        except (PeerUnavailableError, PeerRefusedError) as error:
            return self._complaint(request, f"the provider cannot be used: {error}", 503)
        answer = RedirectResponse(url, 303)
        answer.set_cookie(
            self._cookie,
            self._signer.dumps({"begun": asdict(begun), "next": following, "at": self._now().timestamp()}),
            max_age=_PATIENCE_SECONDS,
            path=_PATH,
            secure=self._tls,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def finish(self, request: Request) -> Response:
        """Take the browser back."""
        address = peer_address(request)
        kept, brought = self._kept(request), dict(request.query_params)
        if kept is None or not kept[0].is_answered_by(brought):
            # anybody's page can send browsers here so: it proves nothing, counts for nobody, fills no trail
            reason = "this login was not begun in this browser, or too long ago"
            _log.warning("login failed", extra={"peer_address": address, "reason": reason})
            return self._complaint(request, reason, 401)
        begun, following = kept
        key = f"address {address}"
        wait = self._attempts.wait(key)
        if wait:
            return self._complaint(request, f"too many attempts; wait {wait // 60 + 1} minutes", 429)
        self._attempts.failed(key)
        try:
            who = await in_thread(self._login.finish, begun, brought)
        except (PeerUnavailableError, PeerRefusedError) as error:
            return await self._refused(request, str(error))
        self._attempts.succeeded(key)
        await in_thread(self._audit.authenticated, address, who.name)
        begin_provided_session(request, who, self._login.client.stamp, self._now())
        _log.info("login", extra={"user": who.name, "peer_address": address})
        # a page of our own between: the strict cookie is not shown on the way here from another site
        answer = self._templates.page(request, "oidc", following=following)
        answer.delete_cookie(self._cookie, path=_PATH, secure=self._tls, httponly=True, samesite="lax")
        return answer

    def _kept(self, request: Request) -> tuple[Begun, str] | None:
        """The login that this browser began, and where it leads; None: none, or too long ago."""
        try:
            kept = self._signer.loads(request.cookies.get(self._cookie, ""))
        except BadData:
            return None
        if self._now().timestamp() - kept["at"] > _PATIENCE_SECONDS:
            return None
        return Begun(**kept["begun"]), str(kept["next"])

    async def _refused(self, request: Request, reason: str) -> Response:
        address = peer_address(request)
        _log.warning("login failed", extra={"peer_address": address, "reason": reason})
        await in_thread(self._audit.not_authenticated, address, reason)
        answer = self._complaint(request, reason, 401)
        answer.delete_cookie(self._cookie, path=_PATH, secure=self._tls, httponly=True, samesite="lax")
        return answer

    def _complaint(self, request: Request, complaint: str, status: int) -> Response:
        return self._templates.page(request, "oidc_failed", status, complaint=complaint)
