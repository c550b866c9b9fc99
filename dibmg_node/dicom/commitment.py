"""Storage commitment: what is asked, and what is reported. Source: PS3.4 Annex J, PS3.3 C.14."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import is_uid
from dibmg_node.errors import InstanceRejectedError

REQUEST_COMMITMENT: Final = 1
"""Action Type ID. Source: PS3.4 J.3.2."""
ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
"""Event Type IDs. Source: PS3.4 J.3.3."""


class ReportStatus(IntEnum):
    """Statuses that a report is answered with. Source: PS3.7 10.1.1.1.8 and Annex C."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115


@dataclass(frozen=True)
class CommitmentReport:
    """What a peer reports on one request.

    Attributes:
        committed: SOP Instance UIDs that it keeps.
        failed: Failure Reason by SOP Instance UID of those that it does not; 0 where it gives none.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def commitment_request(transaction_uid: str, instances: Iterable[tuple[str, str]]) -> Dataset:
    """Action Information of an N-ACTION.

    Args:
        transaction_uid: New for every request.
        instances: SOP Class UID and SOP Instance UID of each.

    Source: PS3.4 Table J.3-1.
    """
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(*one) for one in instances]
    return request


def read_report(content: bytes, transfer_syntax_uid: str, event_type: int | None) -> CommitmentReport:
    """Event Information of an N-EVENT-REPORT.

    Args:
        content: The encoded data set.
        transfer_syntax_uid: Explicit or Implicit VR Little Endian.
        event_type: Event Type ID.

    Raises:
        InstanceRejectedError: It is no such report; with the status that it is answered with.

    Source: PS3.4 Table J.3-2.
    """
    if event_type not in (ALL_COMMITTED, SOME_FAILED):
        raise InstanceRejectedError(ReportStatus.NO_SUCH_EVENT_TYPE, "an event type other than 1 and 2")
    try:
        dataset = read_dataset(BytesIO(content), transfer_syntax_uid == facts.IMPLICIT_LE, True)
        transaction_uid = str(dataset.get("TransactionUID") or "")
        committed = frozenset(_uids(dataset.get("ReferencedSOPSequence")))
        failed = {
            uid: int(item.get("FailureReason") or 0)
            for item in dataset.get("FailedSOPSequence") or ()
            for uid in _uids([item])
        }
    # whatever pydicom stumbles over in what a peer sent, too deep a nesting included
    except Exception as error:
        raise InstanceRejectedError(
            ReportStatus.INVALID_ARGUMENT_VALUE, "the report cannot be parsed"
        ) from error
    if not is_uid(transaction_uid) or not committed | failed.keys():
        raise InstanceRejectedError(
            ReportStatus.INVALID_ARGUMENT_VALUE, "a report without a Transaction UID, or on no instance"
        )
    return CommitmentReport(transaction_uid, committed, failed)


def _reference(sop_class_uid: str, sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_uid
    return item


def _uids(items: Iterable[Dataset] | None) -> Iterable[str]:
    return (str(item.ReferencedSOPInstanceUID) for item in items or () if "ReferencedSOPInstanceUID" in item)
