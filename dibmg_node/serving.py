"""Serving: from the settings to the web server."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError
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
        ConfigError: As `check_web`.
    """
    # the other processes have no use for an HTTP server
    from dibmg_node.web.app import make_app
    from dibmg_node.web.body import BodyLimits
    from dibmg_node.web.health import HealthService
    from dibmg_node.web.retrieve import RetrieveService
    from dibmg_node.web.search import SearchService
    from dibmg_node.web.server import WebAddress, WebServer
    from dibmg_node.web.stow import StowLimits, StowService

    context = check_web(settings)
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
    token = settings.web_token
    app = make_app(
        search=SearchService(lookup, audit),
        retrieve=RetrieveService(lookup, audit),
        health=HealthService(intake, ledger.views),
        stow=StowService(intake, stow_limits) if stow.enabled else None,
        token=token,
        loopback_names_only=token is None and not (web.tls and web.tls.ca),
        audit=audit,
    )
    return WebServer(app, WebAddress(web.address, web.port, context))


def check_web(settings: Settings) -> ssl.SSLContext | None:
    """Whether the node may answer by HTTP as it is asked to.

    Returns:
        The TLS context, where it is to be HTTPS.

    Raises:
        ConfigError: Everybody in the network could read results, or a file of TLS cannot be used.
    """
    web = settings.web
    if web is None:
        return None
    mutual = web.tls is not None and web.tls.ca is not None
    if not (ipaddress.ip_address(web.address).is_loopback or mutual or settings.web_token):
        raise ConfigError(
            [
                f"web.address: {web.address} is reached from other machines: put a token into the "
                f"environment variable {settings.stow.token_env} (stow.token_env), or name the clients' CA "
                "in web.tls.ca"
            ]
        )
    if web.tls is None:
        return None
    from dibmg_node.web.server import server_context

    folder, tls = settings.folder, web.tls
    return server_context(
        str(folder / tls.certificate), str(folder / tls.key), str(folder / tls.ca) if tls.ca else None
    )
