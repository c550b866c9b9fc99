"""One association as acceptor, on one blocking socket, from the connection to its end. Source: PS3.8 9.2."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

from dibmg_node.services import pdu
from dibmg_node.services.connection import (
    Connection,
    ConnectionLostError,
    DeadlineError,
    TlsRefusedError,
)
from dibmg_node.services.dimse import Dimse
from dibmg_node.services.negotiation import AcceptedContext, accept, find_fault
from dibmg_node.services.pdu import AbortReason, PduType, ProtocolError
from dibmg_node.services.pdu_stream import PduStream
from dibmg_node.services.proposal import Proposal, read_proposal
from dibmg_node.services.wire import (
    AcceptorSettings,
    Admit,
    AssociationEnd,
    AssociationRequest,
    Ended,
    EndReason,
    OpenInstance,
    Rejection,
    TakeReport,
    TellTurnedAway,
    TurnedAway,
)

_log = logging.getLogger(__name__)

_TRANSIENT: Final = 2
"""Result of an A-ASSOCIATE-RJ. Source: PS3.8 Table 9-21."""


class _PeerAbortedError(Exception):
    """The peer sent an A-ABORT."""


class _StoppingError(Exception):
    """The node is stopping."""


class Association:
    """One connection and the association on it.

    `serve` runs on a thread of its own; `finish` and `cut` may be called from others.
    """

    def __init__(
        self,
        connection: Connection,
        settings: AcceptorSettings,
        *,
        admit: Admit,
        open_instance: OpenInstance,
        ended: Ended,
        turned_away: TellTurnedAway,
        leave: Callable[[Association], None],
        take_report: TakeReport | None = None,
    ) -> None:
        """Take a connection over; it is closed at the end of `serve`.

        Args:
            connection: As accepted, without TLS yet.
            settings: What is agreed to, and the limits.
            admit: Decides on the request.
            open_instance: Opens the sink of one data set.
            ended: Told about the end, if the association was accepted.
            turned_away: Told where the request was rejected, for good or for now, TLS or an instance refused.
            leave: Told before the last PDU is sent: the peer may come back at once, and must not be
                counted twice.
            take_report: Takes one report on storage commitment; None: nobody asked for any.
        """
        self.association_id = uuid4().hex[:16]
        self._connection = connection
        self._settings = settings
        self._admit = admit
        self._open_instance = open_instance
        self._ended = ended
        self._turned_away = turned_away
        self._leave = leave
        self._take_report = take_report
        self._lock = threading.Lock()
        self._idle = True
        self._stopping = False
        self._pdu_seconds = settings.pdu_timeout.total_seconds()
        self._request: AssociationRequest | None = None
        self._rejection: Rejection | None = None
        self._tls_refused = False
        self._peer_maximum = 0
        self._dimse: Dimse | None = None

    def finish(self) -> None:
        """End as soon as no message is on its way."""
        with self._lock:
            self._stopping = True
            if self._idle:
                self._connection.wake()

    def cut(self) -> None:
        """End now, whatever is on its way."""
        with self._lock:
            self._stopping = True
            self._connection.wake()

    def serve(self) -> None:
        """Live the whole association. Raises nothing."""
        try:
            reason, sentence, farewell = self._live()
            self._leave(self)
            self._connection.send_last(farewell)
            self._tell(reason, sentence)
            self._connection.await_close()
        except Exception as error:  # noqa: BLE001 - `ended` is foreign code, and this is the thread's top
            _log.error("association failed unexpectedly", extra=self._facts(error=type(error).__name__))
        finally:
            self._connection.close()

    def _live(self) -> tuple[EndReason, str, bytes]:
        """Everything up to the last PDU: how it ended, why, and that PDU."""
        try:
            return self._negotiate_and_converse()
        except ProtocolError as error:
            return EndReason.ABORTED, str(error), pdu.encode_abort(error.reason)
        except DeadlineError as error:
            # Before an association there is nothing to abort (PS3.8 9.2.2, AA-2), and TLS may not stand.
            farewell = pdu.encode_abort(AbortReason.NOT_SPECIFIED) if self._dimse else b""
            return EndReason.TIMED_OUT, str(error), farewell
        except _StoppingError:
            return EndReason.ABORTED, "the node is stopping", pdu.encode_abort(None)
        except _PeerAbortedError:
            return EndReason.ABORTED, "aborted by the peer", b""
        except TlsRefusedError as error:
            self._tls_refused = True
            return EndReason.LOST, str(error), b""
        except ConnectionLostError as error:
            if self._stopping:
                return EndReason.ABORTED, "the node is stopping", pdu.encode_abort(None)
            return EndReason.LOST, str(error), b""
        except Exception as error:  # noqa: BLE001 - `admit` is foreign code; the peer gets its A-ABORT
            _log.error("association failed unexpectedly", extra=self._facts(error=type(error).__name__))
            return EndReason.ABORTED, "internal error", pdu.encode_abort(AbortReason.NOT_SPECIFIED)
        finally:
            if self._dimse is not None:
                self._dimse.abandon()

    def _negotiate_and_converse(self) -> tuple[EndReason, str, bytes]:
        deadline = time.monotonic() + self._settings.association_timeout.total_seconds()
        self._connection.secure(self._settings.tls, deadline)
        longest = max(self._settings.maximum_pdu, self._settings.maximum_request)
        stream = PduStream(self._connection, longest, self._settle)
        limits = {PduType.ASSOCIATE_RQ: self._settings.maximum_request, PduType.ABORT: 4}
        remaining = max(0.0, deadline - time.monotonic())
        kind, body = stream.read(limits, first_byte_by=deadline, within=remaining)
        if kind is PduType.ABORT:
            raise _PeerAbortedError
        proposal = read_proposal(body)
        request = self._describe(proposal)
        rejection = find_fault(proposal, self._settings.ae_title) or self._admit(request)
        self._request = request
        if rejection is not None:
            self._rejection = rejection
            return EndReason.ABORTED, rejection.sentence, pdu.encode_reject(rejection)
        contexts, answer = accept(proposal, self._settings)
        self._connection.send(answer, self._pdu_seconds)
        self._establish(request, proposal, contexts)
        self._converse(stream)
        return EndReason.RELEASED, "released by the peer", pdu.RELEASE_RP

    def _describe(self, proposal: Proposal) -> AssociationRequest:
        return AssociationRequest(
            association_id=self.association_id,
            calling_aet=proposal.calling_aet or "",
            called_aet=proposal.called_aet or "",
            peer_address=self._connection.address,
            peer_port=self._connection.port,
            certificate_subject=self._connection.certificate_subject,
            implementation_class_uid=proposal.implementation_class_uid,
            implementation_version_name=proposal.implementation_version_name,
            abstract_syntaxes=frozenset(one.abstract_syntax_uid for one in proposal.contexts),
        )

    def _establish(
        self, request: AssociationRequest, proposal: Proposal, contexts: Mapping[int, AcceptedContext]
    ) -> None:
        self._peer_maximum = proposal.maximum_length
        self._dimse = Dimse(
            request,
            contexts,
            self._settings,
            self._open_instance,
            self._send_command,
            self._take_report,
            self._turned_away,
        )
        facts = self._facts(
            calling_aet=request.calling_aet,
            contexts=len(contexts),
            contexts_refused=len(proposal.contexts) - len(contexts),
            implementation=request.implementation_version_name,
        )
        _log.info("association accepted", extra=facts)

    def _converse(self, stream: PduStream) -> None:
        """Messages until the peer asks for release."""
        assert self._dimse is not None
        dimse, settings, pdu_seconds = self._dimse, self._settings, self._pdu_seconds
        limits = {PduType.P_DATA_TF: settings.maximum_pdu, PduType.RELEASE_RQ: 4, PduType.ABORT: 4}
        idle_seconds = settings.idle_timeout.total_seconds()
        turn, turned, waited_before = -1, 0.0, 0.0
        while True:
            now = time.monotonic()
            if turn != dimse.turn:
                turn, turned, waited_before = dimse.turn, now, stream.waited
            first_byte_by, within = now + pdu_seconds, pdu_seconds
            if dimse.in_data_set:
                waited = stream.waited - waited_before
                if waited > pdu_seconds and dimse.received < settings.minimum_rate * waited:
                    raise DeadlineError(f"data set slower than {settings.minimum_rate} bytes a second")
            elif dimse.in_message:
                # A command set is one short thing, in however many PDUs it comes.
                first_byte_by, within = turned + pdu_seconds, turned + pdu_seconds - now
            else:
                self._rest()
                first_byte_by = turned + idle_seconds
            kind, body = stream.read(limits, first_byte_by=first_byte_by, within=within)
            if kind is PduType.RELEASE_RQ:
                return
            if kind is PduType.ABORT:
                raise _PeerAbortedError
            self._idle = False
            for context_id, control, fragment in pdu.split_pdvs(body):
                dimse.take(context_id, control, fragment)
            if dimse.in_data_set:
                dimse.take_data(stream.data(dimse.context_id, settings.maximum_pdu))

    def _settle(self) -> None:
        if self._dimse is not None:
            self._dimse.settle()

    def _rest(self) -> None:
        """Between two messages: the moment to stop, if the node is stopping."""
        with self._lock:
            if self._stopping:
                raise _StoppingError
            self._idle = True

    def _send_command(self, context_id: int, command: bytes) -> None:
        pdus = pdu.encode_command_pdus(context_id, command, self._peer_maximum)
        self._connection.send(pdus, self._pdu_seconds)

    def _tell(self, reason: EndReason, sentence: str) -> None:
        if self._dimse is None or self._request is None:
            self._tell_unaccepted(sentence)
            return
        end = AssociationEnd(
            association_id=self.association_id,
            calling_aet=self._request.calling_aet,
            peer_address=self._connection.address,
            reason=reason,
            sentence=sentence,
            answered=self._dimse.answered,
            refused=self._dimse.refused,
        )
        facts = self._facts(
            calling_aet=end.calling_aet, answered=end.answered, refused=end.refused, reason=sentence
        )
        level = logging.INFO if reason is EndReason.RELEASED else logging.WARNING
        _log.log(level, f"association {reason.value}", extra=facts)
        self._ended(end)

    def _tell_unaccepted(self, sentence: str) -> None:
        facts = self._facts(reason=sentence)
        if self._request is not None:
            facts |= {"calling_aet": self._request.calling_aet, "called_aet": self._request.called_aet}
        if self._rejection:
            _log.warning("association rejected", extra=facts)
        else:
            _log.info("connection ended without an association", extra=facts)
        if self._tls_refused or self._rejection:
            calling, called = (r.calling_aet, r.called_aet) if (r := self._request) else ("", "")
            for_now = self._rejection is not None and self._rejection.result == _TRANSIENT
            self._turned_away(TurnedAway(self._connection.address, calling, called, sentence, for_now))

    def _facts(self, **facts: object) -> dict[str, object]:
        return {"association_id": self.association_id, "peer_address": self._connection.address, **facts}
