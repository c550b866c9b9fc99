"""How associations are accepted and asked for: parameters, rejections, aborts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.conformance.markdown import code, table
from dibmg_node.dicom import facts
from dibmg_node.services import scu, wire
from dibmg_node.services.cfind import ANSWER_SECONDS
from dibmg_node.services.commitment import REPORT_SECONDS
from dibmg_node.services.negotiation import APPLICATION_CONTEXT
from dibmg_node.services.pdu import AbortReason
from dibmg_node.services.wire import Rejection
from dibmg_node.wiring.receiving import acceptor_settings

_ABORTS: Final[Mapping[AbortReason, str]] = {
    AbortReason.NOT_SPECIFIED: (
        "a deadline passed, a data set came too slowly or was far over the limit, or an internal error"
    ),
    AbortReason.UNRECOGNIZED_PDU: "a PDU of an unknown type",
    AbortReason.UNEXPECTED_PDU: "a PDU of a type that does not belong here",
    AbortReason.UNRECOGNIZED_PARAMETER: "never",
    AbortReason.UNEXPECTED_PARAMETER: "a message that its context does not carry, or out of order",
    AbortReason.INVALID_PARAMETER: "a PDU longer than announced; a PDU, PDV or command set that is malformed",
}
_REJECTIONS: Final[Mapping[Rejection, str]] = {
    wire.CONTEXT_NAME_NOT_SUPPORTED: "another application context than DICOM's",
    wire.CALLING_AE_NOT_RECOGNIZED: "AE title, address and certificate are those of no sender",
    wire.CALLED_AE_NOT_RECOGNIZED: "another AE title than the node's own is called",
    wire.PROTOCOL_NOT_SUPPORTED: "another protocol version than 1",
    wire.LOCAL_LIMIT_EXCEEDED: "too many associations, in all or from one address",
    wire.NO_ROOM: "less disk is free than the reserve; not who may report on storage commitment",
    wire.INTAKE_PAUSED: (
        "an operator paused intake; not who may report on storage commitment, nor a request that proposes "
        "Verification alone"
    ),
}


def identity_table() -> str:
    """What every association says of the node."""
    return table(
        ("Parameter", "Value"),
        (
            ("Application context name", code(APPLICATION_CONTEXT)),
            ("Implementation class UID", code(facts.IMPLEMENTATION_CLASS_UID)),
            ("Implementation version name", code(facts.IMPLEMENTATION_VERSION_NAME)),
        ),
    )


def acceptance_table(settings: Settings) -> str:
    """Parameters of associations that are accepted."""
    at_most = acceptor_settings(settings)
    seconds = {
        "to an association request, from the connection": at_most.association_timeout,
        "for a whole PDU, a whole command set, and each answer": at_most.pdu_timeout,
        "between two messages": at_most.idle_timeout,
    }
    return table(
        ("Parameter", "Value"),
        (
            ("AE title", code(at_most.ae_title)),
            ("Maximum PDU length announced", f"{at_most.maximum_pdu} bytes"),
            ("Associations at the same time", str(at_most.maximum_associations)),
            ("Associations at the same time from one address", str(at_most.maximum_per_address)),
            ("Outstanding asynchronous operations", "1 invoked, 1 performed, whatever is proposed"),
            *((f"Time-out {what}", f"{limit.total_seconds():g} s") for what, limit in seconds.items()),
            ("Slowest data set", f"{at_most.minimum_rate} bytes/s"),
            ("Longest data set", f"{at_most.maximum_data_set} bytes"),
            ("Longest association request", f"{at_most.maximum_request} bytes"),
            ("Longest command set", f"{at_most.maximum_command} bytes"),
            ("SCP/SCU role selection", "answered: the requestor is SCU, of storage commitment SCP"),
            ("SOP class extended and common extended negotiation", "not answered"),
            ("User identity negotiation", "not answered"),
        ),
    )


def initiation_table(settings: Settings) -> str:
    """Parameters of associations that are asked for."""
    return table(
        ("Parameter", "Value"),
        (
            ("Calling AE title", code(settings.intake.ae_title)),
            ("Maximum PDU length announced", f"{scu.MAXIMUM_PDU} bytes"),
            ("Associations at the same time", "1 for each destination, 1 for a fetch"),
            ("Outstanding asynchronous operations", "not proposed: 1"),
            ("Time-out for the connection", f"{scu.CONNECT_SECONDS} s"),
            ("Time-out for an answer to the association request", f"{scu.TIMEOUT_SECONDS} s"),
            ("Time-out for an answer to C-STORE, C-ECHO and N-ACTION", f"{scu.TIMEOUT_SECONDS} s"),
            ("Wait for N-EVENT-REPORT on the association of its N-ACTION", f"{REPORT_SECONDS:g} s"),
            ("Time-out for an answer to C-FIND and C-GET", f"{ANSWER_SECONDS:g} s"),
            ("SCP/SCU role selection", "proposed for C-GET: the node is SCP of the storage classes"),
            ("Extended negotiation, user identity", "not proposed"),
        ),
    )


def rejection_table() -> str:
    """A-ASSOCIATE-RJ that the node answers with."""
    return table(
        ("Result", "Source", "Reason", "In words", "When"),
        (
            (str(one.result), str(one.source), str(one.diagnostic), one.sentence, _REJECTIONS[one])
            for one in _constants()
        ),
    )


def abort_table() -> str:
    """A-ABORT that the node sends."""
    rows = (
        (str(reason.value), reason.name.lower().replace("_", " "), _ABORTS[reason]) for reason in AbortReason
    )
    return table(("Reason of the service-provider", "In words", "When"), rows)


def _constants() -> Iterator[Rejection]:
    yield from (value for value in vars(wire).values() if isinstance(value, Rejection))
