"""The answer to a STOW-RS request, as a data set. Source: PS3.18 10.5.3 and I.2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import FileMeta

_WARNING: Final = 0xB


class StoreSuccess(Enum):
    """How much of a request was stored."""

    ALL = "all"
    SOME = "some, or all with warnings"
    NONE = "none"


@dataclass(frozen=True)
class StoreOutcome:
    """What became of one instance.

    Attributes:
        meta: What it said that it is; None where that could not be read.
        status: As to a C-STORE, PS3.4 B.2.3.
    """

    meta: FileMeta | None
    status: int

    @property
    def stored(self) -> bool:
        """Whether the node has it."""
        return self.status == StoreStatus.SUCCESS or self.status >> 12 == _WARNING


def success_of(outcomes: Sequence[StoreOutcome]) -> StoreSuccess:
    """How much of a request was stored; of nothing, nothing is."""
    if not any(outcome.stored for outcome in outcomes):
        return StoreSuccess.NONE
    every = all(outcome.status == StoreStatus.SUCCESS for outcome in outcomes)
    return StoreSuccess.ALL if every else StoreSuccess.SOME


def store_response(outcomes: Sequence[StoreOutcome], retrieve_url: str) -> Dataset:
    """What the sender is told.

    Args:
        outcomes: In the order of the request's parts.
        retrieve_url: Of the study, where there is one study; else empty. Those of the instances stay empty:
            the node gives out its results, not what it received.

    Returns:
        Referenced SOP Sequence, Failed SOP Sequence and, for what did not even say what it is, Other
        Failures Sequence; each only where it has an item.
    """
    response = Dataset()
    response.RetrieveURL = retrieve_url
    stored: list[Dataset] = []
    failed: list[Dataset] = []
    other: list[Dataset] = []
    for outcome in outcomes:
        item = Dataset()
        if outcome.meta is not None:
            item.ReferencedSOPClassUID = outcome.meta.sop_class_uid
            item.ReferencedSOPInstanceUID = outcome.meta.sop_uid
        if not outcome.stored:
            item.FailureReason = outcome.status
            (other if outcome.meta is None else failed).append(item)
            continue
        item.RetrieveURL = ""
        if outcome.status != StoreStatus.SUCCESS:
            item.WarningReason = outcome.status
        stored.append(item)
    for name, items in (
        ("FailedSOPSequence", failed),
        ("ReferencedSOPSequence", stored),
        ("OtherFailuresSequence", other),
    ):
        if items:
            setattr(response, name, DicomSequence(items))
    return response
