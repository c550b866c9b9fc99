"""How urgent a header says that its study is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import datasets_of, texts_of
from dibmg_node.domain.priority import Priority

_TERMS: Final = {
    "RequestedProcedurePriority": {
        "STAT": Priority.STAT,
        "HIGH": Priority.STAT,
        "ROUTINE": Priority.ROUTINE,
        "MEDIUM": Priority.ROUTINE,
        "LOW": Priority.LOW,
    },
    "ScheduledProcedureStepPriority": {
        "HIGH": Priority.STAT,
        "MEDIUM": Priority.ROUTINE,
        "LOW": Priority.ROUTINE,
    },
}


def read_priority(header: Dataset) -> Priority | None:
    """The most urgent priority that a header states; None where it states none that is known.

    No image IOD has such an attribute, so it comes as an extension: units copy it from the worklist, to the
    top level or into the Request Attributes Sequence. HIGH of (0074,1200) is a STAT request,
    and LOW a routine one.

    Source: Requested Procedure Priority (0040,1003), defined terms, PS3.3 C.4.11; Scheduled Procedure Step
    Priority (0074,1200), enumerated values, PS3.3 C.30.2; Request Attributes Macro, PS3.3 Table 10-9.
    """
    return min(_stated(header), key=lambda one: one.rank, default=None)


def _stated(header: Dataset) -> Iterator[Priority]:
    for item in [header, *datasets_of(header, "RequestAttributesSequence")]:
        for name, terms in _TERMS.items():
            for text in texts_of(item, name):
                if text.upper() in terms:
                    yield terms[text.upper()]
