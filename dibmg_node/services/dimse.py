"""Messages from PDVs, and their answers, without a socket. Source: PS3.7 section 9.3, PS3.8 Annex E."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from dibmg_node.dicom.commitment import ReportStatus
from dibmg_node.dicom.facts import STORAGE_COMMITMENT, VERIFICATION, StoreStatus
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.services.command import (
    Command,
    CommandField,
    encode_echo_answer,
    encode_report_answer,
    encode_store_answer,
    read_command,
)
from dibmg_node.services.negotiation import AcceptedContext
from dibmg_node.services.pdu import COMMAND_FRAGMENT, LAST_FRAGMENT, AbortReason, ProtocolError
from dibmg_node.services.reception import Reception
from dibmg_node.services.wire import (
    AcceptorSettings,
    AssociationRequest,
    EventReport,
    InstanceSink,
    OpenInstance,
    StoreAnswer,
    StoreRequest,
    TakeReport,
    TellTurnedAway,
    refused,
)

_log = logging.getLogger(__name__)

_MOST_EMPTY_FRAGMENTS = 64
_LONGEST_REPORT = 1024 * 1024
"""Bytes of a report on storage commitment; one instance takes less than 200."""
_WARNING = 0xB


class Dimse:
    """The messages of one association: C-ECHO, C-STORE and reports on storage commitment, one at a time.

    Attributes:
        answered: C-STORE requests answered with Success or a warning.
        refused: C-STORE requests answered with a failure.
        turn: Changes whenever a command set begins, a data set begins, or a message ends.
        context_id: Presentation context of the message on its way, or of the last one.
    """

    def __init__(
        self,
        association: AssociationRequest,
        contexts: Mapping[int, AcceptedContext],
        settings: AcceptorSettings,
        open_instance: OpenInstance,
        send: Callable[[int, bytes], None],
        take_report: TakeReport | None = None,
        turned_away: TellTurnedAway = lambda who: None,
    ) -> None:
        """Begin between two messages.

        Args:
            association: Whose messages these are.
            contexts: Accepted presentation contexts by id.
            settings: Limits.
            open_instance: Opens the sink of one data set.
            send: Sends one command set on one context.
            take_report: Takes one report on storage commitment; None: nobody asked for any.
            turned_away: Told of every instance that is refused.
        """
        self.answered = self.refused = self.turn = 0
        self._association = association
        self._contexts = contexts
        self._settings = settings
        self._open_instance = open_instance
        self._send = send
        self._take_report = take_report
        self._turned_away = turned_away
        self.context_id = 0
        self._encoded = bytearray()
        self._command: Command | None = None
        self._reception: Reception | None = None
        self._empty = 0

    @property
    def in_message(self) -> bool:
        """A message has begun and is not finished."""
        return bool(self._encoded) or self._reception is not None

    @property
    def in_data_set(self) -> bool:
        """The command set of a message is complete, its data set is not."""
        return self._reception is not None

    @property
    def received(self) -> int:
        """Bytes so far of the data set that is being received."""
        return self._reception.received if self._reception else 0

    def take(self, context_id: int, control: int, fragment: memoryview) -> None:
        """Take one PDV; with the last one of a message, answer it.

        Args:
            context_id: Its presentation context.
            control: Message control header; only the two lowest bits mean something.
            fragment: Valid until the next `settle`.

        Raises:
            ProtocolError: The PDV does not belong here, or the message is none that was negotiated.
        """
        if self.in_message and context_id != self.context_id:
            raise _unexpected("a message changes its presentation context")
        last = bool(control & LAST_FRAGMENT)
        if not (fragment or last):
            self._count_empty()
        if control & COMMAND_FRAGMENT:
            self._take_command(context_id, fragment, last)
        elif self._reception is None:
            raise _unexpected("a data set without its command")
        else:
            self._reception.write(fragment)
            if last:
                self._finish()

    def take_data(self, fragments: Sequence[memoryview]) -> None:
        """Take more of the data set that is being received, on its presentation context.

        Args:
            fragments: None of them empty, nor the last; valid as that of `take`.

        Raises:
            ProtocolError: The data set has no end.
        """
        assert self._reception is not None
        self._reception.write(*fragments)

    def settle(self) -> None:
        """What was taken so far goes where it belongs; the memory of its fragments may be used again."""
        if self._reception is not None:
            self._reception.settle()

    def abandon(self) -> None:
        """The association is over: forget the message on its way, if there is one."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()

    def _count_empty(self) -> None:
        self._empty += 1
        if self._empty > _MOST_EMPTY_FRAGMENTS:
            raise _unexpected("empty fragments without end")

    def _take_command(self, context_id: int, fragment: memoryview, last: bool) -> None:
        if self._reception is not None:
            raise _unexpected("a command inside a data set")
        if context_id not in self._contexts:
            raise _unexpected(f"presentation context {context_id} was not accepted")
        if len(self._encoded) + len(fragment) > self._settings.maximum_command:
            raise _unexpected(f"a command set longer than {self._settings.maximum_command} bytes")
        if fragment and not self._encoded:
            self.turn += 1
        self.context_id = context_id
        self._encoded += fragment
        if last:
            command = read_command(self._encoded)
            self._encoded.clear()
            self._empty = 0
            self.turn += 1
            self._begin(command, self._contexts[context_id])

    def _begin(self, command: Command, context: AcceptedContext) -> None:
        verification = context.abstract_syntax_uid == VERIFICATION
        commitment = context.abstract_syntax_uid == STORAGE_COMMITMENT
        if command.field == CommandField.C_STORE_RQ and not (verification or commitment):
            self._begin_store(command, context)
        elif command.field == CommandField.N_EVENT_REPORT_RQ and commitment and self._take_report:
            self._begin_report(command, context, self._take_report)
        elif command.has_data_set:
            raise _unexpected(f"message 0x{command.field:04X} with a data set")
        elif command.field == CommandField.C_ECHO_RQ and verification:
            self._send(self.context_id, encode_echo_answer(command.message_id, VERIFICATION, 0))
            _log.info("echo answered", extra=self._facts())
        elif command.field != CommandField.C_CANCEL_RQ:
            raise _unexpected(f"message 0x{command.field:04X} on a context of another service")

    def _begin_store(self, command: Command, context: AcceptedContext) -> None:
        self._command = command
        if command.has_data_set:
            maximum = self._settings.maximum_data_set
            self._reception = Reception(lambda: self._open(command, context), maximum)
        else:
            self._answer(StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, "no data set"))

    def _begin_report(self, command: Command, context: AcceptedContext, take: TakeReport) -> None:
        self._command = command
        if not command.has_data_set:
            self._send(self.context_id, encode_report_answer(command, ReportStatus.INVALID_ARGUMENT_VALUE))
            return
        sink = _ReportSink(
            lambda content: take(
                EventReport(
                    calling_aet=self._association.calling_aet,
                    peer_address=self._association.peer_address,
                    event_type=command.event_type,
                    transfer_syntax_uid=context.transfer_syntax_uid,
                    content=content,
                )
            )
        )
        self._reception = Reception(lambda: sink, _LONGEST_REPORT)

    def _open(self, command: Command, context: AcceptedContext) -> InstanceSink:
        if command.sop_class_uid != context.abstract_syntax_uid:
            raise InstanceRejectedError(
                StoreStatus.SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context"
            )
        if not command.sop_instance_uid:
            raise InstanceRejectedError(StoreStatus.INVALID_SOP_INSTANCE, "SOP Instance UID is no UID")
        association = self._association
        return self._open_instance(
            StoreRequest(
                association_id=association.association_id,
                message_id=command.message_id,
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=context.transfer_syntax_uid,
                calling_aet=association.calling_aet,
                called_aet=association.called_aet,
                peer_address=association.peer_address,
                certificate_subject=association.certificate_subject,
            )
        )

    def _finish(self) -> None:
        assert self._reception is not None
        answer = self._reception.finish()
        self._reception = None
        self._empty = 0
        self.turn += 1
        assert self._command is not None
        if self._command.field == CommandField.N_EVENT_REPORT_RQ:
            # too long, or an error that nobody foresaw: statuses of C-STORE mean nothing here
            status = answer.status if answer.status < 0x1000 else ReportStatus.PROCESSING_FAILURE
            self._send(self.context_id, encode_report_answer(self._command, status))
        else:
            self._answer(answer)

    def _answer(self, answer: StoreAnswer) -> None:
        assert self._command is not None
        stored = answer.status == StoreStatus.SUCCESS or answer.status >> 12 == _WARNING
        if stored:
            self.answered += 1
        else:
            self.refused += 1
            facts = {
                "status": f"0x{answer.status:04X}",
                "comment": ascii(answer.comment)[1:-1],
                "sop_uid": self._command.sop_instance_uid,
            }
            _log.warning("instance refused", extra=self._facts() | facts)
            self._turned_away(refused(self._association, answer))
        self._send(self.context_id, encode_store_answer(self._command, answer))

    def _facts(self) -> dict[str, str]:
        return {
            "association_id": self._association.association_id,
            "calling_aet": self._association.calling_aet,
        }


class _ReportSink:
    """Where the data set of a report goes: memory."""

    def __init__(self, take: Callable[[bytes], int]) -> None:
        self._take = take
        self._content = bytearray()

    def write(self, *fragments: memoryview) -> None:
        for fragment in fragments:
            self._content += fragment

    def commit(self) -> StoreAnswer:
        return StoreAnswer(self._take(bytes(self._content)))

    def abort(self) -> None:
        self._content.clear()


def _unexpected(sentence: str) -> ProtocolError:
    return ProtocolError(AbortReason.UNEXPECTED_PARAMETER, sentence)
