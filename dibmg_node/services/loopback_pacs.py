"""The PACS of self-tests: it listens on the loopback address, and keeps what it gets in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.wire import AcceptorSettings, StoreAnswer, StoreRequest
from dibmg_node.storage.selftests import SelfTests
from dibmg_node.storage.settlement import Settlement

LOOPBACK: Final = "127.0.0.1"
_STOP_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Arrived:
    """One object that came.

    Attributes:
        data_set: As it was on the wire.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set: bytes

    @property
    def part10(self) -> bytes:
        """A file of it."""
        return part10_prefix(self.sop_class_uid, self.sop_uid, self.transfer_syntax_uid) + self.data_set


class LoopbackPacs:
    """Takes what it is sent over the loopback address.

    Attributes:
        port: Where it listens.
    """

    def __init__(self) -> None:
        """Make one that does not listen yet."""
        self._arrived: dict[str, Arrived] = {}
        self._lock = threading.Lock()
        self.port = 0

    @property
    def arrived(self) -> Mapping[str, Arrived]:
        """What has come, by SOP Instance UID."""
        with self._lock:
            return dict(self._arrived)

    @contextmanager
    def listening(self) -> Iterator[LoopbackPacs]:
        """Listen, on any free port, until the end."""
        settings = AcceptorSettings(
            contexts=facts.ACCEPTED_CONTEXTS,
            implementation_class_uid=facts.IMPLEMENTATION_CLASS_UID,
            implementation_version_name=facts.IMPLEMENTATION_VERSION_NAME,
            ae_title=SELFTEST_AET,
            address=LOOPBACK,
            port=0,
        )
        acceptor = Acceptor(
            settings,
            admit=lambda request: None,
            open_instance=lambda request: _Sink(request, self._take),
            ended=lambda end: None,
        )
        acceptor.start()
        self.port = acceptor.port
        try:
            yield self
        finally:
            acceptor.stop(_STOP_SECONDS)

    def _take(self, arrived: Arrived) -> None:
        with self._lock:
            self._arrived[arrived.sop_uid] = arrived


class _Sink:
    """One object on its way in; satisfies `wire.InstanceSink`."""

    def __init__(self, request: StoreRequest, take: Callable[[Arrived], None]) -> None:
        self._request = request
        self._take = take
        self._content = bytearray()

    def write(self, *fragments: memoryview) -> None:
        """Append."""
        for fragment in fragments:
            self._content += fragment

    def commit(self) -> StoreAnswer:
        """Keep it."""
        offer = self._request
        self._take(
            Arrived(
                offer.sop_instance_uid, offer.sop_class_uid, offer.transfer_syntax_uid, bytes(self._content)
            )
        )
        return StoreAnswer(StoreStatus.SUCCESS)

    def abort(self) -> None:
        """Forget it."""


@dataclass(frozen=True)
class LoopbackSender:
    """The way into the PACS of the self-test that is running; satisfies `delivery.Sender`."""

    tests: SelfTests
    calling_aet: str
    now: Callable[[], datetime]

    def send(self, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        """Send results of a self-test.

        Raises:
            PeerUnavailableError: Its PACS does not answer.
            PeerRefusedError: None is running.
        """
        running = self.tests.running(self.now())
        if running is None:
            raise PeerRefusedError("no self-test is running")
        return CStoreSender(self.calling_aet, SELFTEST_AET, LOOPBACK, running.port).send(parcels)
