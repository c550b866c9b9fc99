"""Modalities: several associations at once, each sending until everything is answered with Success."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Final

from tests.chaos.studies import SentInstance
from tests.services.wire_peers import associate_rq, context, pdu, pdv, store_command

_ANSWER_SECONDS: Final = 60
_FRAGMENT: Final = 131072 - 16
_ACCEPT, _DATA, _RELEASE_RP = 2, 4, 6


class BrokenError(Exception):
    """The association is gone, or was not granted: try again."""


@dataclass(frozen=True)
class Acknowledgment:
    """The node said 0x0000 to an instance."""

    study_uid: str
    sop_uid: str
    sha256: str


class Journal:
    """What was acknowledged, also in a file: one line each, written before the sender goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii")
        self._lock = threading.Lock()
        self._first: dict[str, Acknowledgment] = {}
        self._last_at: dict[str, int] = {}
        self.answers = 0
        """Every 0x0000, those to what was sent again as well."""
        self.broken = 0
        """Associations that were not granted, broke, or brought another answer than 0x0000."""

    def acknowledged(self, one: Acknowledgment) -> None:
        """Enter one answer.

        Raises:
            AssertionError: The same UID was acknowledged with other bytes; no sender here sends such.
        """
        with self._lock:
            self.answers += 1
            assert self._first.setdefault(one.sop_uid, one) == one
            self._file.write(json.dumps(vars(one)) + "\n")
            self._file.flush()

    def broke(self) -> None:
        """Enter that something must be sent again."""
        with self._lock:
            self.broken += 1

    def close(self) -> None:
        """Nobody sends any more."""
        self._file.close()

    def instances(self) -> list[Acknowledgment]:
        """Each instance once."""
        with self._lock:
            return list(self._first.values())

    def __len__(self) -> int:
        return len(self._first)


class Load:
    """What one association brings, and when all of it is acknowledged."""

    def __init__(self, instances: Sequence[SentInstance]) -> None:
        self.instances = instances
        self.done = threading.Event()


class Modalities:
    """Senders, each a thread with an association of its own."""

    def __init__(self, port: int, journal: Journal, seed: int, count: int) -> None:
        self._port = port
        self._journal = journal
        self._loads: SimpleQueue[Load | None] = SimpleQueue()
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(Random(f"modality {seed} {n}"),), daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, load: Load) -> None:
        """Have a load sent by whoever is free."""
        self._loads.put(load)

    def end(self) -> None:
        """No more loads; returns when the threads have ended."""
        self._ending.set()
        for _ in self._threads:
            self._loads.put(None)
        for thread in self._threads:
            thread.join(2 * _ANSWER_SECONDS)

    def _send(self, random: Random) -> None:
        while (load := self._loads.get()) is not None:
            pending = list(load.instances)
            while pending and not self._ending.is_set():
                try:
                    self._over_one_association(pending)
                except BrokenError:
                    self._journal.broke()
                    self._ending.wait(random.uniform(0.1, 2.0))
                    if random.random() < 0.3:
                        pending = list(load.instances)  # some modalities then begin anew
            load.done.set()

    def _over_one_association(self, pending: list[SentInstance]) -> None:
        syntaxes = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in pending)
        numbers = {key: 2 * n + 1 for n, key in enumerate(syntaxes)}
        with _Association(self._port, numbers) as association:
            while pending:
                one = pending[0]
                status = association.store(one, numbers[one.sop_class_uid, one.transfer_syntax_uid])
                if status != 0:
                    raise BrokenError(f"status 0x{status:04X}")
                self._journal.acknowledged(Acknowledgment(one.study_uid, one.sop_uid, one.sha256))
                del pending[0]


class _Association:
    """One association over a blocking socket."""

    def __init__(self, port: int, numbers: dict[tuple[str, str], int]) -> None:
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS)
        except OSError as error:
            raise BrokenError("no connection") from error
        try:
            offered = [context(number, cls, syntax) for (cls, syntax), number in numbers.items()]
            self._write(associate_rq(*offered, calling=b"MG1"))
            kind, _ = self._read()
            if kind != _ACCEPT:
                raise BrokenError(f"not accepted: PDU type {kind}")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> _Association:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._socket:
            if kind is None:
                self._write(pdu(5, bytes(4)))
                self._read()

    def store(self, one: SentInstance, number: int) -> int:
        """C-STORE; the status of the answer."""
        self._write(pdu(_DATA, pdv(number, 3, store_command(one.sop_class_uid, one.sop_uid))))
        for at in range(0, len(one.content), _FRAGMENT):
            last = at + _FRAGMENT >= len(one.content)
            self._write(pdu(_DATA, pdv(number, 2 * last, one.content[at : at + _FRAGMENT])))
        kind, body = self._read()
        if kind != _DATA:
            raise BrokenError(f"no answer: PDU type {kind}")
        status: int = struct.unpack_from("<H", body, body.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8)[0]
        return status

    def _write(self, content: bytes) -> None:
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise BrokenError("connection lost") from error

    def _read(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            try:
                piece = self._socket.recv(count - len(received))
            except OSError as error:
                raise BrokenError("connection lost") from error
            if not piece:
                raise BrokenError("connection closed")
            received += piece
        return received
