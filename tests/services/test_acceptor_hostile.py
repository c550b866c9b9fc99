"""Hostile and broken peers: each gets the answer of the table, and the acceptor serves on."""

from __future__ import annotations

import errno
import logging
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from dibmg_node.dicom import facts
from dibmg_node.errors import InstanceRejectedError, StorageFullError
from dibmg_node.services import reception
from dibmg_node.services.wire import EndReason, StoreAnswer
from tests.services.wire_peers import (
    IMPATIENT,
    SETTINGS,
    MemoryStore,
    RawPeer,
    Wire,
    associate_rq,
    context,
    echo_command,
    element,
    item,
    listening,
    mammogram,
    pdu,
    pdv,
    store_all,
    store_command,
    us,
)

IMPATIENT_SETTINGS = replace(SETTINGS, **IMPATIENT)
COMMAND, LAST_COMMAND, DATA, LAST_DATA = 1, 3, 0, 2
PROVIDER = 2


@pytest.fixture
def wire():
    with listening() as wire:
        yield wire
        wire.check_alive()


@pytest.fixture
def impatient():
    with listening(settings=IMPATIENT_SETTINGS) as wire:
        yield wire
        wire.check_alive()


def drip(peer: RawPeer, content: bytes) -> None:
    """Send byte by byte, never pausing as long as a deadline, until the peer has closed."""
    closed = threading.Event()

    def send() -> None:
        try:
            for byte in content:
                peer.send(bytes((byte,)))
                if closed.wait(0.05):
                    return
        except OSError:
            return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        while peer.read_pdu()[0]:
            pass
    finally:
        closed.set()
        thread.join()


# ---- before an association


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        (associate_rq(called=b"OTHER"), (1, 1, 7)),
        (associate_rq(called=b" " * 16), (1, 1, 7)),
        (associate_rq(called=b"DIB\nMG"), (1, 1, 7)),
        (associate_rq(calling=b"STRANGER"), (1, 1, 3)),
        (associate_rq(calling=b" " * 16), (1, 1, 3)),
        (associate_rq(calling=b"\xff\x1b[31m"), (1, 1, 3)),
        (associate_rq(application="1.2.840.10008.3.1.1.2"), (1, 1, 2)),
        (associate_rq(version=2), (1, 2, 2)),
    ],
)
def test_a_request_that_is_not_for_us_is_rejected(
    wire: Wire, request_pdu: bytes, answer: tuple[int, int, int]
):
    with RawPeer(wire.port) as peer:
        peer.send(request_pdu)

        assert peer.rejected() == answer
    assert wire.store.ends == []


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", 1),
        (pdu(0x20, bytes(4)), 1),
        (pdu(4, pdv(1, LAST_COMMAND, echo_command())), 2),
        (pdu(5, bytes(4)), 2),
        (pdu(1, b""), 6),
        (pdu(1, bytes(67)), 6),
        (struct.pack(">BxI", 1, SETTINGS.maximum_request + 1), 6),
        (struct.pack(">BxI", 1, 0xFFFFFFFF), 6),
        (associate_rq(context(2, facts.VERIFICATION, facts.IMPLICIT_LE)), 6),
        (associate_rq(context(1, "1.2/../../etc", facts.IMPLICIT_LE)), 6),
        (associate_rq(context(1, facts.VERIFICATION)), 6),
        (associate_rq(*[context(1, facts.VERIFICATION, facts.IMPLICIT_LE)] * 2), 6),
        (associate_rq(user=item(0x51, b"\0\0\0\x05")), 6),
        (associate_rq(user=item(0x54, b"\0\xff1.2\1\0")), 6),
        (pdu(1, associate_rq()[6:-4]), 6),
    ],
)
def test_a_first_pdu_that_is_no_request_is_aborted(wire: Wire, first: bytes, reason: int):
    with RawPeer(wire.port) as peer:
        peer.send(first)

        assert peer.aborted() == (PROVIDER, reason)
    assert wire.store.ends == []


def test_items_that_nobody_knows_are_skipped(wire: Wire):
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + item(0x7F, b"vendor")
    user += item(0x53, b"\0\5\0\5") + item(0x58, b"\1\0\0\4user\0\0") + item(0x56, b"\0\x031.2xx")
    request = associate_rq(user=user)

    with RawPeer(wire.port) as peer:
        peer.send(pdu(1, request[6:] + item(0x99, b"more vendor")))
        kind, body = peer.read_pdu()

        assert kind == 2
        assert item(0x53, b"\0\1\0\1") in body, "an asynchronous window is answered 1/1"
        assert b"vendor" not in body
        peer.release()


def test_a_peer_that_wants_to_be_scp_is_refused_that_role(wire: Wire):
    uid = facts.MG_FOR_PRESENTATION.encode()
    role = item(0x54, struct.pack(">H", len(uid)) + uid + b"\1\1")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + role

    with RawPeer(wire.port) as peer:
        peer.send(associate_rq(user=user))
        _, body = peer.read_pdu()

        assert role[:-2] + b"\1\0" in body
        peer.release()


def test_a_silent_connection_is_closed(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        assert peer.read_pdu()[0] == 0
    assert impatient.store.ends == []


def test_a_dripped_request_is_cut(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        drip(peer, associate_rq())
    assert impatient.store.ends == []


def test_a_truncated_request_ends_with_its_connection(wire: Wire):
    with RawPeer(wire.port) as peer:
        peer.send(associate_rq()[:-10])
        peer.socket.shutdown(socket.SHUT_WR)

        assert peer.read_pdu()[0] == 0


# ---- between messages


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (associate_rq(), 2),
        (pdu(2, bytes(68)), 2),
        (pdu(3, bytes(4)), 2),
        (pdu(6, bytes(4)), 2),
        (pdu(0x55, b"garbage"), 1),
        (struct.pack(">BxI", 4, 131073), 6),
        (struct.pack(">BxI", 5, 5), 6),
        (pdu(4, b""), 6),
        (pdu(4, b"\0\0\0"), 6),
        (pdu(4, struct.pack(">IBB", 0, 1, 3)), 6),
        (pdu(4, struct.pack(">IBB", 1, 1, 3)), 6),
        (pdu(4, struct.pack(">IBB", 500, 1, 3) + echo_command()), 6),
        (pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + echo_command()), 6),
        (pdu(4, pdv(1, LAST_COMMAND, echo_command()) + b"\0"), 6),
        (pdu(4, pdv(7, LAST_COMMAND, echo_command())), 5),
        (pdu(4, pdv(0, LAST_COMMAND, echo_command())), 5),
        (pdu(4, pdv(3, LAST_COMMAND, echo_command())), 5),
        (pdu(4, pdv(1, LAST_COMMAND, store_command())), 5),
        (pdu(4, pdv(1, LAST_DATA, b"no command")), 5),
        (pdu(4, pdv(1, LAST_COMMAND, b"")), 6),
        (pdu(4, pdv(1, LAST_COMMAND, echo_command()[:-1])), 6),
        (pdu(4, pdv(1, LAST_COMMAND, struct.pack("<HHI", 8, 0x18, 0))), 6),
        (pdu(4, pdv(1, LAST_COMMAND, element(0x0100, us(0x30)) * 2)), 6),
        (pdu(4, pdv(1, LAST_COMMAND, struct.pack("<HHI", 0, 0x0100, 0xFFFFFFFF))), 6),
        (pdu(4, pdv(1, COMMAND, bytes(5000)) + pdv(1, COMMAND, bytes(5000))), 5),
        (pdu(4, pdv(1, COMMAND, b"")) * 70, 5),
        (pdu(4, pdv(1, COMMAND, echo_command()) + pdv(3, LAST_COMMAND, b"")), 5),
    ],
)
def test_a_pdu_that_does_not_belong_is_aborted(wire: Wire, sent: bytes, reason: int):
    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(sent)

        # More than one abort-worthy PDU may lie unread: the first answer counts.
        assert peer.read_pdu() == (7, bytes((0, 0, PROVIDER, reason)))
    wire.store.wait_for(lambda: len(wire.store.ends) == 1)
    assert wire.store.ends[0].reason is EndReason.ABORTED


@pytest.mark.parametrize("field", [0x0010, 0x0020, 0x0021, 0x0100, 0x0130, 0x8001, 0x8030, 0xFFFF])
def test_other_services_are_aborted(wire: Wire, field: int):
    numbers = element(0x0110, us(1)) + element(0x0120, us(1))
    command = element(0x0100, us(field)) + numbers + element(0x0800, us(0x0101))

    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, LAST_COMMAND, command)))

        assert peer.aborted() == (PROVIDER, 5)


def test_a_cancel_is_ignored(wire: Wire):
    cancel = element(0x0100, us(0x0FFF)) + element(0x0120, us(1)) + element(0x0800, us(0x0101))

    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, LAST_COMMAND, cancel)), pdu(4, pdv(1, LAST_COMMAND, echo_command())))

        assert peer.status() == 0
        peer.release()


def test_a_command_in_many_fragments_and_a_message_in_one_pdu_are_the_same(wire: Wire):
    command = store_command()
    pieces = b"".join(pdv(3, COMMAND, command[i : i + 8]) for i in range(0, len(command), 8))

    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pieces + pdv(3, LAST_COMMAND, b"") + pdv(3, DATA, b"ab") + pdv(3, LAST_DATA, b"cd")))
        assert peer.status() == 0
        peer.send(*(pdu(4, pdv(3, 0xFC | c, p)) for c, p in [(3, command), (0, b"ab"), (2, b"cd")]))
        assert peer.status() == 0
        peer.release()

    assert [bytes(sink.content) for sink in wire.store.sinks] == [b"abcd", b"abcd"]


def test_an_idle_association_is_aborted(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        peer.associate()

        assert peer.aborted()[0] == PROVIDER
    impatient.store.wait_for(lambda: len(impatient.store.ends) == 1)
    assert impatient.store.ends[0].reason is EndReason.TIMED_OUT


def test_a_peer_that_goes_away_is_lost(wire: Wire):
    with RawPeer(wire.port) as peer:
        peer.associate()

    wire.store.wait_for(lambda: len(wire.store.ends) == 1)
    assert wire.store.ends[0].reason is EndReason.LOST


# ---- inside a message


def begin_data_set(peer: RawPeer, content: bytes = b"\x08\x00" * 50) -> None:
    peer.associate()
    peer.send(pdu(4, pdv(3, LAST_COMMAND, store_command())), pdu(4, pdv(3, DATA, content)))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda peer: peer.send(pdu(7, bytes(4))), EndReason.ABORTED),
        (lambda peer: peer.socket.close(), EndReason.LOST),
        (lambda peer: peer.send(pdu(4, pdv(3, LAST_COMMAND, echo_command()))), EndReason.ABORTED),
        (lambda peer: peer.send(pdu(4, pdv(5, LAST_DATA, b"ab"))), EndReason.ABORTED),
        (lambda peer: peer.send(pdu(4, pdv(3, DATA, b"")) * 70), EndReason.ABORTED),
        (lambda peer: peer.send(b"\xff" * 100), EndReason.ABORTED),
        (lambda peer: peer.send(pdu(5, bytes(4))), EndReason.RELEASED),
    ],
)
def test_a_data_set_without_its_end_is_aborted_once(
    wire: Wire, end: Callable[[RawPeer], None], reason: EndReason
):
    with RawPeer(wire.port) as peer:
        begin_data_set(peer)
        wire.store.wait_for(lambda: len(wire.store.sinks) == 1)
        end(peer)
        wire.store.wait_for(lambda: len(wire.store.ends) == 1)

    sink = wire.store.sinks[0]
    assert (sink.aborts, sink.commits) == (1, 0)
    assert wire.store.ends[0].reason is reason


@pytest.mark.parametrize("rest", [b"", pdu(4, pdv(3, LAST_DATA, bytes(200)))[:100]])
def test_a_data_set_that_stalls_is_cut(impatient: Wire, rest: bytes):
    with RawPeer(impatient.port) as peer:
        begin_data_set(peer)
        peer.send(rest)

        assert peer.aborted()[0] == PROVIDER
    assert (impatient.store.sinks[0].aborts, impatient.store.sinks[0].commits) == (1, 0)


def test_a_dripped_pdu_is_cut(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        begin_data_set(peer)
        drip(peer, pdu(4, pdv(3, LAST_DATA, bytes(500))))

    assert (impatient.store.sinks[0].aborts, impatient.store.sinks[0].commits) == (1, 0)


def test_a_dripped_command_is_cut_however_small_its_pdus(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        peer.associate()
        pieces = [pdu(4, pdv(3, COMMAND, bytes((b,)))) for b in store_command()]
        drip_pieces(peer, pieces)

    impatient.store.wait_for(lambda: len(impatient.store.ends) == 1)
    assert impatient.store.ends[0].reason is EndReason.TIMED_OUT


def test_a_data_set_below_the_minimum_rate_is_cut(impatient: Wire):
    with RawPeer(impatient.port) as peer:
        begin_data_set(peer)
        drip_pieces(peer, [pdu(4, pdv(3, DATA, b"abcd"))] * 200)

    impatient.store.wait_for(lambda: len(impatient.store.ends) == 1)
    assert impatient.store.ends[0].reason is EndReason.TIMED_OUT
    assert "slower than" in impatient.store.ends[0].sentence
    assert impatient.store.sinks[0].aborts == 1


def drip_pieces(peer: RawPeer, pieces: list[bytes]) -> None:
    pause = threading.Event()
    try:
        for piece in pieces:
            peer.send(piece)
            pause.wait(0.05)
    except OSError:
        return
    raise AssertionError("nobody cut it")


def test_a_slow_sink_is_not_the_peers_fault():
    pause = threading.Event()
    store = MemoryStore(on_write=lambda _: pause.wait(0.5) and None)

    with listening(store, replace(IMPATIENT_SETTINGS, maximum_pdu=16384)) as wire:
        # more than is gathered before it is written: the sink is slow between two reads of one data set
        assert store_all(wire.port, [mammogram(size=3_000_000)]) == [0]


@pytest.mark.parametrize(
    "uid",
    [
        "../../../etc/passwd",
        "/tmp/x",
        "1.2.3\r\nfake log line",
        "",
        "1.2.",
        ".1",
        "1..2",
        "1." * 40 + "1",
        "a.b",
    ],
)
def test_a_sop_instance_uid_that_is_none_is_refused(wire: Wire, uid: str):
    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, LAST_COMMAND, store_command(sop_instance=uid))))
        peer.send(pdu(4, pdv(3, LAST_DATA, b"swallowed")))

        assert peer.status() == 0x0117
        peer.send(pdu(4, pdv(1, LAST_COMMAND, echo_command())))
        assert peer.status() == 0
        peer.release()
    assert wire.store.sinks == []


def test_a_class_that_is_not_of_the_context_is_refused(wire: Wire):
    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(5, LAST_COMMAND, store_command()) + pdv(5, LAST_DATA, b"swallowed")))

        assert peer.status() == 0x0122
        peer.release()
    assert wire.store.sinks == []


def test_a_store_without_a_data_set_is_refused(wire: Wire):
    with RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, LAST_COMMAND, store_command(data_set_type=0x0101))))

        assert peer.status() == 0xC000
        peer.release()
    assert wire.store.sinks == []


def test_a_deflated_context_is_refused(wire: Wire):
    with RawPeer(wire.port) as peer:
        peer.associate(context(1, facts.MG_FOR_PRESENTATION, "1.2.840.10008.1.2.1.99"))
        peer.send(pdu(4, pdv(1, LAST_COMMAND, store_command())))

        assert peer.aborted() == (PROVIDER, 5)
    assert wire.store.sinks == []


def test_a_data_set_over_the_limit_is_refused_and_the_association_goes_on():
    with listening(settings=replace(SETTINGS, maximum_data_set=100_000)) as wire:
        long = mammogram()
        long.PixelData = bytes(20_000_000)  # by far: as a tomosynthesis is, and the exam comes behind it

        statuses = store_all(wire.port, [long, mammogram(size=20_000)])

        assert statuses == [0xC000, 0]
        assert [(s.aborts, s.commits) for s in wire.store.sinks] == [(1, 0), (0, 1)]
        assert len(wire.store.sinks[0].content) <= 100_000
        wire.check_alive()


def test_a_data_set_without_end_is_aborted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reception, "SWALLOWED", 200_000)
    with listening(settings=replace(SETTINGS, maximum_data_set=100_000)) as wire, RawPeer(wire.port) as peer:
        begin_data_set(peer)
        with pytest.raises(OSError):
            while True:
                peer.send(pdu(4, pdv(3, DATA, bytes(100_000))))

        wire.store.wait_for(lambda: len(wire.store.ends) == 1)
        assert wire.store.ends[0].reason is EndReason.ABORTED
        assert wire.store.sinks[0].aborts == 1
        wire.check_alive()


def raises(error: Exception) -> Callable[[object], StoreAnswer]:
    def fail(_: object) -> StoreAnswer:
        raise error

    return fail


FAILURES = [
    (StorageFullError("no room under /secret/place"), 0xA700),
    (OSError(errno.ENOSPC, "No space left on device", "/secret/place"), 0xA700),
    (InstanceRejectedError(0xA900, "UIDs differ", 0x00080018), 0xA900),
    (RuntimeError("Canary^Yellow"), 0xC000),
]


@pytest.mark.parametrize("hook", ["on_open", "on_write", "on_commit"])
@pytest.mark.parametrize(("error", "status"), FAILURES)
def test_a_sink_that_fails_becomes_a_status(
    hook: str, error: Exception, status: int, caplog: pytest.LogCaptureFixture
):
    store = MemoryStore(**{hook: raises(error)})
    caplog.set_level(logging.DEBUG)

    with listening(store) as wire:
        statuses = store_all(wire.port, [mammogram(size=400_000), mammogram()])

        assert statuses == [status, status]
        aborted = {"on_open": [], "on_write": [1, 1], "on_commit": [0, 0]}[hook]
        assert [sink.aborts for sink in store.sinks] == aborted
        setattr(store, hook, getattr(MemoryStore(), hook))
        wire.check_alive()
    ours = [repr(r.__dict__) for r in caplog.records if r.name.startswith("dibmg_node")]
    assert ours
    assert not [line for line in ours if "Canary" in line or "secret" in line]


def test_an_admission_that_fails_aborts(wire: Wire):
    admit = wire.store.admit
    wire.acceptor._admit = raises(RuntimeError())

    with RawPeer(wire.port) as peer:
        peer.send(associate_rq())

        assert peer.aborted() == (PROVIDER, 0)
    wire.acceptor._admit = admit


def test_a_peer_that_does_not_read_its_answers_is_cut():
    with listening(settings=IMPATIENT_SETTINGS) as wire, RawPeer(wire.port) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.associate()
        echoes = pdu(4, pdv(1, LAST_COMMAND, echo_command())) * 1000
        with pytest.raises(OSError):
            while True:
                peer.send(echoes)

        wire.store.wait_for(lambda: len(wire.store.ends) == 1)
        assert wire.store.ends[0].reason in {EndReason.TIMED_OUT, EndReason.LOST}
        wire.check_alive()


def test_timeouts_are_those_of_the_specification():
    seconds = (SETTINGS.association_timeout, SETTINGS.pdu_timeout, SETTINGS.idle_timeout)

    assert seconds == (timedelta(seconds=10), timedelta(seconds=15), timedelta(seconds=30))
    assert (SETTINGS.maximum_associations, SETTINGS.minimum_rate) == (64, 10_000)
