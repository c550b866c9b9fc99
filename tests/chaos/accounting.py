"""The accounts: every acknowledged instance, every study, every result, counted after the last restart.

It reads the ledger by SQL and the files as bytes: what it accounts for shall not speak for itself.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from dibmg_node.storage.archive import Archive
from tests.chaos.modality import Acknowledgment

FINAL_STATES: Final = frozenset({"DELIVERED", "EXCLUDED", "FAILED"})
_WITH_REASON: Final = frozenset({"EXCLUDED", "FAILED"})
_CHANGING: Final = frozenset(
    {"SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PredecessorDocumentsSequence"}
)
_TIMES: Final = frozenset({"DA", "TM", "DT"})


@dataclass(frozen=True)
class Expectation:
    """What must become of a study.

    Attributes:
        reports: Reports that the PACS shows of it in the end.
    """

    state: str
    reports: int = 1


@dataclass
class Account:
    """Faults by their kind, each with whom it concerns; all empty means that nothing is wrong."""

    missing: list[str] = field(default_factory=list)
    """Acknowledged instances that archive or ledger lack."""
    different: list[str] = field(default_factory=list)
    """Acknowledged instances whose archived bytes are others."""
    without_row: list[str] = field(default_factory=list)
    """Files of the archive that the ledger does not know."""
    without_file: list[str] = field(default_factory=list)
    """Rows of the ledger whose file is gone."""
    not_final: list[str] = field(default_factory=list)
    """Studies that are not in a final state, or still owe results."""
    wrong_state: list[str] = field(default_factory=list)
    """Studies in another final state than their kind ends in, but for those that kills made FAILED."""
    without_reason: list[str] = field(default_factory=list)
    """Studies that are EXCLUDED or FAILED and do not say why."""
    result_missing: list[str] = field(default_factory=list)
    """Results that the ledger calls stored and the PACS lacks."""
    result_different: list[str] = field(default_factory=list)
    """Results that the PACS holds with two contents, or with another than the archive."""
    result_unknown: list[str] = field(default_factory=list)
    """Results at the PACS that no ledger row tells of."""
    result_duplicate: list[str] = field(default_factory=list)
    """The same content at the PACS under two UIDs of one revision, or in two reports."""
    reports: list[str] = field(default_factory=list)
    """Studies of which the PACS shows another number of reports than expected."""
    left_over: list[str] = field(default_factory=list)
    """Temporary files."""
    outlived: list[str] = field(default_factory=list)
    """Processes that went on after their supervisor was killed."""

    def faults(self) -> dict[str, list[str]]:
        """The kinds that are not empty."""
        every = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: found for name, found in every.items() if found}


@dataclass(frozen=True)
class Ledger:
    """What the ledger says, read by SQL.

    Attributes:
        studies: (state, revision, reason, attempts) by Study Instance UID.
        instances: UIDs of stored instances.
        results: (study, revision, SHA-256, kind) by SOP Instance UID.
        stored: UIDs of results that the destination has.
        owing: UIDs of studies that still owe something.
    """

    studies: Mapping[str, tuple[str, int, str, int]]
    instances: Collection[str]
    results: Mapping[str, tuple[str, int, str, str]]
    stored: Collection[str]
    owing: Collection[str]

    def unsettled(self, study_uids: Iterable[str]) -> list[str]:
        """Which of some studies are not final, or still owe a result."""
        return [
            uid
            for uid in study_uids
            if uid not in self.studies or self.studies[uid][0] not in FINAL_STATES or uid in self.owing
        ]

    def killed_too_often(self, study_uid: str) -> bool:
        """Whether a study is FAILED because its analysis was ended three times."""
        state, _, reason, _ = self.studies[study_uid]
        return state == "FAILED" and reason.startswith("analysis failed after 3 attempts")


def read_ledger(path: Path) -> Ledger:
    """Read a ledger that a node may be writing."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        return Ledger(
            {
                uid: (s, r, why, n)
                for uid, s, r, why, n in rows(
                    "select study_uid, state, revision, reason, attempts from studies"
                )
            },
            {uid for (uid,) in rows("select sop_uid from instances")},
            {
                uid: (study, revision, digest, kind)
                for uid, study, revision, digest, kind in rows(
                    "select sop_uid, study_uid, revision, sha256, kind from results"
                )
            },
            {uid for (uid,) in rows("select result_uid from deliveries where state = 'STORED'")},
            {uid for (uid,) in rows("select distinct study_uid from deliveries where state = 'OWED'")},
        )


def account(
    data_dir: Path,
    acknowledged: Collection[Acknowledgment],
    expected: Mapping[str, Expectation],
    held: Mapping[str, Collection[bytes]],
) -> Account:
    """Hold what was answered with Success against what is there.

    Args:
        data_dir: Of the node.
        acknowledged: Each instance once.
        expected: By Study Instance UID.
        held: Part 10 files that the PACS holds, by SOP Instance UID: more than one where it got several
            contents under one UID.
    """
    ledger = read_ledger(data_dir / "ledger.sqlite")
    archive = Archive(data_dir / "archive")
    found = Account()
    _account_instances(found, ledger, archive, acknowledged)
    _account_studies(found, ledger, expected)
    _account_results(found, ledger, archive, expected, held)
    for pattern in ("spool*/*", "drafts/*", "**/*.link", "quarantine/*"):
        found.left_over += sorted(str(path.relative_to(archive.root)) for path in archive.root.glob(pattern))
    return found


def data_set_of(content: bytes) -> bytes:
    """A Part 10 file without preamble and file meta information. Source: PS3.10 7.1."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def _account_instances(
    found: Account, ledger: Ledger, archive: Archive, acknowledged: Collection[Acknowledgment]
) -> None:
    for one in acknowledged:
        path = archive.instance_path(one.sop_uid)
        if one.sop_uid not in ledger.instances or not path.exists():
            found.missing.append(one.sop_uid)
        elif sha256(data_set_of(path.read_bytes())).hexdigest() != one.sha256:
            found.different.append(one.sop_uid)
    known = {archive.instance_path(uid): uid for uid in ledger.instances}
    files = set((archive.root / "instances").glob("*/*"))
    found.without_row += sorted(path.name for path in files - set(known))
    found.without_file += sorted(known[path] for path in set(known) - files)


def _account_studies(found: Account, ledger: Ledger, expected: Mapping[str, Expectation]) -> None:
    found.not_final += ledger.unsettled(expected)
    for uid, wanted in expected.items():
        if uid not in ledger.studies:
            continue
        state, _, reason, _ = ledger.studies[uid]
        if state in FINAL_STATES and state != wanted.state and not ledger.killed_too_often(uid):
            found.wrong_state.append(f"{uid}: {state} {reason}")
        if state in _WITH_REASON and not reason:
            found.without_reason.append(uid)


def _account_results(
    found: Account,
    ledger: Ledger,
    archive: Archive,
    expected: Mapping[str, Expectation],
    held: Mapping[str, Collection[bytes]],
) -> None:
    for uid in ledger.stored:
        if uid not in held:
            found.result_missing.append(uid)
    same: defaultdict[str, list[str]] = defaultdict(list)
    reports: defaultdict[str, set[str]] = defaultdict(set)
    replaced: set[str] = set()
    for uid, contents in held.items():
        content = next(iter(contents))
        dataset = dcmread(BytesIO(content))
        if uid not in ledger.results:
            found.result_unknown.append(uid)
        elif len(contents) > 1 or not _is_archived(content, archive.result_path(uid)):
            found.result_different.append(uid)
        same[_content_key(content)].append(uid)
        if dataset.SOPClassUID == facts.MAMMOGRAPHY_CAD_SR:
            reports[str(dataset.StudyInstanceUID)].add(uid)
            replaced |= _predecessors(dataset)
    for uids in same.values():
        revisions = {ledger.results[uid][1] for uid in uids if uid in ledger.results}
        is_report = any(uid in reports_of for uid in uids for reports_of in reports.values())
        # a newer image may leave an overlay of another view as it was: both belong to a report of their own
        if len(uids) > 1 and (is_report or len(revisions) < len(uids)):
            found.result_duplicate.append(" = ".join(sorted(uids)))
    for study_uid, wanted in expected.items():
        shown = reports[study_uid] - replaced
        if len(shown) != wanted.reports:
            found.reports.append(f"{study_uid}: {len(shown)} shown, {len(reports[study_uid])} held")


def _is_archived(content: bytes, path: Path) -> bool:
    """Whether what the PACS got is what the node has written."""
    return path.exists() and data_set_of(path.read_bytes()) == data_set_of(content)


def _content_key(content: bytes) -> str:
    """A digest of what a result says, without that by which a repeat would differ."""
    plain = dcmread(BytesIO(content))
    pixels = plain.pop("PixelData", None)
    for element in list(plain):
        if element.keyword in _CHANGING or element.VR in _TIMES:
            del plain[element.tag]
    digest = sha256(plain.to_json().encode())
    if pixels is not None:
        digest.update(pixels.value)
    return digest.hexdigest()


def _predecessors(report: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
