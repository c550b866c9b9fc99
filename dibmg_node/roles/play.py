"""A process of the node takes up its role."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from dibmg_node.config import Settings
from dibmg_node.services.audit import Auditor
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import audited, forwarding
from dibmg_node.wiring.role_choice import Role


def play(role: Role, settings: Settings) -> None:
    """Live as one process of the node until SIGTERM."""
    # by name: a process has what its own role imports, and nothing of the others
    live: Callable[[Settings, Auditor], None] = import_module(f"dibmg_node.roles.{role.value}").live
    with audited(settings, role.value, foundation.now) as audit, forwarding(settings, foundation.now):
        live(settings, audit)
