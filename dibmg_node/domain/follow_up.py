"""Follow-up: what became of an exam, as biopsy, registry or the next screening tell it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dibmg_node.domain.counted import counted
from dibmg_node.domain.study import Laterality


class Truth(StrEnum):
    """What was there."""

    CANCER = "cancer"
    BENIGN = "benign"
    NORMAL = "normal"


@dataclass(frozen=True)
class FollowUp:
    """What became of an exam.

    Attributes:
        laterality: Of the breast that it is about; None: the whole exam.
        found_on: Day (ISO 8601); empty where it is not told.
        source: Who says so, in one word; empty where it is not told.
    """

    truth: Truth
    laterality: Laterality | None = None
    found_on: str = ""
    source: str = ""


def corrected(
    known: Mapping[Laterality | None, FollowUp], later: Iterable[FollowUp]
) -> dict[Laterality | None, FollowUp]:
    """What is known of one exam after more was told, by breast (None: the whole exam).

    What is told of the whole exam replaces everything before it; what is told of a breast replaces what was
    told of that breast. Once both breasts are told of, nothing is left of what was told of the whole exam.
    """
    found = dict(known)
    for one in later:
        if one.laterality is None:
            found.clear()
        found[one.laterality] = one
        if Laterality.RIGHT in found and Laterality.LEFT in found:
            found.pop(None, None)
    return found


def cancer_read(known: Mapping[Laterality | None, FollowUp], read: Collection[Laterality]) -> bool | None:
    """Whether an exam had a cancer that a reading of some of its breasts could find.

    What is told of the whole exam is told of each breast that nothing else is told of.

    Args:
        known: What became of it, by breast (None: the whole exam).
        read: Breasts that have a score.

    Returns:
        None where it had a cancer, and none in a breast that was read: its score neither found nor missed it.
    """
    if not any(one.truth is Truth.CANCER for one in known.values()):
        return False
    told = (known.get(side, known.get(None)) for side in read)
    return True if any(one is not None and one.truth is Truth.CANCER for one in told) else None


def left_out_sentence(exams: int) -> str:
    """What figures say of exams that `cancer_read` cannot tell of; empty without any."""
    return (
        f"Left out: {counted(exams, 'exam')} whose cancer is in a breast that was not read." if exams else ""
    )
