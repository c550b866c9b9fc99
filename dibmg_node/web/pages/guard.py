"""Who is asking for a page, and whether it may."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dibmg_node.errors import PermanentError
from dibmg_node.services.oidc import Identity
from dibmg_node.storage.users import User, UserRole, Users
from dibmg_node.web.access import Bearer, is_forwarded, is_loopback

LOGIN: Final = "/login"
_OPEN: Final = (LOGIN, "/static/")
_METRICS: Final = "/metrics"
_SAFE: Final = frozenset({"GET", "HEAD"})
LONGEST_SESSION: Final = 12 * 3600
IDLE_SECONDS: Final = 3600
_SEEN_EVERY: Final = 60
REFRESH_HEADER: Final = "X-Refresh"
"""Of a page that renews itself: nobody is there because of it."""
_MOST_FIELDS: Final = 20
_LONGEST_FORM: Final = 8192
_FORM_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Visitor:
    """Who looks at a page.

    Attributes:
        name: Empty where nobody has to log in.
    """

    name: str
    role: UserRole

    @property
    def may_act(self) -> bool:
        """Whether buttons are for this one."""
        return self.role is UserRole.OPERATOR


class Guard:
    """ASGI middleware around the pages, inside the one that reads the session's cookie."""

    def __init__(
        self,
        app: ASGIApp,
        users: Users,
        login_always: bool,
        bearer: Bearer,
        now: Callable[[], datetime],
        provided: str | None = None,
    ) -> None:
        """Guard the pages.

        Args:
            app: The pages.
            users: Who may log in.
            login_always: Other machines reach this node; False: only where there are users.
            bearer: The token that opens the metrics too.
            now: The time.
            provided: Stamp of sessions that a provider of OpenID Connect stands for; None: of none.
        """
        self._app = app
        self._users = users
        self._login_always = login_always
        self._bearer = bearer
        self._now = now
        self._provided = provided

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on with its visitor, or answer it."""
        answer = self._answer(HTTPConnection(scope))
        await (answer or self._app)(scope, receive, send)

    def _answer(self, request: HTTPConnection) -> Response | None:
        scope = request.scope
        path, method = scope["path"], scope["method"]
        request.state.login = True
        try:
            request.state.login = self._login_always or bool(self._users.all())
            visitor = self._visitor(request)
        except PermanentError:
            return PlainTextResponse("the file of users cannot be read; see web.log", 503)
        request.state.visitor = visitor
        if not request.state.login and (refusal := _not_from_here(request.headers)):
            return refusal
        if method not in _SAFE and not _from_our_page(request):
            return PlainTextResponse("this request comes from another site", 403)
        if visitor is not None or path.startswith(_OPEN):
            return None
        if path == _METRICS:
            return None if self._bearer.opens(request.headers) else self._bearer.challenge()
        if method in _SAFE and REFRESH_HEADER not in request.headers:
            return RedirectResponse(f"{LOGIN}?next={quote(path)}", 303)
        return PlainTextResponse("log in first", 401)

    def _visitor(self, request: HTTPConnection) -> Visitor | None:
        if not request.state.login:
            return Visitor("", UserRole.OPERATOR)
        session, now = request.session, self._now().timestamp()
        visitor = self._named(session)
        if visitor is None:
            return None
        if now - session.get("at", 0) > LONGEST_SESSION or now - session.get("seen", 0) > IDLE_SECONDS:
            return None
        if REFRESH_HEADER not in request.headers and now - session["seen"] > _SEEN_EVERY:
            session["seen"] = int(now)
        return visitor

    def _named(self, session: Mapping[str, Any]) -> Visitor | None:
        """Whose session it is, if the password, or what a provider's roles mean here, is still the same."""
        name, stamp = str(session.get("user", "")), str(session.get("stamp", ""))
        if "role" in session:
            stands = self._provided is not None and secrets.compare_digest(self._provided, stamp)
            return Visitor(name, UserRole(session["role"])) if stands else None
        user = self._users.find(name)
        if user is None or not secrets.compare_digest(user.stamp, stamp):
            return None
        return Visitor(user.name, user.role)


def begin_session(request: Request, user: User, now: datetime) -> None:
    """Somebody has logged in: nothing of the session before stays."""
    request.session.clear()
    at = int(now.timestamp())
    request.session.update(user=user.name, stamp=user.stamp, at=at, seen=at)


def begin_provided_session(request: Request, who: Identity, stamp: str, now: datetime) -> None:
    """The same of somebody for whom a provider stands: the role is the one of this login."""
    request.session.clear()
    at = int(now.timestamp())
    request.session.update(user=who.name, role=who.role.value, stamp=stamp, at=at, seen=at)


def csrf_token(request: HTTPConnection) -> str:
    """What every form of this session must bring back."""
    if "csrf" not in request.session:
        request.session["csrf"] = secrets.token_urlsafe(24)
    return str(request.session["csrf"])


async def posted(request: Request) -> FormData:
    """The fields of a form that one of our own pages sent.

    Raises:
        HTTPException: 403, it lacks the session's token; 408, it comes too slowly; 413, it is too long.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > _LONGEST_FORM:
        raise HTTPException(413, "this is no form of these pages")
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            form = await request.form(max_files=0, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FORM)
    except TimeoutError as error:
        raise HTTPException(408, "the form did not come") from error
    given, expected = str(form.get("csrf", "")), str(request.session.get("csrf", ""))
    if not expected or not secrets.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(403, "this page is out of date: go back, load it again, and repeat")
    return form


def operator(request: Request) -> Visitor:
    """The visitor, who may act.

    Raises:
        HTTPException: 403, it may only look.
    """
    visitor: Any = request.state.visitor
    if not isinstance(visitor, Visitor) or not visitor.may_act:
        raise HTTPException(403, "this needs the role operator")
    return visitor


def _not_from_here(headers: Headers) -> Response | None:
    """A refusal where without a login somebody else may be asking through this machine."""
    if not is_loopback(headers.get("host", "")):
        return PlainTextResponse("without users this node answers to localhost only", 403)
    if is_forwarded(headers):
        return PlainTextResponse("behind a proxy the pages need users: dibmg user add NAME", 403)
    return None


def _from_our_page(request: HTTPConnection) -> bool:
    """What browsers say of a form's origin; the token is asked for besides."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")
