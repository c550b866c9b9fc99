"""Peers for the acceptor: a sink in memory, real SCUs, and a socket that says whatever a test wants."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, generate_uid
from pynetdicom import AE

from dibmg_node.dicom import facts
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.wire import (
    CALLING_AE_NOT_RECOGNIZED,
    AcceptorSettings,
    AssociationEnd,
    AssociationRequest,
    Rejection,
    StoreAnswer,
    StoreRequest,
    TurnedAway,
)

WAIT_SECONDS = 60
"""How long a test waits for what must happen; never how long something may take."""

SETTINGS = AcceptorSettings(
    contexts=facts.ACCEPTED_CONTEXTS,
    implementation_class_uid=facts.IMPLEMENTATION_CLASS_UID,
    implementation_version_name=facts.IMPLEMENTATION_VERSION_NAME,
    port=0,
    maximum_per_address=64,
)
IMPATIENT = {
    "association_timeout": timedelta(seconds=0.4),
    "pdu_timeout": timedelta(seconds=0.4),
    "idle_timeout": timedelta(seconds=0.4),
}


class MemorySink:
    """Keeps one data set, and counts how it ended."""

    def __init__(self, store: MemoryStore, request: StoreRequest) -> None:
        self.store = store
        self.request = request
        self.content = bytearray()
        self.commits = 0
        self.aborts = 0
        self.threads = {threading.get_ident()}

    def write(self, *fragments: memoryview) -> None:
        self.threads.add(threading.get_ident())
        for fragment in fragments:
            self.content += fragment
        self.store.on_write(self)

    def commit(self) -> StoreAnswer:
        self.commits += 1
        answer = self.store.on_commit(self)
        self.store.changed()
        return answer

    def abort(self) -> None:
        self.aborts += 1
        self.store.changed()


@dataclass
class MemoryStore:
    """Sinks and ended associations, in order; hooks for what goes wrong."""

    sinks: list[MemorySink] = field(default_factory=list)
    ends: list[AssociationEnd] = field(default_factory=list)
    turned_away: list[TurnedAway] = field(default_factory=list)
    requests: list[AssociationRequest] = field(default_factory=list)
    on_open: Callable[[StoreRequest], None] = lambda _: None
    on_write: Callable[[MemorySink], None] = lambda _: None
    on_commit: Callable[[MemorySink], StoreAnswer] = lambda _: StoreAnswer(0)
    condition: threading.Condition = field(default_factory=threading.Condition)

    def admit(self, request: AssociationRequest) -> Rejection | None:
        self.requests.append(request)
        return CALLING_AE_NOT_RECOGNIZED if request.calling_aet == "STRANGER" else None

    def open_instance(self, request: StoreRequest) -> MemorySink:
        self.on_open(request)
        sink = MemorySink(self, request)
        with self.condition:
            self.sinks.append(sink)
            self.condition.notify_all()
        return sink

    def ended(self, end: AssociationEnd) -> None:
        with self.condition:
            self.ends.append(end)
            self.condition.notify_all()

    def turn_away(self, who: TurnedAway) -> None:
        with self.condition:
            self.turned_away.append(who)
            self.condition.notify_all()

    def changed(self) -> None:
        with self.condition:
            self.condition.notify_all()

    def wait_for(self, predicate: Callable[[], bool]) -> None:
        with self.condition:
            assert self.condition.wait_for(predicate, WAIT_SECONDS), "it did not happen"

    @property
    def committed(self) -> list[MemorySink]:
        return [sink for sink in self.sinks if sink.commits]


@dataclass
class Wire:
    """An acceptor on a free port, with its store."""

    acceptor: Acceptor
    store: MemoryStore

    @property
    def port(self) -> int:
        return self.acceptor.port

    def check_alive(self) -> None:
        """C-ECHO by DCMTK and one good C-STORE work."""
        echoed = run_dcmtk("echoscu", "-aec", "DIBMG", "127.0.0.1", str(self.port))
        assert echoed.returncode == 0, echoed.stdout + echoed.stderr
        before = len(self.store.committed)
        data_set = mammogram()
        assert store_all(self.port, [data_set]) == [0]
        assert len(self.store.committed) == before + 1
        assert self.store.committed[-1].request.sop_instance_uid == data_set.SOPInstanceUID


@contextmanager
def listening(store: MemoryStore | None = None, settings: AcceptorSettings = SETTINGS) -> Iterator[Wire]:
    store = store or MemoryStore()
    acceptor = Acceptor(
        settings,
        admit=store.admit,
        open_instance=store.open_instance,
        ended=store.ended,
        turned_away=store.turn_away,
    )
    acceptor.start()
    try:
        yield Wire(acceptor, store)
    finally:
        acceptor.stop(0.2)


def mammogram(syntax: str = facts.EXPLICIT_LE, size: int = 20_000, fill: bytes = b"\x2a\x01") -> Dataset:
    """A data set that has what the wire needs; its pixels are not meant to be seen."""
    data_set = Dataset()
    data_set.SOPClassUID = facts.MG_FOR_PRESENTATION
    data_set.SOPInstanceUID = generate_uid(None)
    data_set.StudyInstanceUID = "1.2.3"
    data_set.SeriesInstanceUID = "1.2.3.4"
    data_set.PatientName = "Canary^Yellow"
    data_set.Modality = "MG"
    data_set.Rows, data_set.Columns = size // 200, 100
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 12, 11
    data_set.PixelRepresentation = 0
    pixels = fill * (size // len(fill))
    if UID(syntax).is_encapsulated:
        data_set.PixelData = encapsulate([pixels])
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    else:
        data_set.PixelData = pixels
        data_set["PixelData"].VR = "OW"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = UID(syntax)
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    return data_set


def content_of(sink: MemorySink) -> Dataset:
    """What a sink was given, decoded with the negotiated transfer syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(sink.request.transfer_syntax_uid)
    meta.MediaStorageSOPClassUID = UID(sink.request.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sink.request.sop_instance_uid)
    head = BytesIO()
    write_file_meta_info(head, meta)
    return dcmread(BytesIO(b"\0" * 128 + b"DICM" + head.getvalue() + bytes(sink.content)))


def write_file(folder: Path, data_set: Dataset) -> Path:
    path = folder / f"{data_set.SOPInstanceUID}.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


def run_dcmtk(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def store_all(port: int, data_sets: list[Dataset], **arguments: object) -> list[int]:
    """Send with pynetdicom on one association; the statuses."""
    ae = AE("PEER")
    for syntax in {d.file_meta.TransferSyntaxUID for d in data_sets}:
        ae.add_requested_context(facts.MG_FOR_PRESENTATION, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="DIBMG", **arguments)
    assert association.is_established
    try:
        return [association.send_c_store(d).Status for d in data_sets]
    finally:
        association.release()


# ---- a peer that says whatever a test wants


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(context_id: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment


def context(number: int, abstract: str, *syntaxes: str) -> bytes:
    names = item(0x30, abstract.encode()) + b"".join(item(0x40, s.encode()) for s in syntaxes)
    return item(0x20, bytes((number, 0, 0, 0)) + names)


DEFAULT_CONTEXTS = (
    context(1, facts.VERIFICATION, facts.IMPLICIT_LE),
    context(3, facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE),
    context(5, facts.SECONDARY_CAPTURE, facts.IMPLICIT_LE),
)


def associate_rq(
    *contexts: bytes,
    called: bytes = b"DIBMG",
    calling: bytes = b"RAW",
    version: int = 1,
    application: str = "1.2.840.10008.3.1.1.1",
    user: bytes = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"),
) -> bytes:
    fixed = struct.pack(">H2x16s16s32x", version, called.ljust(16), calling.ljust(16))
    variable = item(0x10, application.encode()) + b"".join(contexts or DEFAULT_CONTEXTS) + item(0x50, user)
    return pdu(1, fixed + variable)


def element(tag: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, tag, len(value)) + value


def us(number: int) -> bytes:
    return struct.pack("<H", number)


def store_command(
    sop_class: str = facts.MG_FOR_PRESENTATION, sop_instance: str = "1.2.3.4.5", data_set_type: int = 1
) -> bytes:
    body = element(0x0002, sop_class.encode()) + element(0x0100, us(1)) + element(0x0110, us(7))
    body += element(0x0700, us(0)) + element(0x0800, us(data_set_type))
    body += element(0x1000, sop_instance.encode())
    return element(0, struct.pack("<I", len(body))) + body


def echo_command() -> bytes:
    body = element(0x0002, facts.VERIFICATION.encode()) + element(0x0100, us(0x30))
    body += element(0x0110, us(9)) + element(0x0800, us(0x0101))
    return element(0, struct.pack("<I", len(body))) + body


class RawPeer:
    """A socket, and reading of what comes back."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def read_pdu(self) -> tuple[int, bytes]:
        """Type and body; (0, b"") when the connection is closed."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._exactly(length)

    def associate(self, *contexts: bytes) -> None:
        self.send(associate_rq(*contexts))
        kind, _ = self.read_pdu()
        assert kind == 2, f"not accepted: PDU type {kind}"

    def status(self) -> int:
        """Status of the next response."""
        kind, body = self.read_pdu()
        assert kind == 4, f"not an answer: PDU type {kind}, {body.hex()}"
        at = body.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
        return struct.unpack_from("<H", body, at)[0]

    def aborted(self) -> tuple[int, int]:
        """Source and reason of the A-ABORT that must come now, and the close after it."""
        kind, body = self.read_pdu()
        assert kind == 7, f"not an A-ABORT: PDU type {kind}, {body.hex()}"
        assert self.read_pdu()[0] == 0
        return body[2], body[3]

    def rejected(self) -> tuple[int, int, int]:
        kind, body = self.read_pdu()
        assert kind == 3, f"not an A-ASSOCIATE-RJ: PDU type {kind}, {body.hex()}"
        return body[1], body[2], body[3]

    def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        assert self.read_pdu()[0] == 6

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            try:
                piece = self.socket.recv(count - len(received))
            except ConnectionResetError:
                break
            if not piece:
                break
            received += piece
        return received
