"""Storage commitment as SCU, Push Model: asked by N-ACTION, answered by N-EVENT-REPORT sooner or later.

Source: PS3.4 Annex J.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from dibmg_node.dicom import facts
from dibmg_node.dicom.commitment import REQUEST_COMMITMENT, commitment_request
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.reports import Reports
from dibmg_node.services.scu import DimsePeer, Handlers, plain_context
from dibmg_node.services.wire import EventReport
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.proofs import Proofs, Unproven

REPORT_SECONDS: Final = 5.0
"""How long a report is waited for on the association of its request; later it comes on one of its own."""
_LOOK_SECONDS: Final = 0.2
_SUCCESS: Final = 0x0000
_TRY_LATER: Final = frozenset({0x0110, 0x0213})
"""Processing failure, resource limitation. Source: PS3.7 Annex C."""


@dataclass(frozen=True)
class CommitmentWitness:
    """A destination that is asked for storage commitment.

    Attributes:
        reports: Takes what comes on the same association, as the acceptor's takes what comes on another.
        seconds: See REPORT_SECONDS.
    """

    peer: DimsePeer
    destination: str
    proofs: Proofs
    reports: Reports
    now: Callable[[], datetime]
    seconds: float = REPORT_SECONDS

    def testify(self, study_uid: str, unproven: Sequence[Unproven]) -> Sequence[Evidence]:
        """Ask for commitment; results are WAITING until it is reported, as `Witness` has it."""
        reported = _Reported(self.reports, self.peer.called_aet, self.peer.address)
        handlers: Handlers = [(evt.EVT_N_EVENT_REPORT, reported.take), (evt.EVT_PDU_SENT, reported.sent)]
        transaction_uid = f"2.25.{uuid4().int}"
        association = self.peer.associate([plain_context(facts.STORAGE_COMMITMENT)], handlers=handlers)
        try:
            # before it is asked: the report may come to another process, and faster than the response
            self.proofs.ask(
                study_uid, self.destination, transaction_uid, [one.sop_uid for one in unproven], self.now()
            )
            request = commitment_request(
                transaction_uid, [(one.sop_class_uid, one.sop_uid) for one in unproven]
            )
            try:
                answer, _ = association.send_n_action(
                    request, REQUEST_COMMITMENT, facts.STORAGE_COMMITMENT, facts.STORAGE_COMMITMENT_INSTANCE
                )
            except RuntimeError as error:
                raise PeerUnavailableError(f"{self.peer.who}: the association broke") from error
            self._check(int(answer.Status) if "Status" in answer else None)
            for _ in range(int(self.seconds / _LOOK_SECONDS) + 1):
                if reported.answered.wait(_LOOK_SECONDS) or not association.is_established:
                    break
                if not self.proofs.is_open(transaction_uid) and not reported.begun:
                    break  # it came on an association of its own
        finally:
            if association.is_established:
                association.release()
        told = "storage commitment asked for, not reported yet"
        return [Evidence(one.sop_uid, Finding.WAITING, comment=told) for one in unproven]

    def _check(self, status: int | None) -> None:
        """Whether the request was taken.

        Raises:
            PeerUnavailableError: There was no answer, or one that may pass.
            PeerRefusedError: The peer does not commit.
        """
        if status is None:
            told = (
                "no answer to N-ACTION (time-out or abort): does it know this node's AE title, host and port?"
            )
            raise PeerUnavailableError(f"{self.peer.who}: {told}")
        if status != _SUCCESS:
            told = f"{self.peer.who}: storage commitment answered with 0x{status:04X}"
            raise PeerUnavailableError(told) if status in _TRY_LATER else PeerRefusedError(told)


class _Reported:
    """A report on the association of its request; called on pynetdicom's threads.

    Attributes:
        begun: It has come.
        answered: It was entered, and its response is on the wire.
    """

    def __init__(self, reports: Reports, peer_aet: str, peer_address: str) -> None:
        self.begun = False
        self.answered = threading.Event()
        self._reports = reports
        self._peer = peer_aet, peer_address
        self._entered = False

    def take(self, event: Event) -> tuple[int, None]:
        self.begun = True
        request = event.request
        assert isinstance(request, N_EVENT_REPORT)
        information = request.EventInformation
        status = self._reports.take(
            EventReport(
                calling_aet=self._peer[0],
                peer_address=self._peer[1],
                event_type=event.event_type,
                transfer_syntax_uid=str(event.context.transfer_syntax),
                content=information.getvalue() if information else b"",
            )
        )
        self._entered = True
        return status, None

    def sent(self, event: Event) -> None:
        # the association is released after that, and not in the middle of the response
        if self._entered and isinstance(event.pdu, P_DATA_TF):
            self.answered.set()
