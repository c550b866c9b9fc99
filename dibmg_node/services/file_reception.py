"""One Part 10 file on its way in: its data set goes the way of a C-STORE, its own head goes nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import FileMeta, read_meta, whole_meta
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.services.reception import Reception, check_accepted
from dibmg_node.services.wire import (
    InstanceSink,
    OpenInstance,
    StoreAnswer,
    StoreRequest,
    TellTurnedAway,
    refused,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredFile:
    """What became of one file.

    Attributes:
        answer: As the sender of a C-STORE would be told.
        meta: What the file said that it is; None where that could not be read.
    """

    answer: StoreAnswer
    meta: FileMeta | None


class FileReception:
    """A Part 10 file that is being received.

    Preamble and file meta information are read and dropped, intake writes its own: a preamble that makes
    the file a program, too, ends here. What is kept is, byte for byte, what a C-STORE of the same data
    set leaves, so that the two are each other's duplicates.

    Source: PS3.10 7.1; CVE-2019-11687 (preamble).
    """

    def __init__(
        self,
        open_instance: OpenInstance,
        request: StoreRequest,
        maximum: int,
        turned_away: TellTurnedAway = lambda who: None,
    ) -> None:
        """Wait for the first byte.

        Args:
            open_instance: Opens the sink of one data set.
            request: Its class, instance and transfer syntax are taken from the file.
            maximum: Longest data set, bytes.
            turned_away: Told where it is refused.
        """
        self._open_instance = open_instance
        self._request = request
        self._maximum = maximum
        self._turned_away = turned_away
        self._start = bytearray()
        self._meta: FileMeta | None = None
        self._reception: Reception | None = None

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: The data set is far over the limit.
        """
        if self._reception is not None:
            self._reception.write(fragment)
            return
        self._start += fragment
        try:
            offset = whole_meta(self._start)
            if offset is None:
                return
            self._meta = read_meta(bytes(self._start[:offset]))
        except InstanceRejectedError as error:
            self._receive(_refusing(error))
            return
        rest = bytes(self._start[offset:])
        self._receive(self._open).write(memoryview(rest))

    def finish(self) -> StoredFile:
        """The last byte is in: what the sender is told."""
        nothing = InstanceRejectedError(StoreStatus.CANNOT_UNDERSTAND, "no DICOM file")
        reception = self._reception or self._receive(_refusing(nothing))
        answer = reception.finish()
        if answer.status != StoreStatus.SUCCESS:
            extra = {
                "status": f"0x{answer.status:04X}",
                "comment": ascii(answer.comment)[1:-1],
                "sop_uid": self._meta.sop_uid if self._meta else "",
            }
            _log.warning("instance refused", extra=extra)
            self._turned_away(refused(self._request, answer))
        return StoredFile(answer, self._meta)

    def abort(self) -> None:
        """The last byte will not come. Harmless after `finish`."""
        if self._reception is not None:
            self._reception.abort()

    def _receive(self, open_sink: Callable[[], InstanceSink]) -> Reception:
        self._start.clear()
        self._reception = Reception(open_sink, self._maximum)
        return self._reception

    def _open(self) -> InstanceSink:
        """Open its sink, unless it is of a kind that is refused."""
        assert self._meta is not None
        check_accepted(self._meta.sop_class_uid, self._meta.transfer_syntax_uid)
        request = replace(
            self._request,
            sop_class_uid=self._meta.sop_class_uid,
            sop_instance_uid=self._meta.sop_uid,
            transfer_syntax_uid=self._meta.transfer_syntax_uid,
        )
        return self._open_instance(request)


def _refusing(error: InstanceRejectedError) -> Callable[[], InstanceSink]:
    def refuse() -> InstanceSink:
        raise error

    return refuse
