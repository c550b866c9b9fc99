"""The pages as one application: which URL is answered by what, and what stands around them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dibmg_node.domain.result import Wanted
from dibmg_node.errors import RetryableError
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.oidc import CALLBACK, OidcLogin
from dibmg_node.services.operating import Operating
from dibmg_node.services.patients import Patients
from dibmg_node.services.pictures import Pictures
from dibmg_node.services.trail_desk import TrailDesk
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.users import Users
from dibmg_node.web.access import Bearer
from dibmg_node.web.pages.acts import ActPages
from dibmg_node.web.pages.attempts import Attempts
from dibmg_node.web.pages.audit import AuditPages
from dibmg_node.web.pages.guard import LONGEST_SESSION, Guard, Visitor
from dibmg_node.web.pages.headers import PageHeaders
from dibmg_node.web.pages.login import LoginPages
from dibmg_node.web.pages.metrics import Metrics
from dibmg_node.web.pages.model import ModelPages
from dibmg_node.web.pages.oidc import OidcPages
from dibmg_node.web.pages.overview import Look, NodePages
from dibmg_node.web.pages.queue import QueuePage
from dibmg_node.web.pages.static import StaticFiles
from dibmg_node.web.pages.studies import StudiesPages
from dibmg_node.web.pages.study import StudyPages
from dibmg_node.web.pages.template import Templates

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SiteAccess:
    """Who may see the pages.

    Attributes:
        users: Who may log in.
        login_always: Other machines reach the node; False: a login is asked for once there are users.
        session_key: Signs the session's cookie.
        tls: The cookie goes back over HTTPS alone.
        oidc: A provider that people may log in by, too.
    """

    users: Users
    login_always: bool
    session_key: str
    tls: bool
    oidc: OidcLogin | None = None


def make_site(
    *,
    ledger: Ledger,
    patients: Patients,
    pictures: Pictures,
    look: Look,
    now: Callable[[], datetime],
    access: SiteAccess,
    bearer: Bearer,
    desk: TrailDesk,
    audit: Auditor = SILENT,
    wanted: Wanted | None = None,
) -> Starlette:
    """The pages and the metrics.

    Args:
        ledger: What they show.
        patients: Who studies are of.
        pictures: Draws mammograms and overlays.
        look: The node at a glance.
        now: The time.
        access: Who may see them.
        bearer: The token that opens the metrics too.
        desk: Where the audit trail is read.
        audit: Told who logs in, who looks at which study, and what operators decide.
        wanted: As for `Operating`.
    """
    templates = Templates(now)
    node = NodePages(ledger, look, now, templates)
    studies = StudiesPages(ledger.listing, patients, templates)
    study = StudyPages(ledger.views, patients, pictures, audit, templates)
    acts = ActPages(Operating(ledger, audit, now, wanted), ledger.views, look)
    trail = AuditPages(desk, templates)
    attempts, oidc = Attempts(), access.oidc
    provider = urlsplit(oidc.client.issuer).netloc if oidc else ""
    login = LoginPages(access.users, attempts, audit, now, templates, provider)
    routes = [
        Route("/", node.overview),
        Route("/queue", QueuePage(ledger.listing, look, templates).queue),
        Route("/studies", studies.studies),
        Route("/find", studies.find, methods=["POST"]),
        Route("/studies/{study}", study.study),
        Route("/studies/{study}/images/{sop}", study.mammogram),
        Route("/studies/{study}/overlays/{sop}", study.overlay),
        Route("/studies/{study}/retry", acts.retry, methods=["POST"]),
        Route("/studies/{study}/cancel", acts.cancel, methods=["POST"]),
        Route("/studies/{study}/priority", acts.priority, methods=["POST"]),
        Route("/destinations/retry", acts.retry_refused, methods=["POST"]),
        Route("/pause", acts.pause, methods=["POST"]),
        Route("/resume", acts.resume, methods=["POST"]),
        Route("/destinations", node.destinations),
        Route("/senders", node.senders),
        Route("/model", ModelPages(look, ledger, templates).model),
        Route("/audit", trail.audit),
        Route("/audit/verify", trail.verify, methods=["POST"]),
        Route("/metrics", Metrics(look, ledger.pace, now).metrics),
        Route("/login", login.form),
        Route("/login", login.login, methods=["POST"]),
        Route("/logout", login.logout, methods=["POST"]),
        Route("/static/{name}", StaticFiles().file),
    ]
    if oidc:
        pages = OidcPages(oidc, attempts, audit, now, templates, access.session_key, access.tls)
        routes += [Route("/login/oidc", pages.begin), Route(CALLBACK, pages.finish)]

    def explain(request: Request, error: Exception) -> Response:
        return _explain(templates, request, error)

    return Starlette(
        routes=routes,
        middleware=[
            Middleware(PageHeaders),
            Middleware(
                SessionMiddleware,
                secret_key=access.session_key,
                # a browser takes a cookie of this prefix over HTTPS alone, and from this host alone
                session_cookie="__Host-dibmg" if access.tls else "dibmg",
                max_age=LONGEST_SESSION,
                same_site="strict",
                https_only=access.tls,
            ),
            Middleware(
                Guard,
                users=access.users,
                login_always=access.login_always,
                bearer=bearer,
                now=now,
                provided=oidc.client.stamp if oidc else None,
            ),
        ],
        exception_handlers={HTTPException: explain, RetryableError: explain},
    )


def _explain(templates: Templates, request: Request, error: Exception) -> Response:
    """A page that says what is wrong and what to do."""
    status, told = 503, "The ledger does not answer. Its state is told by: dibmg status"
    if isinstance(error, HTTPException):
        status, told = error.status_code, str(error.detail)
    else:
        _log.warning("page not shown", extra={"reason": str(error)})
    visitor: Any = getattr(request.state, "visitor", None)
    if not isinstance(visitor, Visitor):
        return PlainTextResponse(told, status)
    title = HTTPStatus(status).phrase
    return templates.page(request, "error", status, title=title, told=told)
