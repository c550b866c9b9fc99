"""Which destinations are asked for a proof that they keep results, and who may report on it."""

from __future__ import annotations

import ipaddress
import socket

from dibmg_node.config import Settings
from dibmg_node.domain.lifecycle import Proof
from dibmg_node.services.addresses import Address


def proofs_asked(settings: Settings) -> dict[str, Proof]:
    """How each destination is asked for a proof, by its name."""
    return {one.name: one.proof for one in settings.destination}


def commits(settings: Settings) -> bool:
    """Whether any destination is asked for storage commitment, and so may report on it."""
    return any(one.proof is Proof.COMMITMENT for one in settings.destination)


def may_report(settings: Settings, calling_aet: str, address: Address) -> bool:
    """Whether a peer is a destination that is asked for storage commitment."""
    return any(
        one.proof is Proof.COMMITMENT and one.ae_title == calling_aet and address in _addresses(one.address)
        for one in settings.destination
    )


def _addresses(host: str | None) -> set[Address]:
    """Addresses of a host, by number or by name; none where the name does not resolve now."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return set()
    return {ipaddress.ip_address(str(address[0]).split("%")[0]) for *_, address in found}
