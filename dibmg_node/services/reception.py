"""One data set on its way into its sink; what goes wrong there becomes an answer, not an abort."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.errors import InstanceRejectedError, IntakePausedError, RetryableError
from dibmg_node.services.pdu import AbortReason, ProtocolError
from dibmg_node.services.wire import InstanceSink, StoreAnswer

_log = logging.getLogger(__name__)

_GATHERED = 1024 * 1024
"""Bytes after which they go to the sink, whatever follows."""
_MOST_PENDING = 1024
"""Fragments: a peer that sends them of one byte each must not fill the memory with their addresses."""
SWALLOWED = 16 * 1024 * 1024 * 1024
"""Bytes over the limit that are still read, so that the sender hears a status and goes on. No image is that
long: it is the end of what has none."""


class Reception:
    """One data set that is being received.

    Once it is refused the rest is swallowed: a sender that is in the middle of a data set does not
    listen, and PS3.7 has no other answer than the one after its end.

    Attributes:
        received: Bytes so far.
    """

    def __init__(self, open_sink: Callable[[], InstanceSink], maximum: int) -> None:
        """Open the sink.

        Args:
            open_sink: May raise as `InstanceSink.write` may.
            maximum: Longest data set, bytes.
        """
        self.received = 0
        self._pending: list[memoryview] = []
        self._pending_bytes = 0
        self._maximum = maximum
        self._sink: InstanceSink | None = None
        self._refusal: StoreAnswer | None = None
        try:
            self._sink = open_sink()
        except Exception as error:  # noqa: BLE001 - becomes a status
            self._refusal = answer_of(error)

    def write(self, *fragments: memoryview) -> None:
        """Take the next bytes; they are gathered, so that the sink is not called for every small piece.

        Args:
            fragments: Valid until the next `settle` or `finish`.

        Raises:
            ProtocolError: The data set is far over the limit.
        """
        size = sum(map(len, fragments))
        self.received += size
        if self._sink is not None:
            if self.received > self._maximum:
                comment = f"data set longer than {self._maximum} bytes"
                # for good: a sender that is told that there is no room sends it again, without end
                self._refuse(StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, comment))
                return
            self._pending += fragments
            self._pending_bytes += size
            if self._pending_bytes >= _GATHERED or len(self._pending) >= _MOST_PENDING:
                self.settle()
        elif self.received > self._maximum + SWALLOWED:
            raise ProtocolError(AbortReason.NOT_SPECIFIED, f"data set of {self.received} bytes, no end")

    def settle(self) -> None:
        """Hand what was gathered to the sink."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if self._sink is None or not pending:
            return
        try:
            self._sink.write(*pending)
        except Exception as error:  # noqa: BLE001 - becomes a status
            self._refuse(answer_of(error))

    def finish(self) -> StoreAnswer:
        """The last byte is in: what the sender is told."""
        self.settle()
        sink, self._sink = self._sink, None
        if sink is None:
            return self._refusal or StoreAnswer(StoreStatus.CANNOT_UNDERSTAND)
        try:
            return sink.commit()
        except Exception as error:  # noqa: BLE001 - becomes a status
            return answer_of(error)

    def abort(self) -> None:
        """The last byte will not come. Harmless after `finish` and after a refusal."""
        sink, self._sink = self._sink, None
        self._pending.clear()
        if sink is None:
            return
        try:
            sink.abort()
        except Exception as error:  # noqa: BLE001 - the association goes on
            _log.error("sink could not be aborted", extra=_facts(error))

    def _refuse(self, answer: StoreAnswer) -> None:
        self._refusal = answer
        self.abort()


def check_accepted(sop_class_uid: str, transfer_syntax_uid: str) -> None:
    """Refuse a file that the acceptor would refuse by refusing its presentation context.

    Raises:
        InstanceRejectedError: 0x0122 or 0xC122, the node does not take this SOP class, or not in this
            transfer syntax.
    """
    syntaxes = facts.ACCEPTED_CONTEXTS.get(sop_class_uid)
    if syntaxes is None or sop_class_uid == facts.VERIFICATION:
        raise InstanceRejectedError(StoreStatus.SOP_CLASS_NOT_SUPPORTED, "SOP class is not accepted")
    if transfer_syntax_uid not in syntaxes:
        raise InstanceRejectedError(
            StoreStatus.TRANSFER_SYNTAX_NOT_SUPPORTED, "transfer syntax is not accepted"
        )


def answer_of(error: Exception) -> StoreAnswer:
    """What a sender is told about an error of the sink. Comments hold no path and no message of others."""
    if isinstance(error, InstanceRejectedError):
        return StoreAnswer(error.status, str(error), error.offending_element)
    if isinstance(error, IntakePausedError):
        return StoreAnswer(StoreStatus.OUT_OF_RESOURCES, str(error))
    if isinstance(error, (RetryableError, OSError, MemoryError)):
        _log.error("storage failed", extra=_facts(error))
        return StoreAnswer(StoreStatus.OUT_OF_RESOURCES, "no room, or storage failed")
    _log.error("instance failed unexpectedly", extra=_facts(error))
    return StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, "internal error")


def _facts(error: Exception) -> dict[str, str]:
    """Kind and place of an error, not its message: that may quote a data set."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "place": place}
