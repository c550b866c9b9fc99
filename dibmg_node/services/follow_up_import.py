"""Import of follow-ups: lines of a table find their exams, by the keys that the ledger keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dibmg_node.dicom.search_keys import search_key
from dibmg_node.domain.counted import counted
from dibmg_node.domain.follow_up import FollowUp
from dibmg_node.services.follow_up_file import ToldLine
from dibmg_node.storage.follow_ups import Entered, FollowUps


@dataclass(frozen=True)
class Imported:
    """What became of a table.

    Attributes:
        lines: How many it has.
        studies: That they are about.
        unmatched: Numbers of lines whose exam the ledger does not know.
        ambiguous: Numbers of lines whose accession number several studies have.
        contradictory: Numbers of lines whose accession number and study UID are of different studies.
    """

    lines: int
    studies: int
    entered: Entered
    unmatched: Sequence[int]
    ambiguous: Sequence[int]
    contradictory: Sequence[int]

    @property
    def sentence(self) -> str:
        """For people: how much, and nothing of what."""
        entered = self.entered
        return (
            f"{counted(self.lines, 'line')} about {counted(self.studies, 'exam')}: {entered.new} new, "
            f"{entered.corrected} corrected, {entered.withdrawn} withdrawn, {entered.unchanged} unchanged"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "lines": self.lines,
            "studies": self.studies,
            **asdict(self.entered),
            "unmatched_lines": list(self.unmatched),
            "ambiguous_lines": list(self.ambiguous),
            "contradictory_lines": list(self.contradictory),
        }


def import_follow_ups(ledger: FollowUps, lines: Sequence[ToldLine], now: datetime) -> Imported:
    """Enter what a table tells, the later lines correcting the earlier ones.

    Accession numbers are compared by their digests, and not kept. A number that several studies have names
    none of them.
    """
    keys = {line.accession: search_key(line.accession) for line in lines if line.accession}
    by_key = ledger.matching(sorted(set(keys.values())))
    present = ledger.present(sorted({line.study_uid for line in lines if line.study_uid}))
    told: defaultdict[str, list[FollowUp]] = defaultdict(list)
    unmatched: list[int] = []
    ambiguous: list[int] = []
    contradictory: list[int] = []
    for line in lines:
        found = by_key.get(keys.get(line.accession, ""), [])
        if line.study_uid:
            if line.study_uid not in present:
                unmatched.append(line.number)
                continue
            if line.accession and line.study_uid not in found:
                contradictory.append(line.number)
                continue
            found = [line.study_uid]
        if len(found) != 1:
            (ambiguous if found else unmatched).append(line.number)
            continue
        told[found[0]].append(line.follow_up)
    entered = ledger.enter(told, now)
    return Imported(len(lines), len(told), entered, unmatched, ambiguous, contradictory)
