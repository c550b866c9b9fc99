"""A PACS that commits to what it stored, as a test tells it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event

from dibmg_node.dicom import facts
from tests.services.wire_peers import WAIT_SECONDS

Answer = Callable[[str], int]
"""Failure Reason for an instance; 0: it is committed to."""


def report_on(request: Dataset, failing: Answer = lambda uid: 0) -> tuple[Dataset, int]:
    """Event Information and Event Type ID. Source: PS3.4 Table J.3-2."""
    information = Dataset()
    information.TransactionUID = request.TransactionUID
    good, bad = [], []
    for item in request.ReferencedSOPSequence:
        reason = failing(item.ReferencedSOPInstanceUID)
        if reason:
            item.FailureReason = reason
        (bad if reason else good).append(item)
    if good:
        information.ReferencedSOPSequence = good
    if bad:
        information.FailedSOPSequence = bad
    return information, 2 if bad else 1


@dataclass
class CommittingPeer:
    """Takes N-ACTION; reports on the same association, or leaves it to the test.

    Attributes:
        asked: Action Information of every request.
        failing: What it says of each instance.
        same_association: Whether it reports at all by itself, on the association of the request.
        status: Of its N-ACTION-RSP.
        aborts: It breaks off instead of answering.
        answers: Statuses that its reports were answered with.
    """

    failing: Answer = lambda uid: 0
    same_association: bool = True
    status: int = 0x0000
    aborts: bool = False
    asked: list[Dataset] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    port: int = 0
    reported: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, classes: Sequence[str] = (facts.STORAGE_COMMITMENT,)) -> Iterator[CommittingPeer]:
        ae = AE("PACS")
        for sop_class in classes:
            ae.add_supported_context(sop_class, list(facts.PLAIN_SYNTAXES))
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, self._take)])
        self.port = server.socket.getsockname()[1]
        try:
            yield self
        finally:
            server.shutdown()

    def report_anew(self, port: int, called: str = "DIBMG", role: bool = True) -> int:
        """Report on the last request over an association of its own; the status of the answer."""
        ae = AE("PACS")
        ae.add_requested_context(facts.STORAGE_COMMITMENT, list(facts.PLAIN_SYNTAXES))
        roles = [build_role(facts.STORAGE_COMMITMENT, scp_role=True)] if role else []
        association = ae.associate("127.0.0.1", port, ae_title=called, ext_neg=roles)
        assert association.is_established
        try:
            information, event_type = report_on(self.asked[-1], self.failing)
            if not role:  # pynetdicom keeps to its role; not every PACS does
                association.accepted_contexts[0]._as_scp = True
            answer, _ = association.send_n_event_report(
                information, event_type, facts.STORAGE_COMMITMENT, facts.STORAGE_COMMITMENT_INSTANCE
            )
            return int(answer.Status)
        finally:
            association.release()

    def _take(self, event: Event) -> tuple[int, None]:
        self.asked.append(event.action_information)
        if self.aborts:
            event.assoc.abort()
        if self.same_association and self.status == 0:
            threading.Thread(target=self._report, args=(event,), daemon=True).start()
        return self.status, None

    def _report(self, event: Event) -> None:
        # the response to the request goes first
        information, event_type = report_on(event.action_information, self.failing)
        association = event.assoc
        for _ in range(int(WAIT_SECONDS / 0.05)):
            if association._is_paused is False:
                break
            self.reported.wait(0.05)
        if not association.is_established:
            return  # the node has ended meanwhile: nobody is there to be told
        answer, _ = association.send_n_event_report(
            information, event_type, facts.STORAGE_COMMITMENT, facts.STORAGE_COMMITMENT_INSTANCE
        )
        self.answers.append(int(answer.Status) if "Status" in answer else -1)
        self.reported.set()
