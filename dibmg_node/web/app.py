"""The web application: which URL is answered by what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.web.access import Access, Bearer
from dibmg_node.web.health import HealthService
from dibmg_node.web.retrieve import RetrieveService
from dibmg_node.web.search import SearchService
from dibmg_node.web.stow import StowService

WebApp: TypeAlias = Starlette
"""The application; only this floor knows what that is."""

_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"


def make_app(
    *,
    search: SearchService,
    retrieve: RetrieveService,
    health: HealthService,
    stow: StowService | None,
    site: ASGIApp,
    bearer: Bearer,
    loopback_names_only: bool,
    audit: Auditor = SILENT,
    public_url: str = "",
) -> WebApp:
    """The application.

    Args:
        search: Answers QIDO-RS.
        retrieve: Answers WADO-RS.
        health: Answers probes.
        stow: Answers STOW-RS; None: nothing is taken.
        site: The pages for people, with a guard of their own.
        bearer: As for `Access`.
        loopback_names_only: As for `Access`.
        audit: The same.
        public_url: Where clients reach it, through a proxy, say; empty: as they call it.
    """
    dicom_web: list[BaseRoute] = _store_routes(stow) if stow else []
    dicom_web += [
        Route("/studies", search.studies),
        Route("/series", search.series),
        Route("/instances", search.instances),
        Route(f"{_STUDY}/series", search.series),
        Route(f"{_STUDY}/instances", search.instances),
        Route(f"{_SERIES}/instances", search.instances),
        *[
            route
            for path in (_STUDY, _SERIES, _INSTANCE)
            for route in (Route(path, retrieve.retrieve), Route(f"{path}/metadata", retrieve.metadata))
        ],
    ]
    routes: Sequence[BaseRoute] = [
        Mount("/dicom-web", routes=dicom_web),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Mount("/", app=site),
    ]
    guard = Middleware(Access, bearer=bearer, loopback_names_only=loopback_names_only, audit=audit)
    app = Starlette(routes=routes, middleware=[guard])
    app.state.public_url = public_url
    return app


def _store_routes(stow: StowService) -> list[BaseRoute]:
    return [Route(path, stow.store, methods=["POST"]) for path in ("/studies", _STUDY)]
