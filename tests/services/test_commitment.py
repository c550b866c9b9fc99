from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.result import ResultKind
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.commitment import CommitmentWitness
from dibmg_node.services.intake import Intake
from dibmg_node.services.proving import LEASE, Prover
from dibmg_node.services.reports import Reports
from dibmg_node.services.scu import TIMEOUT_SECONDS, DimsePeer
from dibmg_node.services.wire import AcceptorSettings
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import STUDY_UID, Clock, a_result, mammogram
from tests.services.commitment_peer import CommittingPeer
from tests.services.test_intake import MG1, POLICY
from tests.services.wire_peers import (
    SETTINGS,
    WAIT_SECONDS,
    RawPeer,
    associate_rq,
    context,
    pdu,
    pdv,
    store_command,
)
from tests.storage.life import analysis, analyze, deliveries_of, make_ready, state_of

REPORT, OVERLAY = "2.25.1", "2.25.2"
BOTH_PROVEN = [(REPORT, "PROVEN"), (OVERLAY, "PROVEN")]
BOTH_STORED = [(REPORT, "STORED"), (OVERLAY, "STORED")]


@pytest.fixture
def stored(ledger: Ledger, clock: Clock) -> Ledger:
    """A ledger by which `pacs` has stored a report and an overlay, and is to commit to them."""
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result(OVERLAY, ResultKind.OVERLAY)]))
    store(ledger, clock)
    return ledger


def store(ledger: Ledger, clock: Clock) -> list[str]:
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock(), Proof.COMMITMENT)
    return [one.sop_uid for one in owed]


def prover(ledger: Ledger, clock: Clock, port: int, seconds: float = WAIT_SECONDS) -> Prover:
    reports = Reports(ledger.proofs, clock)
    peer = DimsePeer("DIBMG", "PACS", "127.0.0.1", port)
    witness = CommitmentWitness(peer, "pacs", ledger.proofs, reports, clock, seconds)
    return Prover(ledger.proofs, {"pacs": witness}, clock)


@contextmanager
def receiving(
    archive: Archive, ledger: Ledger, clock: Clock, settings: AcceptorSettings = SETTINGS
) -> Iterator[int]:
    """The node's own acceptor, which lets `PACS` report and only MG1 send; its port."""
    contexts = {**facts.ACCEPTED_CONTEXTS, facts.STORAGE_COMMITMENT: facts.PLAIN_SYNTAXES}
    policy = replace(POLICY, senders=(MG1,), may_report=lambda aet, address: aet == "PACS")
    intake = Intake(archive, ledger.receipts, policy, clock)
    acceptor = Acceptor(
        replace(settings, contexts=contexts),
        admit=intake.admit,
        open_instance=intake.open_sent,
        ended=intake.ended,
        take_report=Reports(ledger.proofs, clock).take,
    )
    acceptor.start()
    try:
        yield acceptor.port
    finally:
        acceptor.stop(5)


def test_a_report_on_the_same_association_proves_the_results(stored: Ledger, clock: Clock) -> None:
    with CommittingPeer().running() as peer:
        prover(stored, clock, peer.port).prove(STUDY_UID, "pacs")
        peer.reported.wait(WAIT_SECONDS)

    assert (deliveries_of(stored), state_of(stored)) == (BOTH_PROVEN, "DELIVERED")
    assert peer.answers == [0x0000]


def test_the_request_names_every_result_with_its_class_under_a_uid_of_its_own(
    stored: Ledger, clock: Clock
) -> None:
    with CommittingPeer(same_association=False).running() as peer:
        one = prover(stored, clock, peer.port, seconds=0)
        one.prove(STUDY_UID, "pacs")
        clock.advance(60)
        one.prove(STUDY_UID, "pacs")

    named = {
        (i.ReferencedSOPInstanceUID, i.ReferencedSOPClassUID) for i in peer.asked[0].ReferencedSOPSequence
    }
    results = [a_result(), a_result(OVERLAY, ResultKind.OVERLAY)]
    assert named == {(one.sop_uid, one.sop_class_uid) for one in results}
    assert len({request.TransactionUID for request in peer.asked}) == 2


def test_a_report_on_an_association_of_its_own_proves_the_results(
    stored: Ledger, clock: Clock, archive: Archive
) -> None:
    with receiving(archive, stored, clock) as port, CommittingPeer(same_association=False).running() as peer:
        prover(stored, clock, peer.port, seconds=0).prove(STUDY_UID, "pacs")
        before = deliveries_of(stored)

        status = peer.report_anew(port)

    assert (before, status) == (BOTH_STORED, 0x0000)
    assert (deliveries_of(stored), state_of(stored)) == (BOTH_PROVEN, "DELIVERED")


def test_a_peer_that_does_not_say_that_it_is_the_scp_is_heard_all_the_same(
    stored: Ledger, clock: Clock, archive: Archive
) -> None:
    with receiving(archive, stored, clock) as port, CommittingPeer(same_association=False).running() as peer:
        prover(stored, clock, peer.port, seconds=0).prove(STUDY_UID, "pacs")

        status = peer.report_anew(port, role=False)

    assert (status, state_of(stored)) == (0x0000, "DELIVERED")


def test_an_instance_that_the_peer_does_not_have_is_named_and_sent_again(
    stored: Ledger, clock: Clock
) -> None:
    peer = CommittingPeer(failing=lambda uid: 0x0112 if uid == OVERLAY else 0)
    with peer.running():
        one = prover(stored, clock, peer.port)
        one.prove(STUDY_UID, "pacs")
        peer.reported.wait(WAIT_SECONDS)
        first = deliveries_of(stored), stored.views.destination("pacs").comment
        clock.advance(1)
        sent_again = store(stored, clock)
        peer.failing = lambda uid: 0
        one.prove(STUDY_UID, "pacs")

    named = "storage commitment failed: no such object instance"
    assert first == ([(REPORT, "PROVEN"), (OVERLAY, "OWED")], named)
    assert sent_again == [OVERLAY]
    assert (deliveries_of(stored), state_of(stored)) == (BOTH_PROVEN, "DELIVERED")


def test_a_peer_that_never_reports_is_asked_again_later_and_its_results_stay(
    stored: Ledger, clock: Clock
) -> None:
    with CommittingPeer(same_association=False).running() as peer:
        one = prover(stored, clock, peer.port, seconds=0)
        asked = []
        for _ in range(30):
            one.prove(STUDY_UID, "pacs")
            asked.append(len(peer.asked))
            clock.advance(60)

    told = stored.views.destination("pacs")
    assert asked[0] == 1
    assert 3 <= asked[-1] <= 6  # within half an hour: after 1, 3, 7 and 15 minutes, or up to a quarter sooner
    assert (deliveries_of(stored), told.doubtful) == (BOTH_STORED, 2)
    assert told.comment == "storage commitment asked for, not reported yet"


@pytest.mark.parametrize(
    ("classes", "status", "comment"),
    [
        ([facts.VERIFICATION], 0, "accepts none of the presentation contexts offered"),
        ([facts.STORAGE_COMMITMENT], 0x0124, "storage commitment answered with 0x0124"),
        ([facts.STORAGE_COMMITMENT], 0x0213, "storage commitment answered with 0x0213"),
    ],
)
def test_a_peer_that_does_not_commit_leaves_the_results_stored_and_says_why(
    stored: Ledger, clock: Clock, classes: list[str], status: int, comment: str
) -> None:
    with CommittingPeer(status=status).running(classes) as peer:
        prover(stored, clock, peer.port).prove(STUDY_UID, "pacs")

    assert deliveries_of(stored) == BOTH_STORED
    assert stored.views.destination("pacs").comment.endswith(comment)


def test_a_peer_that_does_not_answer_the_request_may_not_know_this_node(stored: Ledger, clock: Clock) -> None:
    with CommittingPeer(aborts=True).running() as peer:
        prover(stored, clock, peer.port).prove(STUDY_UID, "pacs")

    assert deliveries_of(stored) == BOTH_STORED
    assert stored.views.destination("pacs").comment.endswith(
        "no answer to N-ACTION (time-out or abort): does it know this node's AE title, host and port?"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_peer_that_is_away_is_asked_again_later(stored: Ledger, clock: Clock) -> None:
    with CommittingPeer().running() as peer:
        port = peer.port

    prover(stored, clock, port).prove(STUDY_UID, "pacs")

    assert deliveries_of(stored) == BOTH_STORED
    assert "no association" in stored.views.destination("pacs").comment
    assert stored.proofs.due(clock.advance(60), clock()) == [(STUDY_UID, 4, "pacs")]


def test_a_report_that_nobody_asked_for_is_answered_with_a_failure(
    stored: Ledger, clock: Clock, archive: Archive
) -> None:
    forged = Dataset()
    forged.TransactionUID, forged.ReferencedSOPSequence = "1.2.3.4.5", [Dataset()]
    forged.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = REPORT
    peer = CommittingPeer(asked=[forged])

    with receiving(archive, stored, clock) as port:
        status = peer.report_anew(port)

    assert (status, deliveries_of(stored)) == (0x0115, BOTH_STORED)


def test_a_pacs_that_may_only_report_is_refused_when_it_stores(
    stored: Ledger, clock: Clock, archive: Archive
) -> None:
    ae = AE("PACS")
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE)

    with receiving(archive, stored, clock) as port:
        association = ae.associate("127.0.0.1", port, ae_title="DIBMG")
        answer = association.send_c_store(mammogram(number=1))
        association.release()

    assert answer.Status == 0x0124


def test_a_store_on_the_context_of_storage_commitment_is_aborted(
    stored: Ledger, clock: Clock, archive: Archive
) -> None:
    command = store_command(sop_class=facts.STORAGE_COMMITMENT)

    with receiving(archive, stored, clock) as port, RawPeer(port) as peer:
        peer.send(associate_rq(context(1, facts.STORAGE_COMMITMENT, facts.EXPLICIT_LE), calling=b"PACS"))
        assert peer.read_pdu()[0] == 2
        peer.send(pdu(4, pdv(1, 3, command)))

        assert peer.aborted() == (2, 5)


def test_a_lease_outlives_the_time_outs_of_asking() -> None:
    assert LEASE.total_seconds() > 4 * TIMEOUT_SECONDS
