"""The role `web`: receives and serves by HTTP: DICOMweb, pages, metrics."""

from __future__ import annotations

from functools import partial
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import PermanentError
from dibmg_node.health.look import look
from dibmg_node.roles.life import beating, renewed_by_signal, stopped_by_signal
from dibmg_node.services.audit import Auditor
from dibmg_node.services.turned_away import TurnedAwayCount
from dibmg_node.wiring import foundation, serving
from dibmg_node.wiring.receiving import open_intake
from dibmg_node.wiring.role_choice import Role, roles_of

_WATCH_SECONDS: Final = 1.0


def live(settings: Settings, audit: Auditor) -> None:
    """Serve until SIGTERM."""
    ledger = foundation.open_node_ledger(settings)
    intake = open_intake(settings, ledger, foundation.open_archive(settings, serving.WEB_SPOOL), audit)
    look_now = partial(look, settings, ledger, roles_of(settings))
    count = TurnedAwayCount(ledger.rejections, foundation.now)
    server = serving.make_web_server(settings, ledger, intake, audit, look_now, count.tell)
    server.start()
    signs = beating(settings, ledger, Role.WEB, lambda: f"port {server.port}", count.enter)
    with stopped_by_signal() as stopping, renewed_by_signal(server.renew), signs:
        while not stopping.wait(_WATCH_SECONDS):
            if not server.alive:
                raise PermanentError("the web server ended by itself")
        server.stop()
