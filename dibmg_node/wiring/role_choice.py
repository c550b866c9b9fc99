"""Which processes a node has, and whether the rest of its configuration fits that."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError


class Role(StrEnum):
    """A process of the node."""

    INTAKE = "intake"
    WEB = "web"
    SWEEP = "sweep"
    ANALYSIS = "analysis"
    SHADOW = "shadow"
    DELIVERY = "delivery"


NEEDED: Final = (Role.INTAKE, Role.SWEEP, Role.ANALYSIS, Role.DELIVERY)
"""Without one of these, on whichever machine, no study comes to its end."""


def roles_of(settings: Settings) -> tuple[Role, ...]:
    """The processes that a node of these settings has."""
    chosen = settings.node.roles
    if chosen is None:
        absent = {
            role
            for role, section in ((Role.WEB, settings.web), (Role.SHADOW, settings.model.shadow))
            if section is None
        }
        return tuple(role for role in Role if role not in absent)
    return tuple(role for role in Role if role.value in chosen)


def check_roles(settings: Settings) -> None:
    """Whether a node of these roles reaches what it shares with others.

    Raises:
        ConfigError: With every complaint at once.
    """
    complaints = list(_complaints(settings))
    if complaints:
        raise ConfigError(complaints)


def _complaints(settings: Settings) -> Iterator[str]:
    roles = roles_of(settings)
    if Role.WEB in roles and settings.web is None:
        yield "node.roles: web has no section [web]"
    if Role.SHADOW in roles and settings.model.shadow is None:
        yield "node.roles: shadow has no section [model.shadow]"
    missing = [role.value for role in NEEDED if role not in roles]
    told = f"node.roles: without {', '.join(missing)} this node needs"
    if missing and settings.ledger.url == "embedded":
        yield f"{told} the ledger of those that do that: ledger.url = 'postgresql+psycopg://...'"
    elif missing and settings.broker.url == "embedded":
        yield f"{told} the broker of those that do that: broker.url = 'redis://...' or 'rediss://...'"
