from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dibmg_node.dicom.urgency import read_priority
from dibmg_node.domain.priority import Priority


def requested(**attributes: str) -> Dataset:
    """A header whose Request Attributes Sequence has attributes."""
    header, item = Dataset(), Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    header.RequestAttributesSequence = Sequence([item])
    return header


@pytest.mark.parametrize(
    ("term", "priority"),
    [
        ("STAT", Priority.STAT),
        ("HIGH", Priority.STAT),
        ("stat", Priority.STAT),
        ("ROUTINE", Priority.ROUTINE),
        ("MEDIUM", Priority.ROUTINE),
        ("LOW", Priority.LOW),
        ("SOON", None),
        ("", None),
    ],
)
def test_requested_procedure_priority_is_read_by_its_defined_terms(
    term: str, priority: Priority | None
) -> None:
    header = Dataset()
    header.RequestedProcedurePriority = term

    assert read_priority(header) is priority


@pytest.mark.parametrize(
    ("term", "priority"), [("HIGH", Priority.STAT), ("MEDIUM", Priority.ROUTINE), ("LOW", Priority.ROUTINE)]
)
def test_of_a_scheduled_step_low_is_what_a_procedure_calls_routine(term: str, priority: Priority) -> None:
    assert read_priority(requested(ScheduledProcedureStepPriority=term)) is priority


def test_the_most_urgent_of_what_a_header_says_counts() -> None:
    header = requested(RequestedProcedurePriority="STAT")
    header.RequestedProcedurePriority = "LOW"

    assert read_priority(header) is Priority.STAT


def test_a_header_that_says_nothing_has_no_priority() -> None:
    assert read_priority(Dataset()) is None
