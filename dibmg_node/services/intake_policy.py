"""What intake takes, and from whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from dibmg_node.domain.priority import Priority
from dibmg_node.domain.subject import same_subject
from dibmg_node.services.addresses import Address, address_of
from dibmg_node.services.wire import AssociationRequest, StoreRequest


@dataclass(frozen=True)
class AllowedSender:
    """One AE title from one network.

    Attributes:
        certificate_subject: Of the certificate that it has to show; None: of whoever's it is.
    """

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    certificate_subject: str | None = None


@dataclass(frozen=True)
class IntakePolicy:
    """What intake takes, and from whom.

    Attributes:
        senders: Empty: this machine (loopback) under any calling AE title.
        reserve_bytes: Less free disk than this is answered "out of resources".
        keep_first: Answer Success to other bytes under a known UID whose first bytes are kept in the same
            study; else, and without this, they are refused.
        quiet_time: Of one sender, by its AE title.
        may_report: Whether a peer, by its AE title and address, may report on storage commitment although it
            is no sender.
        longest_wait: For any study, from its first instance.
        priority: Of what one sender sends, by its AE title; None: what its images say.
        is_paused: Whether an operator paused intake.
    """

    ae_title: str
    senders: tuple[AllowedSender, ...]
    reserve_bytes: int
    keep_first: bool
    quiet_time: Callable[[str], timedelta]
    longest_wait: timedelta
    may_report: Callable[[str, Address], bool] = lambda aet, address: False
    priority: Callable[[str], Priority | None] = lambda aet: None
    is_paused: Callable[[], bool] = lambda: False

    def lacking(self, request: AssociationRequest | StoreRequest) -> str | None:
        """Why a peer is none of the senders; None: it is one."""
        address = address_of(request.peer_address)
        if not self.senders:
            return None if address.is_loopback else "no [[sender]] is listed, so only this machine may send"
        named = [one for one in self.senders if one.ae_title == request.calling_aet]
        if not named:
            return "no [[sender]] has this AE title"
        there = [one for one in named if address in one.network]
        if not there:
            return "no [[sender]] of this AE title has this address"
        found = request.certificate_subject
        if any(
            one.certificate_subject is None or (found and same_subject(one.certificate_subject, found))
            for one in there
        ):
            return None
        return f"its [[sender]] has another certificate_subject than {found or 'none'}"
