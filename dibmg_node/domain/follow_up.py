"""Follow-up: what became of an exam, as biopsy, registry or the next screening tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

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
