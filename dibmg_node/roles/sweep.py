"""The role `sweep`: finds what is due, watches over alarms, purges."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError
from dibmg_node.health.alarming import alarming
from dibmg_node.health.look import look
from dibmg_node.machine.nudge import Nudges
from dibmg_node.machine.processes import process_name
from dibmg_node.roles.life import beating, stopped_by_signal
from dibmg_node.roles.queue import open_node_queue
from dibmg_node.services.audit import Auditor
from dibmg_node.services.sweep import Sweep
from dibmg_node.tasks import BrokerUnavailableError, CeleryPublisher
from dibmg_node.wiring import foundation
from dibmg_node.wiring.purging import make_purge, purging
from dibmg_node.wiring.role_choice import Role, roles_of

_log = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 0.5
_BETWEEN_SECONDS: Final = 0.05
"""Between two sweeps at least, however often the intake nudges."""
_TURN: Final = timedelta(seconds=10)
"""Of several machines that sweep one does; another takes over from one that is silent for this long."""


def live(settings: Settings, audit: Auditor) -> None:
    """Sweep until SIGTERM."""
    ledger = foundation.open_node_ledger(settings)
    purge, archive = make_purge(settings, ledger, audit), foundation.open_archive(settings)
    sweep = Sweep(ledger, CeleryPublisher(open_node_queue(settings)), foundation.now)
    nudges = Nudges(foundation.sweep_nudge(settings))
    on_turn = threading.Event()
    silent = False
    look_now = partial(look, settings, ledger, roles_of(settings))
    name = process_name(Role.SWEEP, settings.node_name)
    with (
        stopped_by_signal() as stopping,
        beating(settings, ledger, Role.SWEEP),
        alarming(settings, ledger, look_now, foundation.now),
        purging(purge, ledger, archive, foundation.now, on_turn.is_set),
    ):
        while not stopping.wait(_BETWEEN_SECONDS) and not nudges.wait(stopping, _SWEEP_SECONDS):
            try:
                if not ledger.turns.take(Role.SWEEP, name, foundation.now(), _TURN):
                    on_turn.clear()
                    continue
                on_turn.set()
                sweep.run()
                silent = False
            except BrokerUnavailableError as error:
                if not silent:
                    _log.warning("broker silent", extra={"reason": str(error)})
                silent = True
            except RetryableError as error:
                _log.warning("sweep broken off", extra={"reason": str(error)})
        with suppress(RetryableError):
            ledger.turns.give_up(Role.SWEEP, name)
