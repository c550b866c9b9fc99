"""The role `intake`: receives by DIMSE."""

from __future__ import annotations

from typing import Final

from dibmg_node.config import Settings
from dibmg_node.roles.life import beating, renewed_by_signal, stopped_by_signal
from dibmg_node.services.audit import Auditor
from dibmg_node.services.turned_away import TurnedAwayCount
from dibmg_node.services.wire import TurnedAway
from dibmg_node.wiring import foundation
from dibmg_node.wiring.receiving import make_acceptor, open_intake
from dibmg_node.wiring.role_choice import Role

_DRAIN_SECONDS: Final = 20.0


def live(settings: Settings, audit: Auditor) -> None:
    """Receive until SIGTERM."""
    ledger = foundation.open_node_ledger(settings)
    intake = open_intake(settings, ledger, foundation.open_archive(settings), audit)
    count = TurnedAwayCount(ledger.rejections, foundation.now)

    def turned_away(who: TurnedAway) -> None:
        count.tell(who)
        audit.turned_away(who)

    acceptor = make_acceptor(settings, intake, ledger, turned_away)
    acceptor.start()
    signs = beating(settings, ledger, Role.INTAKE, lambda: f"port {acceptor.port}", count.enter)
    with stopped_by_signal() as stopping, renewed_by_signal(acceptor.renew), signs:
        stopping.wait()
        acceptor.stop(_DRAIN_SECONDS)
