"""Serving: from the settings to the web server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dibmg_node.config import Settings
from dibmg_node.exposure import check_exposure, open_web_tls
from dibmg_node.services.audit import Auditor
from dibmg_node.services.intake import Intake
from dibmg_node.services.lookup import Lookup
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import open_archive

if TYPE_CHECKING:
    from dibmg_node.web.server import WebServer

WEB_SPOOL: Final = "spool-web"
"""Folder of the archive that the web server receives in."""
_MOST_UPLOADS: Final = 8
"""STOW-RS requests at the same time; each holds a thread while it writes."""


def make_web_server(settings: Settings, ledger: Ledger, intake: Intake, audit: Auditor) -> WebServer:
    """DICOMweb and health.

    Raises:
        ConfigError: As `check_exposure`.
    """
    # the other processes have no use for an HTTP server
    from dibmg_node.web.access import Bearer
    from dibmg_node.web.app import make_app
    from dibmg_node.web.body import BodyLimits
    from dibmg_node.web.health import HealthService
    from dibmg_node.web.retrieve import RetrieveService
    from dibmg_node.web.search import SearchService
    from dibmg_node.web.server import WebAddress, WebServer
    from dibmg_node.web.stow import StowLimits, StowService

    check_exposure(settings)
    web, limits, stow = settings.web, settings.intake, settings.stow
    assert web is not None
    lookup = Lookup(ledger.catalog, open_archive(settings))
    body = BodyLimits(
        longest=int(stow.max_request_gb * 2**30),
        idle=timedelta(seconds=limits.idle_seconds),
        grace=timedelta(seconds=limits.pdu_seconds),
        minimum_rate=limits.min_bytes_per_second,
    )
    stow_limits = StowLimits(body, int(limits.max_instance_gb * 2**30), stow.max_instances, _MOST_UPLOADS)
    bearer = Bearer(lambda: settings.web_tokens)
    app = make_app(
        search=SearchService(lookup, audit),
        retrieve=RetrieveService(lookup, audit),
        health=HealthService(intake, ledger.views),
        stow=StowService(intake, stow_limits) if stow.enabled else None,
        bearer=bearer,
        loopback_names_only=not bearer.asked and not (web.tls and web.tls.ca),
        audit=audit,
    )
    return WebServer(app, WebAddress(web.address, web.port, open_web_tls(settings)))
