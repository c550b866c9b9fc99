"""Whatever bytes come, the codecs answer with a value or a ProtocolError, and sinks end exactly once."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dibmg_node.dicom import facts
from dibmg_node.services.command import (
    Command,
    encode_echo_answer,
    encode_store_answer,
    read_command,
    read_uid,
)
from dibmg_node.services.dimse import Dimse
from dibmg_node.services.negotiation import AcceptedContext, accept, find_fault
from dibmg_node.services.pdu import ProtocolError, encode_command_pdus, read_header, split_data, split_pdvs
from dibmg_node.services.proposal import read_proposal
from dibmg_node.services.wire import AssociationRequest, StoreAnswer
from tests.services.wire_peers import (
    SETTINGS,
    MemoryStore,
    associate_rq,
    context,
    echo_command,
    item,
    pdu,
    pdv,
    store_command,
)

BOUNDED = settings(max_examples=300, deadline=None)
MAMMOGRAPHY = AcceptedContext(facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE)
VERIFICATION = AcceptedContext(facts.VERIFICATION, facts.IMPLICIT_LE)
PEER = AssociationRequest("id", "RAW", "DIBMG", "127.0.0.1", 1, None, "1.2.3", "")


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A valid encoding with some bytes changed, cut out or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(0, 4))
        content[at : at + length] = draw(st.binary(max_size=4))
    return bytes(content)


def dimse(store: MemoryStore, sent: list[bytes]) -> Dimse:
    contexts = {1: VERIFICATION, 3: MAMMOGRAPHY}
    return Dimse(PEER, contexts, SETTINGS, store.open_instance, lambda _, command: sent.append(command))


@BOUNDED
@given(st.binary(min_size=6, max_size=64))
def test_any_header_is_read_or_refused(header: bytes):
    try:
        kind, length = read_header(header)
    except ProtocolError:
        assert header[0] not in range(1, 8)
    else:
        assert (kind, length) == (header[0], struct.unpack(">I", header[2:6])[0])


@BOUNDED
@given(st.binary(max_size=200) | damaged(pdv(1, 3, b"abc") + pdv(3, 0, b"defg")))
def test_any_p_data_is_split_without_losing_a_byte_or_refused(body: bytes):
    try:
        pdvs = split_pdvs(memoryview(body))
    except ProtocolError:
        return
    assert b"".join(pdv(number, control, bytes(f)) for number, control, f in pdvs) == body


DATA = pdu(4, pdv(3, 0, b"abc"))


@BOUNDED
@given(
    st.lists(st.just(DATA) | st.binary(max_size=40) | damaged(DATA + pdu(4, pdv(3, 2, b"end"))), max_size=5)
)
def test_what_is_taken_for_data_at_once_is_what_pdu_by_pdu_gives(pieces: list[bytes]):
    sent = memoryview(b"".join(pieces))

    fragments, used = split_data(sent, 3, 20, 4)

    one_by_one, at = [], 0
    while at < used:
        kind, length = read_header(sent, at)
        assert (kind, length <= 20) == (4, True)
        one_by_one += split_pdvs(sent[at + 6 : at + 6 + length])
        at += 6 + length
    assert [(number, control & 3, bytes(one)) for number, control, one in one_by_one] == [
        (3, 0, bytes(fragment)) for fragment in fragments
    ]
    assert at == used and all(fragments)


@pytest.mark.parametrize(
    "other",
    [
        pdu(4, pdv(3, 2, b"end")),
        pdu(4, pdv(3, 1, b"command")),
        pdu(4, pdv(5, 0, b"abc")),
        pdu(4, pdv(3, 0, b"")),
        pdu(4, pdv(3, 0, b"a") + pdv(3, 0, b"b")),
        pdu(4, pdv(3, 0, b"x" * 15)),
        pdu(5, bytes(4)),
        DATA[:-1],
        DATA[:5],
    ],
    ids=["last", "command", "context", "empty", "two", "long", "release", "part", "header"],
)
def test_whatever_is_not_a_plain_piece_of_the_data_set_is_left_where_it_is(other: bytes):
    fragments, used = split_data(memoryview(DATA * 2 + other), 3, 20, 4)

    assert (fragments, used) == ([b"abc"] * 2, len(DATA) * 2)


def test_no_more_pieces_are_taken_at_once_than_are_asked_for():
    fragments, used = split_data(memoryview(DATA * 5), 3, 20, 4)

    assert (len(fragments), used) == (4, len(DATA) * 4)


@BOUNDED
@given(st.binary(max_size=300) | damaged(store_command()) | damaged(echo_command()))
def test_any_command_set_is_read_or_refused(encoded: bytes):
    try:
        command = read_command(encoded)
    except ProtocolError:
        return
    assert read_uid(command.sop_instance_uid.encode()) == command.sop_instance_uid
    assert set(command.sop_instance_uid) <= set("0123456789.")


ROLE = item(0x54, b"\0\x051.2.3\1\1")


@BOUNDED
@given(
    st.binary(max_size=300)
    | damaged(associate_rq()[6:])
    | damaged(associate_rq(user=item(0x51, bytes(4)) + ROLE + item(0x53, bytes(4)))[6:])
)
@example(associate_rq(*[context(n, "1.2.3", "1.2") for n in range(1, 256, 2)])[6:])
def test_any_request_is_accepted_rejected_or_refused(body: bytes):
    try:
        proposal = read_proposal(memoryview(body))
    except ProtocolError:
        return
    for title in (proposal.called_aet, proposal.calling_aet):
        assert title is None or (0 < len(title) <= 16 and title.isprintable() and title.isascii())
    if find_fault(proposal, "") is None:
        contexts, answer = accept(proposal, SETTINGS)
        assert set(contexts) <= {c.context_id for c in proposal.contexts}
        assert struct.unpack(">BxI", answer[:6]) == (2, len(answer) - 6)


PDVS = st.tuples(
    st.sampled_from([1, 3, 3, 3, 5]),
    st.sampled_from([0, 0, 1, 2, 3]),
    st.sampled_from([b"", b"ab", store_command(), echo_command(), store_command(sop_instance="x")])
    | st.binary(max_size=20),
)


@BOUNDED
@given(st.lists(PDVS, max_size=30), st.sampled_from(["", "on_open", "on_write", "on_commit"]))
@example([(3, 3, store_command()), (3, 0, b"ab"), (3, 2, b"cd")], "on_write")
@example([(3, 3, store_command()), (3, 2, b"cd"), (3, 3, store_command()), (3, 0, b"cd")], "")
def test_any_order_of_pdvs_ends_every_sink_exactly_once(pdvs: list[tuple[int, int, bytes]], broken: str):
    def fail(_: object) -> StoreAnswer:
        raise OSError

    store = MemoryStore(**({broken: fail} if broken else {}))
    sent: list[bytes] = []
    messages = dimse(store, sent)

    try:
        for number, control, fragment in pdvs:
            messages.take(number, control, memoryview(fragment))
    except ProtocolError:
        pass
    finally:
        messages.abandon()

    assert all(sink.commits + sink.aborts == 1 for sink in store.sinks)
    assert messages.answered + messages.refused <= len(sent)
    assert messages.answered == (0 if broken else sum(sink.commits for sink in store.sinks))


@BOUNDED
@given(st.binary(min_size=1, max_size=3000), st.sampled_from([0, 128, 129, 500, 16384]))
def test_an_answer_is_cut_to_what_the_peer_takes(command: bytes, maximum: int):
    encoded = memoryview(encode_command_pdus(5, command, maximum))

    joined, controls = b"", []
    while encoded:
        kind, length = read_header(encoded)
        assert (kind, maximum == 0 or length <= maximum) == (4, True)
        for number, control, fragment in split_pdvs(encoded[6 : 6 + length]):
            assert number == 5
            controls.append(control)
            joined += fragment
        encoded = encoded[6 + length :]
    assert joined == command
    assert controls == [1] * (len(controls) - 1) + [3]


@BOUNDED
@given(st.text(max_size=200), st.none() | st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF))
def test_an_answer_to_a_store_is_what_pydicom_reads(comment: str, offending: int | None, status: int):
    from io import BytesIO

    from pydicom.filereader import read_dataset

    command = Command(1, 7, facts.MG_FOR_PRESENTATION, "1.2.3", True)

    encoded = encode_store_answer(command, StoreAnswer(status, comment, offending))

    answer = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert (answer.Status, answer.CommandField, answer.MessageIDBeingRespondedTo) == (status, 0x8001, 7)
    assert answer.CommandGroupLength == len(encoded) - 12
    assert answer.AffectedSOPInstanceUID == "1.2.3"
    assert len(answer.get("ErrorComment", "")) <= 64
    assert answer.get("OffendingElement") == offending
    assert list(answer.keys()) == sorted(answer.keys())


def test_an_answer_to_an_echo_is_complete():
    encoded = encode_echo_answer(9, facts.VERIFICATION, 0)

    assert encoded.endswith(struct.pack("<HHIH", 0, 0x0900, 2, 0))


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.1", "2.25.0", "1.02.3", "1" * 64])
@pytest.mark.parametrize("padding", ["", "\0", " ", "\0\0"])
def test_padding_of_a_uid_is_taken_off(uid: str, padding: str):
    assert read_uid((uid + padding).encode()) == uid
