"""Ports: held by this node, or free for it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from dibmg_node.config import Settings
from dibmg_node.doctor.stores import running_process
from dibmg_node.doctor.verdict import Verdict, bad, well
from dibmg_node.wiring.role_choice import Role, roles_of


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at the ports of intake and web, where this host has them."""
    roles, listeners = roles_of(settings), []
    if Role.INTAKE in roles:
        listeners.append((Role.INTAKE, settings.intake.address, settings.intake.port))
    if Role.WEB in roles and settings.web is not None:
        listeners.append((Role.WEB, settings.web.address, settings.web.port))
    for role, address, port in listeners:
        yield judge_port(role, address, port, running_process(settings, role))


def judge_port(role: str, address: str, port: int, holder: int | None) -> Verdict:
    """Whether a port is this node's, or can be.

    Args:
        role: The process that listens there.
        address: Of the configuration.
        port: Of the configuration.
        holder: Process ID of this node's process, where it runs.
    """
    check, there = f"port of {role}", f"{address}:{port}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return _judge_refusal(error, check, there, role, holder)
    if holder is not None:
        return bad(
            check,
            f"{there} is free although process {holder} runs",
            "a process that listens",
            f"restart the node, and see {role}.log",
        )
    return well(check, f"{there} is free", "free, or held by this node")


def _judge_refusal(error: OSError, check: str, there: str, role: str, holder: int | None) -> Verdict:
    expected = "free, or held by this node"
    if error.errno == errno.EADDRINUSE:
        if holder is not None:
            return well(check, f"{there} is held by this node (process {holder})", expected)
        remedy = f"find out who listens there ('ss -ltnp'), end it, or choose another {role}.port"
        return bad(check, f"{there} is held by another program", expected, remedy)
    if error.errno == errno.EADDRNOTAVAIL:
        remedy = f"set {role}.address to one of this machine's addresses ('ip address')"
        return bad(check, f"{there}: this machine has no such address", "an address of this machine", remedy)
    if error.errno == errno.EACCES:
        remedy = "choose a port above 1023, or give the service CAP_NET_BIND_SERVICE"
        return bad(check, f"{there} may not be listened on by this user", "a port that it may use", remedy)
    return bad(check, f"{there}: {error.strerror}", expected, "see 'ip address' and 'ss -ltnp'")
