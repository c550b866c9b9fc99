"""Serving: from the settings to the web server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.environment import need_secret
from dibmg_node.errors import ConfigError
from dibmg_node.machine.child import prepare_child
from dibmg_node.services.audit import Auditor
from dibmg_node.services.intake import Intake
from dibmg_node.services.lookup import Lookup
from dibmg_node.services.oidc import CALLBACK, OidcClient, OidcLogin
from dibmg_node.services.patients import Patients
from dibmg_node.services.pictures import Pictures
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.trail_desk import TrailDesk
from dibmg_node.services.wire import TellTurnedAway
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.users import UserRole, Users
from dibmg_node.web.access import Bearer
from dibmg_node.web.app import WebApp, make_app
from dibmg_node.web.body import BodyLimits
from dibmg_node.web.health import HealthService
from dibmg_node.web.pages.site import SiteAccess, make_site
from dibmg_node.web.retrieve import RetrieveService
from dibmg_node.web.search import SearchService
from dibmg_node.web.server import WebAddress, WebServer
from dibmg_node.web.stow import StowLimits, StowService
from dibmg_node.wiring.auditing import trail_folder, verification_file
from dibmg_node.wiring.exposure import (
    check_exposure,
    comes_by_https,
    given_session_key,
    is_login_needed,
    open_web_tls,
)
from dibmg_node.wiring.foundation import log_folder, now, open_archive, wanted

WEB_SPOOL: Final = "spool-web"
"""Folder of the archive that the web server receives in."""
_MOST_UPLOADS: Final = 8
"""STOW-RS requests at the same time; each holds a thread while it writes."""


def make_web_server(
    settings: Settings,
    ledger: Ledger,
    intake: Intake,
    audit: Auditor,
    look: Callable[[], dict[str, Any]],
    turned_away: TellTurnedAway = lambda who: None,
) -> WebServer:
    """The server of `make_web_app`.

    Args:
        settings: Of the node.
        ledger: Its ledger.
        intake: Takes what comes by STOW-RS.
        audit: Told who asks for what.
        look: The node at a glance.
        turned_away: Told what is refused of what comes by STOW-RS.

    Raises:
        ConfigError: As `check_exposure`.
    """
    check_exposure(settings)
    web = settings.web
    assert web is not None
    app = make_web_app(settings, ledger, intake, audit, look, turned_away)
    return WebServer(app, WebAddress(web.address, web.port, open_web_tls(settings)))


def make_web_app(
    settings: Settings,
    ledger: Ledger,
    intake: Intake,
    audit: Auditor,
    look: Callable[[], dict[str, Any]],
    turned_away: TellTurnedAway = lambda who: None,
) -> WebApp:
    """DICOMweb, health, and the pages; arguments as those of `make_web_server`."""
    web, limits, stow = settings.web, settings.intake, settings.stow
    assert web is not None
    archive = open_archive(settings)
    lookup = Lookup(ledger.catalog, archive, ledger.marks.archive())
    body = BodyLimits(
        longest=int(stow.max_request_gb * 2**30),
        idle=timedelta(seconds=limits.idle_seconds),
        grace=timedelta(seconds=limits.pdu_seconds),
        minimum_rate=limits.min_bytes_per_second,
    )
    stow_limits = StowLimits(body, int(limits.max_instance_gb * 2**30), stow.max_instances, _MOST_UPLOADS)
    bearer = Bearer(lambda: settings.web_tokens)
    prepare = partial(prepare_child, "pictures", log_folder(settings), settings.node.log_level, os.getpid())
    site = make_site(
        ledger=ledger,
        patients=Patients(archive, audit.patient),
        pictures=Pictures(archive, prepare),
        look=look,
        now=now,
        access=SiteAccess(
            Users(settings.users_file),
            is_login_needed(settings),
            session_key(settings),
            comes_by_https(settings),
            open_oidc(settings, now),
        ),
        bearer=bearer,
        desk=TrailDesk(trail_folder(settings), verification_file(settings), audit, now),
        audit=audit,
        wanted=wanted(settings),
    )
    return make_app(
        search=SearchService(lookup, audit),
        retrieve=RetrieveService(lookup, audit),
        health=HealthService(intake, ledger.views),
        stow=StowService(intake, stow_limits, turned_away) if stow.enabled else None,
        site=site,
        bearer=bearer,
        loopback_names_only=not bearer.asked and not (web.tls and web.tls.ca),
        audit=audit,
        public_url=web.known_as,
    )


def open_oidc(settings: Settings, now: Callable[[], datetime]) -> OidcLogin | None:
    """The provider of OpenID Connect that people may log in by, where one is configured."""
    section = settings.web and settings.web.oidc
    if not section:
        return None
    variable = section.client_secret_env
    client = OidcClient(
        issuer=section.issuer,
        client_id=section.client_id,
        client_secret=partial(need_secret, variable) if variable else None,
        redirect_uri=section.public_url + CALLBACK,
        scope=section.scope,
        roles_claim=section.roles_claim,
        roles={UserRole.OPERATOR: section.operator, UserRole.VIEWER: section.viewer},
        tls=TlsFiles(ca=section.ca and settings.folder / section.ca),
    )
    return OidcLogin(client, now)


def session_key(settings: Settings) -> str:
    """What signs sessions: from the environment, or made once below the data folder.

    Raises:
        ConfigError: The one of the environment is too short, or a file cannot be read.
    """
    given = given_session_key()
    if given:
        return given
    path = settings.data_dir / "web" / "session.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
    key = path.read_text()
    if not key:
        raise ConfigError([f"{path} is empty: remove it, and start the node again"])
    return key
