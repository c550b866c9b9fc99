"""The table of hostile peers: what each does, and the answer that it must get (a status, a PDU, a close)."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from dibmg_node.dicom import facts
from tests.dicom.test_header import STUDY, element, many_elements, many_items, nested
from tests.factories import R_CC, data_set_bytes, mammogram, part10
from tests.faults.receiving_processes import ReceivingProcesses
from tests.services.wire_peers import (
    RawPeer,
    associate_rq,
    context,
    echo_command,
    item,
    pdu,
    pdv,
    store_command,
)
from tests.web.multipart import BOUNDARY, body_of, content_type

COMMAND_END, DATA, DATA_END = 3, 0, 2
CLOSED, INVALID, UNEXPECTED = "closed", "abort 2/6", "abort 2/5"
UID = "1.2.3.4.5"
POLYGLOT_UID = "1.2.77.1"

Act = Callable[[ReceivingProcesses], object]


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    act: Act
    answer: object


def answer_of(peer: RawPeer) -> object:
    """The next PDU in words; a status where it is a response."""
    kind, body = peer.read_pdu()
    if kind == 4:
        at = body.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
        return f"0x{struct.unpack_from('<H', body, at)[0]:04X}"
    if kind == 3:
        return f"reject {body[1]}/{body[2]}/{body[3]}"
    return {0: CLOSED, 2: "accepted", 7: f"abort {body[2]}/{body[3]}" if kind == 7 else ""}[kind]


def says(*pieces: bytes) -> Act:
    """Before an association: sends, and reads the answer."""

    def act(node: ReceivingProcesses) -> object:
        with node.peer() as peer:
            peer.send(*pieces)
            return answer_of(peer)

    return act


def says_inside(*pieces: bytes, contexts: tuple[bytes, ...] = ()) -> Act:
    """In an association."""

    def act(node: ReceivingProcesses) -> object:
        with node.peer() as peer:
            peer.associate(*contexts)
            peer.send(*pieces)
            return answer_of(peer)

    return act


def stores(
    content: bytes, uid: str = UID, sop_class: str = facts.MG_FOR_PRESENTATION, context_id: int = 3
) -> Act:
    """One C-STORE with these bytes as its data set."""
    pieces = [pdu(4, pdv(context_id, COMMAND_END, store_command(sop_class, uid)))]
    pieces += [
        pdu(4, pdv(context_id, DATA, content[at : at + 100_000])) for at in range(0, len(content), 100_000)
    ]
    return says_inside(*pieces, pdu(4, pdv(context_id, DATA_END, b"")))


def refused_context(syntax: str) -> Act:
    """What becomes of a context in one transfer syntax."""

    def act(node: ReceivingProcesses) -> object:
        with node.peer() as peer:
            peer.send(associate_rq(context(1, facts.MG_FOR_PRESENTATION, syntax)))
            kind, body = peer.read_pdu()
            assert kind == 2
            return body[body.index(b"\x21\x00") + 6]

    return act


def truncated(node: ReceivingProcesses) -> object:
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, COMMAND_END, store_command())), pdu(4, pdv(3, DATA, bytes(5000)))[:2000])
        peer.socket.shutdown(socket.SHUT_WR)
        return answer_of(peer)


def aborted(node: ReceivingProcesses) -> object:
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, COMMAND_END, store_command()) + pdv(3, DATA, bytes(5000))), pdu(7, bytes(4)))
        return answer_of(peer)


def drips(begin: Callable[[RawPeer], None], piece: Callable[[], bytes]) -> Act:
    """Sends small pieces without end, until it is answered."""

    def act(node: ReceivingProcesses) -> object:
        with node.peer() as peer:
            begin(peer)
            answered = threading.Event()

            def send() -> None:
                try:
                    while not answered.wait(0.05):
                        peer.send(piece())
                except OSError:
                    return

            thread = threading.Thread(target=send)
            thread.start()
            try:
                return answer_of(peer)
            finally:
                answered.set()
                thread.join()

    return act


def begin_data_set(peer: RawPeer) -> None:
    peer.associate()
    peer.send(pdu(4, pdv(3, COMMAND_END, store_command())))


def eighty(node: ReceivingProcesses) -> object:
    peers = [node.peer() for _ in range(80)]
    try:
        for peer in peers:
            peer.send(associate_rq())
        answers = [answer_of(peer) for peer in peers]
        return {answer: answers.count(answer) for answer in answers}
    finally:
        for peer in peers:
            peer.socket.close()


def other_bytes(node: ReceivingProcesses) -> object:
    first, second = (mammogram(study_uid="1.2.77.2", PatientAge=age) for age in ("066Y", "067Y"))
    uid = str(first.SOPInstanceUID)
    return [stores(data_set_bytes(one), uid)(node) for one in (first, second)]


def posts(body: bytes, **headers: str) -> Act:
    """One STOW-RS request; its HTTP status."""

    def act(node: ReceivingProcesses) -> object:
        given = {"Content-Type": content_type(), **{k.replace("_", "-"): v for k, v in headers.items()}}
        url = f"http://127.0.0.1:{node.web_port}/dicom-web/studies"
        return httpx.post(url, content=body, headers=given, timeout=60).status_code

    return act


def polyglot(node: ReceivingProcesses) -> object:
    """A file that is a program, too: what its first bytes are in the archive."""
    image = part10(mammogram(SOPInstanceUID=POLYGLOT_UID, study_uid="1.2.77.3"))
    status = posts(body_of([b"MZ\x90\0" * 32 + image[128:]]))(node)
    kept = [path for path in node.archive.glob("instances/*/*") if POLYGLOT_UID.encode() in path.read_bytes()]
    return status, {path.read_bytes()[:128] for path in kept}


def image(**changes: object) -> bytes:
    """Bytes of a data set under UID."""
    return data_set_bytes(mammogram(R_CC, SOPInstanceUID=UID, **changes))


def damaged_pixels(number: int, cut: int) -> Act:
    """A compressed image whose frame is cut off, or overwritten."""
    uid = f"1.2.78.{number}"
    whole = data_set_bytes(
        mammogram(R_CC, SOPInstanceUID=uid, study_uid=uid, transfer_syntax_uid=facts.JPEG_LS_LOSSLESS)
    )
    content = whole[:-cut] if cut else whole[:-600] + b"\xff" * 600

    def act(node: ReceivingProcesses) -> object:
        with node.peer() as peer:
            peer.associate(context(1, facts.MG_FOR_PRESENTATION, facts.JPEG_LS_LOSSLESS))
            command = store_command(sop_instance=uid)
            peer.send(pdu(4, pdv(1, COMMAND_END, command)), pdu(4, pdv(1, DATA_END, content)))
            return answer_of(peer)

    return act


ROLE = facts.MG_FOR_PRESENTATION.encode()
UIDS = element(8, 0x16, b"UI", ROLE) + element(8, 0x18, b"UI", UID.encode())
SCP_ROLE = item(0x51, struct.pack(">I", 16384)) + item(0x54, struct.pack(">H", len(ROLE)) + ROLE + b"\0\1")
LONG_VALUE = element(8, 0x70, b"UC", b"x" * 9_000_000)
BOMB = gzip.compress(body_of([bytes(50_000_000)]))
HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n".encode()

FAULTS = (
    Fault("half-open: no request", says(), CLOSED),
    Fault("half-open: no command", says_inside(), "abort 2/0"),
    Fault("half-open: no data set", says_inside(pdu(4, pdv(3, COMMAND_END, store_command()))), "abort 2/0"),
    Fault(
        "slow: below the least rate", drips(begin_data_set, lambda: pdu(4, pdv(3, DATA, b"ab"))), "abort 2/0"
    ),
    Fault("dripping: a request byte by byte", drips(lambda peer: None, lambda: b"\1"), INVALID),
    Fault("oversized: first PDU", says(struct.pack(">BxI", 1, 0xFFFFFFFF)), INVALID),
    Fault("oversized: P-DATA", says_inside(struct.pack(">BxI", 4, 200 * 10**6)), INVALID),
    Fault("oversized: PDV", says_inside(pdu(4, struct.pack(">IBB", 10**6, 1, 3) + echo_command())), INVALID),
    Fault("oversized: data set", stores(UIDS + STUDY + bytes(12_000_000)), "0xC000"),
    Fault("oversized: data set, by far", stores(UIDS + STUDY + bytes(60_000_000)), "0xC000"),
    Fault("truncated", truncated, CLOSED),
    Fault("aborted", aborted, CLOSED),
    Fault("no PDU at all", says(b"GET / HTTP/1.1\r\n\r\n"), "abort 2/1"),
    Fault("wrong role: a peer that is SCP alone", says(associate_rq(user=SCP_ROLE)), "accepted"),
    Fault("wrong role: a response", says_inside(pdu(4, pdv(3, COMMAND_END, echo_command()))), UNEXPECTED),
    Fault("wrong called AE title", says(associate_rq(called=b"OTHER")), "reject 1/1/7"),
    Fault("AE title with a line break", says(associate_rq(calling=b"A\r\nB")), "reject 1/1/3"),
    Fault("path as UID in the command", stores(image(), "../../../etc/passwd"), "0x0117"),
    Fault("path as UID in the data set", stores(image(StudyInstanceUID="../../tmp/x")), "0xA900"),
    Fault("log line as UID", stores(image(), '1.2\r\n{"event": "forged"}'), "0x0117"),
    Fault("log line as study", stores(image(StudyInstanceUID='1.2\r\n{"event": "forged"}')), "0xA900"),
    Fault("UIDs of command and data set differ", stores(image(), "1.2.3.4.6"), "0xA900"),
    Fault("class of another context", stores(image(), context_id=5), "0x0122"),
    Fault("other bytes under a known UID", other_bytes, ["0x0000", "0xC000"]),
    Fault("empty data set", stores(b""), "0xC000"),
    Fault("garbage", stores(b"\xff" * 100_000), "0xC000"),
    Fault("nesting 40,000 deep", stores(UIDS + STUDY + nested(40_000, defined=False)), "0xC000"),
    Fault("500,000 elements", stores(UIDS + STUDY + many_elements(500_000)), "0xC000"),
    Fault("500,000 items", stores(UIDS + STUDY + many_items(500_000)), "0xC000"),
    Fault("a text of 9 MB where none is so long", stores(UIDS + LONG_VALUE + STUDY), "0x0000"),
    Fault("corrupt compressed pixels", damaged_pixels(1, cut=0), "0x0000"),
    Fault("truncated compressed pixels", damaged_pixels(2, cut=600), "0x0000"),
    Fault("deflate bomb", refused_context("1.2.840.10008.1.2.1.99"), 4),
    Fault("big endian", refused_context("1.2.840.10008.1.2.2"), 4),
    Fault("80 associations", eighty, {"accepted": 64, "reject 2/3/2": 16}),
    Fault("STOW: compressed body", posts(BOMB, Content_Encoding="gzip"), 415),
    Fault("STOW: more parts than allowed", posts(body_of([b"x"] * 5000)), 413),
    Fault("STOW: a part's headers without end", posts(HEAD + b"X: " + b"x" * 10**6), 400),
    Fault("STOW: no closing boundary", posts(HEAD + b"\r\nx"), 400),
    Fault("STOW: data set over the limit", posts(body_of([part10(mammogram()) + bytes(12_000_000)])), 409),
    Fault("STOW: a preamble that is a program", polyglot, (200, {bytes(128)})),
)
