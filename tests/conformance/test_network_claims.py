"""What the statement says of associations, held against real ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from dibmg_node.config import Settings
from dibmg_node.conformance.associations import acceptance_table, initiation_table, rejection_table
from dibmg_node.conformance.services import accepted_table, fetch_table, offered_table, syntax_table
from dibmg_node.conformance.specimens import specimens
from dibmg_node.conformance.statuses import http_table, reason_table, store_table
from dibmg_node.dicom import facts
from dibmg_node.domain.result import REPORTS
from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.cget import CGetSource
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.fetching import Landing
from dibmg_node.services.scu import DimsePeer
from dibmg_node.wiring.receiving import acceptor_settings
from tests.services.wire_peers import MemoryStore, listening

SERVED = replace(acceptor_settings(Settings()), port=0)
MOST_CONTEXTS = 128
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
PET = "1.2.840.10008.5.1.4.1.1.128"


def rows(text: str) -> list[list[str]]:
    """Cells of a table without its head."""
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]


def claimed(settings: Settings = Settings()) -> set[tuple[str, str]]:
    """Presentation contexts that the statement says are accepted, as its two tables have them."""
    syntaxes = {
        "Image syntaxes": [uid for _, uid, image, *_ in rows(syntax_table()) if image == "Y"],
        "Plain syntaxes": [uid for _, uid, _, plain, *_ in rows(syntax_table()) if plain == "Y"],
    }
    return {
        (uid, syntax) for _, uid, group, *_ in rows(accepted_table(settings)) for syntax in syntaxes[group]
    }


def accepted(port: int, contexts: list[PresentationContext]) -> list[tuple[str, str]]:
    """What a real acceptor takes of these contexts."""
    ae = AE("MG1")
    taken = []
    for start in range(0, len(contexts), MOST_CONTEXTS):
        association = ae.associate(
            "127.0.0.1", port, contexts[start : start + MOST_CONTEXTS], ae_title="DIBMG"
        )
        taken += [
            (str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts
        ]
        if association.is_established:
            association.release()
    return taken


def test_every_context_that_the_statement_lists_is_accepted_by_a_real_association():
    contexts = [build_context(uid, syntax) for uid, syntax in sorted(claimed())]

    with listening(settings=SERVED) as wire:
        taken = accepted(wire.port, contexts)

    assert set(taken) == claimed()


def test_storage_commitment_is_accepted_where_a_destination_is_asked_for_it_and_nowhere_else():
    pacs = {"name": "pacs", "address": "127.0.0.1", "port": 104, "ae_title": "PACS", "proof": "commitment"}
    asking = Settings.model_validate({"destination": [pacs]})
    known = build_context(facts.VERIFICATION, facts.IMPLICIT_LE)
    contexts = [known, build_context(facts.STORAGE_COMMITMENT, facts.EXPLICIT_LE)]
    taken = []

    for settings in (Settings(), asking):
        with listening(settings=replace(acceptor_settings(settings), port=0)) as wire:
            taken.append(accepted(wire.port, contexts))

    both = [(facts.VERIFICATION, facts.IMPLICIT_LE), (facts.STORAGE_COMMITMENT, facts.EXPLICIT_LE)]
    assert taken == [both[:1], both]
    assert claimed(asking) - claimed() == {(facts.STORAGE_COMMITMENT, uid) for uid in facts.PLAIN_SYNTAXES}


@pytest.mark.parametrize(
    ("abstract_syntax", "transfer_syntax"),
    [
        (facts.MG_FOR_PRESENTATION, DEFLATED),
        (facts.MG_FOR_PRESENTATION, BIG_ENDIAN),
        (facts.MAMMOGRAPHY_CAD_SR, facts.RLE_LOSSLESS),
        (facts.VERIFICATION, facts.JPEG_BASELINE),
        (PET, facts.EXPLICIT_LE),
    ],
)
def test_a_context_that_the_statement_does_not_list_is_refused(abstract_syntax: str, transfer_syntax: str):
    known = build_context(facts.VERIFICATION, facts.IMPLICIT_LE)

    with listening(settings=SERVED) as wire:
        taken = accepted(wire.port, [known, build_context(abstract_syntax, transfer_syntax)])

    assert (abstract_syntax, transfer_syntax) not in claimed()
    assert taken == [(facts.VERIFICATION, facts.IMPLICIT_LE)]


def test_of_several_syntaxes_the_first_of_the_statement_is_taken():
    order = [uid for _, uid, *_ in rows(syntax_table())]

    with listening(settings=SERVED) as wire:
        taken = accepted(wire.port, [build_context(facts.MG_FOR_PRESENTATION, order[::-1])])

    assert taken == [(facts.MG_FOR_PRESENTATION, order[0])]


class Listener:
    """A PACS that notes what is proposed to it, and stores everything.

    Attributes:
        proposed: Abstract syntax and transfer syntaxes of each context of the last association.
        roles: SOP classes for which the requestor wants to be SCP.
    """

    def __init__(self) -> None:
        self.proposed: list[tuple[str, list[str]]] = []
        self.roles: set[str] = set()
        self.maximum_pdu = 0
        self.port = 0

    def note(self, event: Event) -> None:
        primitive = event.assoc.requestor.primitive
        contexts = primitive.presentation_context_definition_list
        self.proposed = [(str(one.abstract_syntax), list(map(str, one.transfer_syntax))) for one in contexts]
        self.roles = {str(uid) for uid, role in event.assoc.requestor.role_selection.items() if role.scp_role}
        self.maximum_pdu = primitive.maximum_length_received

    @contextmanager
    def running(self, *classes: str) -> Iterator[Listener]:
        ae = AE("PACS")
        for uid in classes:
            ae.add_supported_context(uid, list(facts.IMAGE_SYNTAXES), scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_REQUESTED, self.note),
            (evt.EVT_C_STORE, lambda event: 0x0000),
            (evt.EVT_C_FIND, self.find),
        ]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        self.port = server.socket.getsockname()[1]
        try:
            yield self
        finally:
            server.shutdown()

    def find(self, event: Event) -> Iterator[tuple[int, Dataset]]:
        match = Dataset()
        match.SeriesInstanceUID, match.Modality = "1.2.3.1", "MG"
        if event.identifier.QueryRetrieveLevel == "IMAGE":
            match.SOPInstanceUID, match.SOPClassUID = "1.2.3.1.1", facts.MG_FOR_PRESENTATION
        yield 0xFF00, match

    @property
    def peer(self) -> DimsePeer:
        return DimsePeer("DIBMG", "PACS", "127.0.0.1", self.port)


def test_deliveries_propose_what_the_statement_lists():
    by_kind = {result.kind: result for result, _ in specimens().all[0].results}
    parcels = [
        Parcel(one.sop_uid, one.sop_class_uid, one.transfer_syntax_uid, b"", kind in REPORTS)
        for kind, one in by_kind.items()
    ]

    with Listener().running(facts.VERIFICATION) as pacs, pytest.raises(PeerRefusedError):
        CStoreSender("DIBMG", "PACS", "127.0.0.1", pacs.port).send(parcels)

    listed = {(uid, syntax) for _, _, uid, _, syntax, _ in rows(offered_table())}
    assert {(uid, syntax) for uid, (syntax,) in pacs.proposed} == listed
    assert f"| Maximum PDU length announced | {pacs.maximum_pdu} bytes |" in initiation_table(Settings())


def test_an_echo_proposes_plain_syntaxes_alone():
    with Listener().running(facts.VERIFICATION) as pacs:
        CStoreSender("DIBMG", "PACS", "127.0.0.1", pacs.port).echo()

    assert pacs.proposed == [(facts.VERIFICATION, list(facts.PLAIN_SYNTAXES))]


def test_a_fetch_proposes_what_the_statement_lists():
    find, get = (uid for _, uid, *_ in rows(fetch_table())[:2])
    store = MemoryStore()
    landing = Landing("1.2.3", "PACS", store.open_instance, 1_000_000)

    with Listener().running(find) as pacs, pytest.raises(PeerRefusedError):
        CGetSource(pacs.peer).fetch("1.2.3", lambda offer: True, landing)

    mammograms = [(facts.MG_FOR_PRESENTATION, [syntax]) for syntax in facts.IMAGE_SYNTAXES]
    assert pacs.proposed == [(get, list(facts.PLAIN_SYNTAXES)), *mammograms]
    assert pacs.roles == {facts.MG_FOR_PRESENTATION}


def test_a_real_association_announces_what_the_statement_says():
    with listening(settings=SERVED) as wire:
        association = AE("MG1").associate(
            "127.0.0.1", wire.port, [build_context(facts.VERIFICATION)], ae_title="DIBMG"
        )
        announced = association.acceptor.maximum_length
        association.release()

    assert f"| Maximum PDU length announced | {announced} bytes |" in acceptance_table(Settings())


def test_every_rejection_has_its_reason():
    assert [one[:3] for one in rows(rejection_table())] == [
        ["1", "1", "2"],
        ["1", "1", "3"],
        ["1", "1", "7"],
        ["1", "2", "2"],
        ["2", "3", "2"],
        ["2", "3", "2"],
        ["2", "3", "1"],
    ]


@pytest.mark.parametrize(
    ("text", "form", "statuses"),
    [
        (store_table(), 16, range(0x10000)),
        (reason_table(), 16, range(1, 0x10000)),
        (http_table(), 10, range(200, 600)),
    ],
)
def test_every_status_of_a_peer_is_in_one_row(text: str, form: int, statuses: range):
    told = []
    for line in text.splitlines()[2:]:
        for first, last in re.findall(r"`([0-9A-F]+)(?:-([0-9A-F]+))?`", line.split("|")[1]):
            told += range(int(first, form), int(last or first, form) + 1)

    assert sorted(told) == list(statuses)
