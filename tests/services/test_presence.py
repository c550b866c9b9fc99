from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.cfind import STUDY_ROOT_FIND
from dibmg_node.services.credentials import Anonymous
from dibmg_node.services.presence import QUERIES, CFindSearch, QidoSearch, QueryWitness, Search
from dibmg_node.services.proving import Prover
from dibmg_node.services.scu import DimsePeer
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.web_service import WebService
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import START, STUDY_UID, Clock, a_result
from tests.services.web_peers import Asked, Told, WebPeer
from tests.storage.life import analysis, analyze, deliveries_of, make_ready, state_of

REPORT, OVERLAY = "2.25.1", "2.25.2"
SERIES = {f"{REPORT}.1", f"{OVERLAY}.1"}


@contextmanager
def finding(held: Sequence[str], status: int = 0x0000) -> Iterator[tuple[DimsePeer, list[Dataset]]]:
    """A PACS that finds these instances, each in a series of its own; and what it was asked."""
    asked: list[Dataset] = []

    def find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        asked.append(keys)
        if status:
            yield status, None
            return
        for uid in held:
            if keys.StudyInstanceUID == STUDY_UID and keys.SeriesInstanceUID == f"{uid}.1":
                match = Dataset()
                match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
                yield 0xFF00, match

    ae = AE("PACS")
    ae.add_supported_context(STUDY_ROOT_FIND, list(facts.PLAIN_SYNTAXES))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        yield DimsePeer("DIBMG", "PACS", "127.0.0.1", server.socket.getsockname()[1]), asked
    finally:
        server.shutdown()


def qido(peer: WebPeer) -> QidoSearch:
    return QidoSearch(WebService(peer.url, Anonymous(), TlsFiles(), lambda: START))


def found(*uids: str) -> Told:
    content = [{"00080018": {"Value": [uid]}, "0020000E": {"Value": [f"{uid}.1"]}} for uid in uids]
    return Told(200, json.dumps(content).encode(), {"Content-Type": "application/dicom+json"})


def test_c_find_looks_for_the_instances_of_each_series_of_a_result() -> None:
    with finding([REPORT]) as (peer, asked):
        held = CFindSearch(peer).held(STUDY_UID, SERIES)

    assert held == {REPORT}
    assert {(keys.QueryRetrieveLevel, keys.SeriesInstanceUID) for keys in asked} == {
        ("IMAGE", uid) for uid in SERIES
    }


@pytest.mark.parametrize(("status", "error"), [(0xA700, PeerUnavailableError), (0xC001, PeerRefusedError)])
def test_a_c_find_that_fails_finds_nothing_out(status: int, error: type[Exception]) -> None:
    with finding([REPORT], status) as (peer, _), pytest.raises(error):
        CFindSearch(peer).held(STUDY_UID, SERIES)


def test_qido_looks_into_each_series_and_takes_a_missing_one_for_empty() -> None:
    def script(asked: Asked) -> Told:
        path, _, query = asked.path.partition("?")
        if f"{OVERLAY}.1" in path:
            return Told(404)
        return found(REPORT) if "offset=0" in query else Told(204)

    with WebPeer(script).running() as peer:
        held = qido(peer).held(STUDY_UID, SERIES)

    assert held == {REPORT}
    assert {asked.path.partition("?")[0] for asked in peer.asked} == {
        f"/dicom-web/studies/{STUDY_UID}/series/{uid}/instances" for uid in SERIES
    }


@pytest.mark.parametrize(
    ("told", "error"), [(Told(503), PeerUnavailableError), (Told(401), PeerRefusedError)]
)
def test_a_qido_that_fails_finds_nothing_out(told: Told, error: type[Exception]) -> None:
    with WebPeer(lambda asked: told).running() as peer, pytest.raises(error):
        qido(peer).held(STUDY_UID, SERIES)


class Shelf:
    """Holds what a test puts there."""

    def __init__(self, *uids: str) -> None:
        self.uids = set(uids)

    def held(self, study_uid: str, series_uids: object) -> set[str]:
        return self.uids


def prover(ledger: Ledger, clock: Clock, search: Search) -> Prover:
    """Two results are stored by `pacs`, and are to be found there."""
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result(OVERLAY, ResultKind.OVERLAY)]))
    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
    said = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock(), Proof.QUERY)
    return Prover(ledger.proofs, {"pacs": QueryWitness(search)}, clock)


def test_what_is_found_is_proven(ledger: Ledger, clock: Clock) -> None:
    prover(ledger, clock, Shelf(REPORT, OVERLAY)).prove(STUDY_UID, "pacs")

    assert state_of(ledger) == "DELIVERED"


def test_what_is_not_found_is_looked_for_again_and_at_last_sent_again(ledger: Ledger, clock: Clock) -> None:
    one = prover(ledger, clock, Shelf(REPORT))
    states = []

    for _ in range(QUERIES):
        assert one.prove(STUDY_UID, "pacs")
        assert not one.prove(STUDY_UID, "pacs")
        states.append(dict(deliveries_of(ledger))[OVERLAY])
        clock.advance(900)

    assert states == ["STORED"] * (QUERIES - 1) + ["OWED"]
    assert dict(deliveries_of(ledger))[REPORT] == "PROVEN"
    assert ledger.views.destination("pacs").comment == f"{QUERIES} queries did not find it"


def test_what_is_found_late_is_proven_and_not_sent_again(ledger: Ledger, clock: Clock) -> None:
    shelf = Shelf(REPORT)
    one = prover(ledger, clock, shelf)
    one.prove(STUDY_UID, "pacs")
    shelf.uids.add(OVERLAY)
    clock.advance(60)

    one.prove(STUDY_UID, "pacs")

    assert state_of(ledger) == "DELIVERED"


def test_a_destination_that_is_asked_for_no_proof_any_more_owes_none(ledger: Ledger, clock: Clock) -> None:
    prover(ledger, clock, Shelf())

    Prover(ledger.proofs, {}, clock).prove(STUDY_UID, "pacs")

    assert state_of(ledger) == "DELIVERED"


def stranger(ledger: Ledger, clock: Clock, others_are_up: bool) -> Prover:
    """A host that does not know the destination, or not that it is asked for a proof."""
    return Prover(ledger.proofs, {}, clock, others_are_up=lambda: others_are_up)


def test_a_proof_that_a_host_does_not_know_of_yet_is_left_to_the_others(ledger: Ledger, clock: Clock) -> None:
    knowing = prover(ledger, clock, Shelf(REPORT, OVERLAY))

    assert not stranger(ledger, clock, others_are_up=True).prove(STUDY_UID, "pacs")

    assert knowing.prove(STUDY_UID, "pacs")
    assert deliveries_of(ledger) == [(REPORT, "PROVEN"), (OVERLAY, "PROVEN")]


@pytest.mark.parametrize(("others_are_up", "waited"), [(False, 0), (True, 3600)])
def test_a_proof_that_nobody_knows_of_is_asked_no_more(
    ledger: Ledger, clock: Clock, others_are_up: bool, waited: int
) -> None:
    prover(ledger, clock, Shelf())
    clock.advance(waited)

    stranger(ledger, clock, others_are_up).prove(STUDY_UID, "pacs")

    assert state_of(ledger) == "DELIVERED"


def test_an_unexpected_error_is_seen_in_the_ledger_without_its_text(ledger: Ledger, clock: Clock) -> None:
    class Broken:
        def held(self, study_uid: str, series_uids: object) -> set[str]:
            raise AttributeError("Doe^Jane")

    prover(ledger, clock, Broken()).prove(STUDY_UID, "pacs")

    assert ledger.views.destination("pacs").comment == "unexpected AttributeError while proving"
