"""A sender that costs next to nothing: PDUs cut beforehand, sent from where they lie."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import dcmread

from dibmg_node.dicom import facts
from tests.services.wire_peers import RawPeer, associate_rq, context, item, pdu, pdv, store_command

_MOST_PIECES = 512
"""Pieces of one sendmsg; the system takes 1024."""
_PIXEL_DATA = b"\xe0\x7f\x10\x00O"
"""Tag and first letter of the VR, Explicit VR Little Endian."""
_ELEMENT_HEADER = 12
"""Bytes of tag, VR and length of Pixel Data."""


@dataclass(frozen=True)
class Template:
    """The data set of a mammogram, of which images of other studies are made without touching its pixels.

    Attributes:
        content: With UIDs that begin with `study_uid(0)`.
        head: Bytes of `content` before the pixels.
        syntax: Transfer syntax UID.
        sop_uid: Of study 0.
    """

    content: bytes
    head: int
    syntax: str
    sop_uid: str

    @classmethod
    def of(cls, file: bytes) -> Template:
        """Made of a Part 10 file of study 0."""
        meta = dcmread(BytesIO(file), stop_before_pixels=True).file_meta
        content = file[144 + int.from_bytes(file[140:144], "little") :]
        head = content.index(_PIXEL_DATA) + _ELEMENT_HEADER
        return cls(content, head, str(meta.TransferSyntaxUID), str(meta.MediaStorageSOPInstanceUID))


def study_uid(study: int) -> str:
    """A UID of always the same length."""
    return f"1.2.826.0.1.3680043.10.9.5.{100_000_000 + study}"


@dataclass
class Flow:
    """What one association does, and how it went.

    Attributes:
        studies: Numbers of the studies; one image of each template is sent.
        pause: Seconds before each image but the first.
        seconds: From the first byte of each image to its response.
        ended_at: When the last response came, in seconds since 1970.
    """

    studies: Sequence[int]
    pause: float = 0.0
    seconds: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    error: BaseException | None = None


def send_all(
    port: int, called: str, exam: Sequence[Template], flows: Sequence[Flow], pdu_length: int
) -> float:
    """Send what each flow says, all at once; returns the seconds from the first byte to the last response."""
    gate = threading.Barrier(len(flows) + 1)
    threads = [
        threading.Thread(target=_guarded, args=(flow, gate, port, called, exam, pdu_length)) for flow in flows
    ]
    for thread in threads:
        thread.start()
    gate.wait(60)
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    ended = time.perf_counter()
    for flow in flows:
        if flow.error is not None:
            raise flow.error
    return ended - begun


def _guarded(
    flow: Flow, gate: threading.Barrier, port: int, called: str, exam: Sequence[Template], most: int
) -> None:
    try:
        with RawPeer(port) as peer:
            peer.socket.settimeout(120)
            peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            accepted = _associate(peer, called, exam[0].syntax)
            length = min(most, accepted or most)
            gate.wait(60)
            for study in flow.studies:
                for template in exam:
                    if flow.seconds:
                        time.sleep(flow.pause)
                    begun = time.perf_counter()
                    _store(peer.socket, template, study_uid(study).encode(), length)
                    status = peer.status()
                    flow.seconds.append(time.perf_counter() - begun)
                    if status:
                        raise RuntimeError(f"the peer answered 0x{status:04X}, expected 0x0000")
            flow.ended_at = time.time()
            peer.release()
    # a thread's error is the measurement's, which raises it
    except BaseException as error:  # noqa: BLE001
        flow.error = error
        gate.abort()


def _associate(peer: RawPeer, called: str, syntax: str) -> int:
    """Associate; returns the longest PDU that the peer takes, 0 for any."""
    contexts = (context(3, facts.MG_FOR_PRESENTATION, syntax),)
    user = item(0x51, struct.pack(">I", 131072)) + item(0x52, b"1.2.3")
    peer.send(associate_rq(*contexts, called=called.encode(), user=user))
    kind, body = peer.read_pdu()
    if kind != 2:
        raise RuntimeError(f"not accepted: PDU type {kind}")
    at = body.index(b"\x51\x00\x00\x04") + 4
    return int(struct.unpack_from(">I", body, at)[0])


def _store(connection: socket.socket, template: Template, study: bytes, length: int) -> None:
    first = study_uid(0).encode()
    head = template.content[: template.head].replace(first, study)
    sop_uid = template.sop_uid.encode().replace(first, study).decode()
    pixels = memoryview(template.content)[template.head :]
    body = length - 6
    command = pdu(4, pdv(3, 3, store_command(sop_instance=sop_uid)))
    pieces: list[bytes | memoryview] = [command, _header(len(head), last=False), head]
    for at in range(0, len(pixels), body):
        piece = pixels[at : at + body]
        pieces += [_header(len(piece), last=at + body >= len(pixels)), piece]
    for at in range(0, len(pieces), _MOST_PIECES):
        _send_pieces(connection, pieces[at : at + _MOST_PIECES])


def _header(length: int, *, last: bool) -> bytes:
    return struct.pack(">BxIIBB", 4, length + 6, length + 2, 3, 2 if last else 0)


def _send_pieces(connection: socket.socket, pieces: list[bytes | memoryview]) -> None:
    left = sum(map(len, pieces))
    while left:
        sent = connection.sendmsg(pieces)
        left -= sent
        while pieces and sent >= len(pieces[0]):
            sent -= len(pieces.pop(0))
        if sent:
            pieces[0] = memoryview(pieces[0])[sent:]
