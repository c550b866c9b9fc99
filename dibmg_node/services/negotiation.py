"""What an A-ASSOCIATE-RQ is answered with, without a socket. The acceptor's only door to pynetdicom.

Source: PS3.8 9.3.3 and 9.3.4, PS3.7 D.3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from dibmg_node.dicom import facts
from dibmg_node.services.proposal import Proposal, ProposedContext
from dibmg_node.services.wire import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    CONTEXT_NAME_NOT_SUPPORTED,
    PROTOCOL_NOT_SUPPORTED,
    AcceptorSettings,
    Rejection,
)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"


@dataclass(frozen=True)
class AcceptedContext:
    """What was agreed for one presentation context id."""

    abstract_syntax_uid: str
    transfer_syntax_uid: str


def find_fault(proposal: Proposal, ae_title: str) -> Rejection | None:
    """Why this request is rejected whoever sends it; None: no reason.

    Args:
        proposal: The request.
        ae_title: The node's own; empty: any called title will do.
    """
    if not proposal.protocol_version & 1:
        return PROTOCOL_NOT_SUPPORTED
    if proposal.application_context_uid != APPLICATION_CONTEXT:
        return CONTEXT_NAME_NOT_SUPPORTED
    if proposal.called_aet is None or (ae_title and proposal.called_aet != ae_title):
        return CALLED_AE_NOT_RECOGNIZED
    if proposal.calling_aet is None:
        return CALLING_AE_NOT_RECOGNIZED
    return None


def accept(proposal: Proposal, settings: AcceptorSettings) -> tuple[dict[int, AcceptedContext], bytes]:
    """Answer a request that is not rejected.

    A context that is not supported is refused on its own; the association is accepted even if none is
    left. An asynchronous window is answered 1/1, the SCP role is kept but for storage commitment, whose
    requestor is its SCP; extended negotiation and user identity are left unanswered, which PS3.7 D.3.3.5 to
    D.3.3.7 define as not supported.

    Returns:
        Accepted contexts by id, and the A-ASSOCIATE-AC.
    """
    supported = {facts.VERIFICATION: facts.PLAIN_SYNTAXES, **settings.contexts}
    wanted = {context.abstract_syntax_uid for context in proposal.contexts}
    results, roles = negotiate_as_acceptor(
        [_proposed(context, supported) for context in proposal.contexts],
        [_supported(uid, supported[uid]) for uid in wanted & supported.keys()],
        {UID(uid): role for uid, role in proposal.roles.items()},
    )
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT)
    primitive.called_ae_title = primitive.calling_ae_title = "REPLACED BELOW"
    primitive.presentation_context_definition_results_list = results
    primitive.user_information = [*_identity(settings), *roles]
    if proposal.asynchronous:
        window = AsynchronousOperationsWindowNegotiation()
        window.maximum_number_operations_invoked = 1
        window.maximum_number_operations_performed = 1
        primitive.user_information.append(window)
    encoded = A_ASSOCIATE_AC(primitive).encode()
    agreed = {
        context.context_id: AcceptedContext(str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in results
        if context.result == 0 and context.context_id is not None
    }
    return agreed, encoded[:10] + proposal.echoed + encoded[74:]


def _proposed(context: ProposedContext, supported: Mapping[str, tuple[str, ...]]) -> PresentationContext:
    # Only what may be accepted, or the first, to refuse: pynetdicom logs a line for any other syntax.
    known = supported.get(context.abstract_syntax_uid, ())
    useful = [uid for uid in context.transfer_syntax_uids if uid in known]
    proposed = PresentationContext()
    proposed.context_id = context.context_id
    proposed.abstract_syntax = UID(context.abstract_syntax_uid)
    for uid in useful or context.transfer_syntax_uids[:1]:
        proposed.add_transfer_syntax(uid)
    return proposed


def _supported(abstract_syntax_uid: str, transfer_syntax_uids: tuple[str, ...]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(abstract_syntax_uid)
    for uid in transfer_syntax_uids:
        context.add_transfer_syntax(uid)
    # who reports on storage commitment is its SCP, and says so; who does not say it is taken at its word
    reports = abstract_syntax_uid == facts.STORAGE_COMMITMENT
    context.scu_role, context.scp_role = not reports, reports
    return context


def _identity(
    settings: AcceptorSettings,
) -> list[
    MaximumLengthNotification | ImplementationClassUIDNotification | ImplementationVersionNameNotification
]:
    length = MaximumLengthNotification()
    length.maximum_length_received = settings.maximum_pdu
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(settings.implementation_class_uid)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = settings.implementation_version_name
    return [length, implementation, version]
