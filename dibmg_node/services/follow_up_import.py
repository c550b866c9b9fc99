"""Import of follow-ups: lines of a table find their exams, by the keys that the ledger keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from dibmg_node.dicom.search_keys import NumberKind, search_key, search_keys, untold_key
from dibmg_node.domain.counted import counted
from dibmg_node.domain.follow_up import FollowUp
from dibmg_node.services.follow_up_file import ToldLine
from dibmg_node.storage.follow_ups import Entered, FollowUps

HeaderOf = Callable[[str], Dataset | None]


@dataclass(frozen=True)
class Imported:
    """What became of a table.

    Attributes:
        lines: How many it has.
        studies: That they are about.
        unmatched: Numbers of lines whose exam the ledger does not know.
        ambiguous: Numbers of lines whose accession number several studies have.
        contradictory: Numbers of lines whose accession number and study UID are of different studies.
        unchecked: Numbers of lines of whose exam nobody can tell any more whether the accession number is its
            own: earlier versions kept it like a patient ID, and the header is gone or has neither.
    """

    lines: int
    studies: int
    entered: Entered
    unmatched: Sequence[int]
    ambiguous: Sequence[int]
    contradictory: Sequence[int]
    unchecked: Sequence[int]

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
            "unchecked_lines": list(self.unchecked),
        }


def import_follow_ups(
    ledger: FollowUps, lines: Sequence[ToldLine], now: datetime, header_of: HeaderOf
) -> Imported:
    """Enter what a table tells, the later lines correcting the earlier ones.

    Accession numbers are compared by their digests, and not kept. A number that several studies have names
    none of them.

    Args:
        ledger: Of the exams.
        lines: Of the table.
        now: The time.
        header_of: Header of an image of a study; None where there is none any more. It is asked of studies
            of earlier versions, whose keys may be those of patient IDs.
    """
    alone = {line.accession for line in lines if line.accession and not line.study_uid}
    beside = {line.accession for line in lines if line.accession} - alone
    # beside a study UID it is enough that the number may be the study's: no image is fetched for it
    matched = _matched(ledger, alone, header_of) | _matched(ledger, beside, lambda _: None)
    present = ledger.present(sorted({line.study_uid for line in lines if line.study_uid}))
    told: defaultdict[str, list[FollowUp]] = defaultdict(list)
    unmatched: list[int] = []
    ambiguous: list[int] = []
    contradictory: list[int] = []
    unchecked: list[int] = []
    for line in lines:
        found, unsure = matched.get(line.accession, ([], []))
        if line.study_uid:
            if line.study_uid not in present:
                unmatched.append(line.number)
                continue
            if line.accession and line.study_uid not in (*found, *unsure):
                contradictory.append(line.number)
                continue
            found, unsure = [line.study_uid], []
        if len(found) > 1:
            ambiguous.append(line.number)
        elif unsure:
            unchecked.append(line.number)
        elif found:
            told[found[0]].append(line.follow_up)
        else:
            unmatched.append(line.number)
    entered = ledger.enter(told, now)
    return Imported(len(lines), len(told), entered, unmatched, ambiguous, contradictory, unchecked)


def _matched(
    ledger: FollowUps, accessions: Collection[str], header_of: HeaderOf
) -> dict[str, tuple[list[str], list[str]]]:
    """UIDs of the studies that have each accession number, and of those that may have it."""
    keys = {one: (search_key(one, NumberKind.ACCESSION), untold_key(one)) for one in accessions}
    by_key = ledger.matching(sorted({key for both in keys.values() for key in both}))
    matched = {}
    for accession, (own, untold) in keys.items():
        found, unsure = list(by_key.get(own, [])), []
        for study_uid in by_key.get(untold, []):
            if study_uid in found:
                continue
            header = header_of(study_uid)
            has = () if header is None else search_keys(header)
            if own in has:
                found.append(study_uid)
            elif search_key(accession, NumberKind.PATIENT) not in has:
                unsure.append(study_uid)
        matched[accession] = found, unsure
    return matched
