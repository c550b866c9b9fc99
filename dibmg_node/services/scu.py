"""An association that this side asks for, and what it means when there is none."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.events import EVT_CONN_OPEN, EVT_DATA_SENT, Event, EventType
from pynetdicom.presentation import PresentationContext, build_context

from dibmg_node.dicom import facts
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.tls import TlsFiles, told_of, trust_of

_log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 30
"""For the answer to a request for an association, and for silence on the network."""
CONNECT_SECONDS: Final = 10
_LAST_NUMBER: Final = 65535
"""Of messages. Source: PS3.7 E.1, US."""
MAXIMUM_PDU: Final = 131072
"""Longest P-DATA-TF PDU that peers may send, bytes without its header."""


def plain_context(abstract_syntax_uid: str) -> PresentationContext:
    """A context for messages without pixels, in the transfer syntaxes that the node itself accepts.

    pynetdicom by itself would offer the deflated one and Big Endian, too.
    """
    return build_context(abstract_syntax_uid, list(facts.PLAIN_SYNTAXES))


Handlers: TypeAlias = Sequence[tuple[EventType, Callable[[Any], Any]]]
"""Called by pynetdicom on events of the association, on its own threads."""


def _send_at_once(event: Event) -> None:
    """The end of a message goes out without waiting for the peer's acknowledgement of its beginning."""
    _set(event, socket.TCP_NODELAY)


def _acknowledge_at_once(event: Event) -> None:
    """A peer that writes its answer in two pieces sends the second when the first is acknowledged.

    Linux would wait 40 ms with that, and takes the wish for the next segments only.
    """
    _set(event, socket.TCP_QUICKACK)


def _set(event: Event, option: int) -> None:
    connection = event.assoc.dul.socket
    # the peer may have closed it in this moment: whoever sends next hears of that
    with suppress(OSError):
        if connection is not None and connection.socket is not None:
            connection.socket.setsockopt(socket.IPPROTO_TCP, option, 1)


_PROMPT: Final[Handlers] = ((EVT_CONN_OPEN, _send_at_once), (EVT_DATA_SENT, _acknowledge_at_once))


class _Conversation:
    """Who gets which message of an association that this side asked for.

    pynetdicom's own thread takes messages, too. Whoever sends stops it first, by a flag that it looks at
    just before it says that it runs: interrupted there, it takes the answer for a request that nobody
    expected, and the sender waits until its time is over. So that thread gets none here: a peer sends
    requests within C-GET alone, which waits for them by itself, and N-EVENT-REPORT, which has a thread of
    its own.

    Nor does pynetdicom look which request an answer is for. Here each has a number of its own (Message ID),
    and an answer to another one is passed over.

    Source: PS3.7 9.3.1.
    """

    def __init__(self, association: Association) -> None:
        dimse = association.dimse
        self._take, self._send = dimse.get_msg, dimse.send_msg
        self._number = 0
        # mypy takes methods for what cannot be set
        setattr(dimse, "get_msg", self._take_answer)  # noqa: B010
        setattr(dimse, "send_msg", self._send_numbered)  # noqa: B010

    def _send_numbered(self, primitive: Any, context_id: int) -> None:
        if primitive.MessageIDBeingRespondedTo is None:
            self._number = self._number % _LAST_NUMBER + 1
            primitive.MessageID = self._number
        self._send(primitive, context_id)

    def _take_answer(self, block: bool = False) -> Any:
        while block:
            context_id, message = self._take(block=True)
            if message is None or message.MessageIDBeingRespondedTo in (None, self._number):
                return context_id, message
            _log.warning("answer to another request passed over", extra={"kind": type(message).__name__})
        return None, None


@dataclass(frozen=True)
class DimsePeer:
    """A peer that this side calls.

    Attributes:
        calling_aet: This side's AE title.
        tls: Files for DICOM over TLS, read anew for every association; None: plain DICOM.
    """

    calling_aet: str
    called_aet: str
    address: str
    port: int
    tls: TlsFiles | None = None

    @property
    def who(self) -> str:
        """The peer in words: AE title and address."""
        return f"{self.called_aet} at {self.address}:{self.port}"

    def associate(
        self,
        contexts: Sequence[PresentationContext],
        *,
        received_classes: Sequence[str] = (),
        handlers: Handlers = (),
        answer_seconds: float = TIMEOUT_SECONDS,
    ) -> Association:
        """Ask for an association.

        Args:
            contexts: Presentation contexts on offer, at most 128.
            received_classes: SOP classes that the peer shall send over this association: for them this side
                is SCP. Source: PS3.7 D.3.3.4.
            handlers: Of events, `EVT_C_STORE` where anything is received.
            answer_seconds: How long the peer may take for an answer.

        Raises:
            PeerUnavailableError: No connection, no TLS, no association for now, or it broke.
            PeerRefusedError: The association was rejected for good, or no context was accepted.
        """
        tls = None if self.tls is None else self._handshake(self.tls)
        ae = AE(ae_title=self.calling_aet)
        ae.acse_timeout, ae.dimse_timeout = TIMEOUT_SECONDS, answer_seconds
        ae.network_timeout = max(TIMEOUT_SECONDS, answer_seconds)
        ae.connection_timeout = CONNECT_SECONDS
        ae.implementation_class_uid = UID(facts.IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = facts.IMPLEMENTATION_VERSION_NAME
        roles: list[Any] = [build_role(UID(one), scp_role=True) for one in received_classes]
        try:
            association = ae.associate(
                self.address,
                self.port,
                contexts=list(contexts),
                ae_title=self.called_aet,
                max_pdu=MAXIMUM_PDU,
                ext_neg=roles,
                evt_handlers=[*_PROMPT, *handlers],
                tls_args=(tls.context, tls.server_name) if tls else None,
            )
        except OSError as error:  # the name does not resolve
            raise PeerUnavailableError(f"{self.who}: {error.strerror}") from error
        if association.is_established:
            _Conversation(association)
            return association
        if tls and tls.failure is not None:
            raise PeerUnavailableError(f"{self.who}: TLS: {told_of(tls.failure)}")
        raise self._why(association)

    def _handshake(self, files: TlsFiles) -> _Handshake:
        try:
            return _Handshake(files, self.address)
        except OSError as error:
            told = f"a file of tls cannot be used: {error.strerror or error}"
            raise PeerUnavailableError(f"{self.who}: {told}") from error

    def _why(self, association: Association) -> PeerRefusedError | PeerUnavailableError:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            result, source, reason = answer.result, answer.result_source, answer.diagnostic
            told = f"{self.who}: association rejected {result:d}/{source:d}/{reason:d}"
            return PeerRefusedError(told) if result == 1 else PeerUnavailableError(told)
        # pynetdicom aborts by itself when no context is accepted; that looks like any other abort
        if answer is not None and not association.accepted_contexts:
            return PeerRefusedError(f"{self.who}: accepts none of the presentation contexts offered")
        cause = "no connection, time-out or abort" + (
            ", or it does not take our certificate" if self.tls else ""
        )
        return PeerUnavailableError(f"{self.who}: no association ({cause})")


class _Handshake:
    """TLS of one association, and how its handshake failed: pynetdicom keeps that to itself.

    Attributes:
        server_name: What the peer's certificate has to be for.
        failure: None while there was none.
    """

    def __init__(self, files: TlsFiles, address: str) -> None:
        self.context = trust_of(files)
        self.server_name = files.server_name or address
        self.failure: ssl.SSLError | None = None
        handshake = self

        class Noting(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:
                try:
                    super().do_handshake(block)
                except ssl.SSLError as error:
                    handshake.failure = error
                    raise

            def connect(self, addr: Any) -> None:
                try:
                    super().connect(addr)
                # pynetdicom leaves it to the garbage collector, whatever went wrong
                except OSError:
                    self.close()
                    raise

        self.context.sslsocket_class = Noting
