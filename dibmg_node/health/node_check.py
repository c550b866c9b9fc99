"""Whether a node of these settings can come up, before it does."""

from __future__ import annotations

import ssl

from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError
from dibmg_node.health.alarming import check_channels
from dibmg_node.services.tls import trust_of
from dibmg_node.wiring.auditing import check_audit
from dibmg_node.wiring.destinations import check_destinations
from dibmg_node.wiring.exposure import check_exposure
from dibmg_node.wiring.foundation import broker_tls
from dibmg_node.wiring.model_check import check_model, check_shadow
from dibmg_node.wiring.role_choice import Role, check_roles, roles_of
from dibmg_node.wiring.telemetry import check_telemetry


def check_node(settings: Settings) -> None:
    """Whether a node of these settings can come up: its roles, and what each of them needs.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    checks = [
        check_roles,
        check_exposure,
        check_channels,
        check_telemetry,
        check_audit,
        _check_broker,
        _check_ports,
    ]
    roles = roles_of(settings)
    if Role.DELIVERY in roles or Role.ANALYSIS in roles:
        checks.append(check_destinations)
    if Role.ANALYSIS in roles:
        checks.append(check_model)
    if Role.SHADOW in roles:
        checks.append(check_shadow)
    for check in checks:
        try:
            check(settings)
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(complaints)


def _check_ports(settings: Settings) -> None:
    """Intake and web cannot listen at one address."""
    intake, web = settings.intake, settings.web
    if web is None or not {Role.INTAKE, Role.WEB} <= set(roles_of(settings)) or intake.port != web.port:
        return
    addresses = {intake.address, web.address}
    # :: takes those of IPv4 as well, 0.0.0.0 none of IPv6
    meets = "::" in addresses or ("0.0.0.0" in addresses and not any(":" in one for one in addresses))
    if len(addresses) == 1 or meets:
        raise ConfigError([f"web.port: {web.port} is that of intake, too; each needs one of its own"])


def _check_broker(settings: Settings) -> None:
    try:
        trust_of(broker_tls(settings))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"broker.tls: a file cannot be used: {error.strerror or error}"]) from error
