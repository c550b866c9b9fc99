"""What passes between the acceptor and the rest of the node: the seam of the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.services.tls import ServerTls


@dataclass(frozen=True)
class AcceptorSettings:
    """How the acceptor listens, and what it bears from a peer.

    Attributes:
        contexts: Accepted transfer syntax UIDs, best first, by abstract syntax UID. Verification is
            added where it is missing.
        implementation_class_uid: Announced to every peer; PS3.7 D.3.3.2.
        implementation_version_name: The same, at most 16 characters.
        ae_title: Called AE title that is answered; empty: any, `admit` decides.
        address: Address to listen on, IPv4 or IPv6.
        port: 0: any free port; `Acceptor.port` tells which.
        maximum_pdu: Longest P-DATA-TF PDU that peers may send, bytes without its 6 byte header.
        maximum_associations: More than this at once are rejected 2/3/2.
        maximum_per_address: The same, for one peer address.
        association_timeout: From the connection to a complete A-ASSOCIATE-RQ, TLS handshake included.
        pdu_timeout: For every whole PDU, for a whole command set, and for every answer that is sent.
        idle_timeout: From the last message to the next.
        minimum_rate: Bytes a second over one data set, time spent in the sink left out; tested from
            `pdu_timeout` on.
        maximum_request: Longest first PDU, bytes; 128 contexts with 45 transfer syntaxes each are 170 KB.
        maximum_command: Longest command set, bytes.
        maximum_data_set: Longest data set, bytes.
        tls: Server side; None: plain DICOM.
    """

    contexts: Mapping[str, tuple[str, ...]]
    implementation_class_uid: str
    implementation_version_name: str
    ae_title: str = "DIBMG"
    address: str = "127.0.0.1"
    port: int = 11112
    maximum_pdu: int = 131072
    maximum_associations: int = 64
    maximum_per_address: int = 8
    association_timeout: timedelta = timedelta(seconds=10)
    pdu_timeout: timedelta = timedelta(seconds=15)
    idle_timeout: timedelta = timedelta(seconds=30)
    minimum_rate: int = 10_000
    maximum_request: int = 256 * 1024
    maximum_command: int = 8 * 1024
    maximum_data_set: int = 4 * 1024 * 1024 * 1024
    tls: ServerTls | None = None


@dataclass(frozen=True)
class AssociationRequest:
    """Who wants an association, before it is accepted. Every text is printable ASCII.

    Attributes:
        association_id: Unique to this association, also in logs, StoreRequest and AssociationEnd.
        certificate_subject: `CN=mg1,O=Clinic` of the verified client certificate; None without one.
        implementation_version_name: As the peer gives it, empty where it does not.
        abstract_syntaxes: UIDs that it proposes.
    """

    association_id: str
    calling_aet: str
    called_aet: str
    peer_address: str
    peer_port: int
    certificate_subject: str | None
    implementation_class_uid: str
    implementation_version_name: str
    abstract_syntaxes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rejection:
    """An A-ASSOCIATE-RJ. Source: PS3.8 Table 9-21.

    Attributes:
        result: 1 permanent, 2 transient.
        source: 1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation).
        diagnostic: Reason, within the source.
        sentence: The same in words, for the log.
    """

    result: int
    source: int
    diagnostic: int
    sentence: str


CONTEXT_NAME_NOT_SUPPORTED = Rejection(1, 1, 2, "application context name not supported")
CALLING_AE_NOT_RECOGNIZED = Rejection(1, 1, 3, "calling AE title not recognized")
CALLED_AE_NOT_RECOGNIZED = Rejection(1, 1, 7, "called AE title not recognized")
PROTOCOL_NOT_SUPPORTED = Rejection(1, 2, 2, "protocol version not supported")
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2, "local limit exceeded")
NO_ROOM = Rejection(2, 3, 2, "local limit exceeded: no room on the disk")
INTAKE_PAUSED = Rejection(2, 3, 1, "temporary congestion: intake is paused")


@dataclass(frozen=True)
class StoreRequest:
    """One instance on offer: a C-STORE-RQ whose command set has been checked, or a part of a STOW-RS request.

    The SOP class is that of the presentation context; the SOP Instance UID holds digits and dots
    only, at most 64. Neither has been compared with the data set.

    Attributes:
        association_id: Of the association, or of the STOW-RS request.
        study_uid: The study that all instances must belong to; None: any.
        certificate_subject: As in AssociationRequest.
    """

    association_id: str
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str
    peer_address: str
    study_uid: str | None = None
    certificate_subject: str | None = None


@dataclass(frozen=True)
class StoreAnswer:
    """What the sender of an instance is told.

    Attributes:
        status: C-STORE status, PS3.4 B.2.3.
        comment: Error Comment (0000,0902); cut to 64 printable ASCII characters.
        offending_element: Tag at fault, 0xGGGGEEEE.
    """

    status: int
    comment: str = ""
    offending_element: int | None = None


@dataclass(frozen=True)
class EventReport:
    """An N-EVENT-REPORT on storage commitment, on an association of its own or on that of the request.

    Attributes:
        event_type: Event Type ID; None where it is missing.
        content: Event Information, encoded.
    """

    calling_aet: str
    peer_address: str
    event_type: int | None
    transfer_syntax_uid: str
    content: bytes


class InstanceSink(Protocol):
    """Where one data set goes. Called by one thread; `commit` or `abort` is called once, and last.

    `write` and `commit` may raise: StorageFullError and OSError are answered 0xA700,
    InstanceRejectedError its own status, anything else 0xC000 and logged as an error. After a
    failed `write` follows `abort`; after a failed `commit` follows nothing.
    """

    def write(self, *fragments: memoryview) -> None:
        """Take the next bytes of the data set. The views are valid during this call only."""

    def commit(self) -> StoreAnswer:
        """The data set is complete: keep it, and say what the sender is told."""

    def abort(self) -> None:
        """The data set will never be complete: forget it."""


class EndReason(StrEnum):
    """How an accepted association ended."""

    RELEASED = "released"
    ABORTED = "aborted"
    TIMED_OUT = "timed out"
    LOST = "lost"


@dataclass(frozen=True)
class AssociationEnd:
    """An accepted association is over.

    Attributes:
        sentence: Why, in words.
        answered: C-STORE requests answered with Success or a warning.
        refused: C-STORE requests answered with a failure.
    """

    association_id: str
    calling_aet: str
    peer_address: str
    reason: EndReason
    sentence: str
    answered: int
    refused: int


@dataclass(frozen=True)
class TurnedAway:
    """Somebody who was not let in, or whose instance was refused. Every text is printable ASCII.

    Attributes:
        calling_aet: As the peer says; empty where it said nothing yet.
        sentence: Why, in words.
        for_now: At another moment it may come in: no room, too many at once, or intake is paused.
        let_in: It was let in, and one instance refused: nothing that anybody has to be warned of.
    """

    peer_address: str
    calling_aet: str
    called_aet: str
    sentence: str
    for_now: bool = False
    let_in: bool = False


def refused(request: AssociationRequest | StoreRequest, answer: StoreAnswer) -> TurnedAway:
    """Whose instance was refused with that answer."""
    told = ascii(f"instance refused, 0x{answer.status:04X}: {answer.comment}")[1:-1]
    for_now = answer.status == StoreStatus.OUT_OF_RESOURCES
    return TurnedAway(
        request.peer_address, request.calling_aet, request.called_aet, told, for_now, let_in=True
    )


Admit: TypeAlias = Callable[[AssociationRequest], Rejection | None]
"""Decides on one association request; None accepts it. Called on the connection's own thread."""

OpenInstance: TypeAlias = Callable[[StoreRequest], InstanceSink]
"""Opens the sink of one data set; may raise what `InstanceSink.write` may."""

TakeReport: TypeAlias = Callable[[EventReport], int]
"""Enters what a peer reports; the status that it is answered with."""

TellTurnedAway: TypeAlias = Callable[[TurnedAway], None]
"""Told about everybody who was not let in: by certificate, address, AE titles or protocol, or for now."""

Ended: TypeAlias = Callable[[AssociationEnd], None]
"""Told once about every association that had been accepted, after its last answer was sent."""
