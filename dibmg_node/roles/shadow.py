"""The role `shadow`: reads exams with the shadow model."""

from __future__ import annotations

import logging
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError
from dibmg_node.roles.life import beating, stopped_by_signal
from dibmg_node.services.audit import Auditor
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role
from dibmg_node.wiring.shadowing import make_shadow

_log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0


def live(settings: Settings, audit: Auditor) -> None:
    """Read until SIGTERM."""
    ledger = foundation.open_node_ledger(settings)
    with stopped_by_signal() as stopping, beating(settings, ledger, Role.SHADOW):
        shadow = make_shadow(settings, ledger, stopping.is_set)
        try:
            while not stopping.is_set():
                try:
                    if shadow.read_one():
                        continue
                except (RetryableError, OSError) as error:
                    told = error.strerror if isinstance(error, OSError) else str(error)
                    _log.warning("shadow broken off", extra={"reason": told})
                stopping.wait(_PAUSE_SECONDS)
        finally:
            shadow.sandbox.stop()
