"""Logging in and out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dibmg_node.services.audit import Auditor
from dibmg_node.storage.users import Users
from dibmg_node.web.access import is_loopback
from dibmg_node.web.pages.attempts import Attempts
from dibmg_node.web.pages.guard import LOGIN, begin_session, posted
from dibmg_node.web.pages.template import Templates
from dibmg_node.web.search import peer_address
from dibmg_node.web.threads import in_thread

_log = logging.getLogger(__name__)

_HOME: Final = "/"


class LoginPages:
    """Lets users in, and counts who is not."""

    def __init__(
        self,
        users: Users,
        attempts: Attempts,
        audit: Auditor,
        now: Callable[[], datetime],
        templates: Templates,
        provider: str = "",
    ) -> None:
        """Make the pages.

        Args:
            users: Who may log in by a password.
            attempts: Counts failures.
            audit: Told of both.
            now: The time.
            templates: Draws the form.
            provider: Host of a provider of OpenID Connect that people may log in by, too.
        """
        self._users = users
        self._attempts = attempts
        self._audit = audit
        self._now = now
        self._templates = templates
        self._provider = provider

    def form(self, request: Request) -> Response:
        """The form."""
        if request.state.visitor is not None:
            return RedirectResponse(_HOME, 303)
        return self._form(request, request.query_params.get("next", _HOME))

    async def login(self, request: Request) -> Response:
        """A name and a password."""
        form = await posted(request)
        name, password = str(form.get("name", "")), str(form.get("password", ""))
        following = str(form.get("next", _HOME))
        address = peer_address(request)
        keys = (f"address {address}", f"name {name.casefold()}")
        wait = self._attempts.wait(*keys)
        if wait:
            _log.warning("login held back", extra={"peer_address": address})
            answer = self._form(request, following, f"too many attempts; wait {wait // 60 + 1} minutes", 429)
            answer.headers["Retry-After"] = str(wait)
            return answer
        self._attempts.failed(*keys)  # counted first: attempts at the same time must not all be free
        user = await in_thread(self._users.check, name, password)
        if user is None:
            _log.warning("login failed", extra={"peer_address": address})
            # only a name that is an account's: a password typed in its place must not be kept
            account = await in_thread(self._users.find, name)
            tried = account.name if account else ""
            await in_thread(
                self._audit.not_authenticated, address, "no such user, or a wrong password", tried
            )
            return self._form(request, following, "name or password is wrong", 401)
        self._attempts.succeeded(*keys)
        await in_thread(self._audit.authenticated, address, user.name)
        begin_session(request, user, self._now())
        _log.info("login", extra={"user": user.name, "peer_address": address})
        return RedirectResponse(inside(following), 303)

    async def logout(self, request: Request) -> Response:
        """End the session."""
        await posted(request)
        request.session.clear()
        return RedirectResponse(LOGIN, 303)

    def _form(self, request: Request, following: str, complaint: str = "", status: int = 200) -> Response:
        return self._templates.page(
            request,
            "login",
            status,
            following=inside(following),
            complaint=complaint,
            provider=self._provider,
            nobody=not self._users.all(),
            open_line=request.url.scheme != "https" and not is_loopback(peer_address(request)),
        )


def inside(path: str) -> str:
    """A path of these pages; anything else is the first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else _HOME
