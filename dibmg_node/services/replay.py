"""Replay: a study read again from the kept bytes, and what came of it held against what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dibmg_node.dicom.difference import Difference, differences
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import FindingCode, OverlayStyle, Result
from dibmg_node.services.images import StudyFiles
from dibmg_node.services.orders import Answered, Asked, Order, Report
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.writing import Wish, Writing, Written
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.records import Record

_MODEL: Final = {
    "sha256": "weights",
    "preprocessing_version": "preprocessing version",
    "runtime": "runtime",
    "precision": "precision",
}
_POINT: Final = {
    "name": "operating point",
    "version": "version of the operating points",
    "threshold": "threshold",
}
_MOST_TOLD: Final = 12


@dataclass(frozen=True)
class Comparison:
    """One result, recorded and made again.

    Attributes:
        same: Byte for byte; or but for the time of the reading that first wrote it, see `told`.
        told: Where it differs; one line each.
    """

    result: Result
    same: bool
    told: Sequence[str] = ()


@dataclass(frozen=True)
class Replay:
    """What came of reading a study again.

    Attributes:
        causes: What it was read with that differs from what was recorded.
        reading: What is told otherwise of images, scores and findings.
        results: Those that were recorded, and those that are new.
    """

    causes: Sequence[str]
    reading: Sequence[str]
    results: Sequence[Comparison]

    @property
    def same(self) -> bool:
        """Nothing differs."""
        return not self.reading and all(one.same for one in self.results)


@dataclass(frozen=True)
class Replayer:
    """Reads recorded studies again; enters nothing, keeps nothing, sends nothing."""

    archive: Archive
    sandbox: Sandbox[Asked, Answered]
    policy: ExamPolicy
    max_side: int
    style: OverlayStyle

    def replay(self, record: Record) -> Replay:
        """Read one study again.

        Raises:
            DibmgError: It cannot be read: a file is damaged, or the model process ended.
            OSError: A file is gone.
        """
        paths = {one.sop_uid: self.archive.instance(one.sop_uid) for one in record.study.instances}
        files = StudyFiles(record.study, paths, record.checksums)
        wishes = frozenset(_wish(one) for one in record.results if not one.withdraws)
        writing = Writing(wishes, record.first_claimed_at, self.max_side, self.style, record.delivered)
        try:
            report = self.sandbox.run(Order(files, self.policy, writing), lambda: None)
        finally:
            self.sandbox.stop()
        assert isinstance(report, Report)
        return Replay(
            list(_causes(record.reading, report.reading)),
            list(_of_reading(record, report)),
            list(self._of_results(record, report.results)),
        )

    def _of_results(self, record: Record, again: Sequence[Written]) -> Iterator[Comparison]:
        left = {one.result.sop_uid: one for one in again}
        for recorded in record.results:
            if recorded.withdraws:
                yield self._of_withdrawal(recorded)
                continue
            written = left.pop(recorded.sop_uid, None) or _of_its_place(recorded, left)
            if written is None:
                yield Comparison(recorded, False, ("is not written any more",))
            elif written.result.sha256 == recorded.sha256:
                yield Comparison(recorded, True)
            else:
                yield self._of_bytes(record, recorded, written)
        for written in left.values():
            yield Comparison(written.result, False, ("was not written then",))

    def _of_bytes(self, record: Record, recorded: Result, written: Written) -> Comparison:
        try:
            before = dcmread(self.archive.result(recorded.sop_uid))
        except (OSError, InvalidDicomError):
            told = "other bytes; where, cannot be told: the file that was sent is not in the archive any more"
            return Comparison(recorded, False, (told,))
        found = differences(before, dcmread(BytesIO(written.content)))
        if record.readings > 1 and found and all(one.is_time for one in found):
            told = "but for its time: the same result was first written by an earlier reading, and kept"
            return Comparison(recorded, True, (told,))
        return Comparison(recorded, False, _shortened(found))

    def _of_withdrawal(self, recorded: Result) -> Comparison:
        """It comes of what was sent, not of the images: it is held against its own file."""
        try:
            digest = sha256(self.archive.read_result(recorded.sop_uid)).hexdigest()
        except OSError:
            return Comparison(recorded, False, ("withdraws an earlier result; its file cannot be read",))
        same = digest == recorded.sha256
        return Comparison(
            recorded, same, () if same else ("withdraws an earlier result; its file was changed",)
        )


def _wish(result: Result) -> Wish:
    """What a destination asked for that got this result."""
    return Wish(result.kind, FindingCode(result.variant)) if result.variant else Wish(result.kind)


def _of_its_place(recorded: Result, left: dict[str, Written]) -> Written | None:
    """What is now written in its place: its UID is made of what it was read with, so that may be another."""
    for uid, one in left.items():
        place = one.result
        if (place.kind, place.variant, place.view) == (recorded.kind, recorded.variant, recorded.view):
            return left.pop(uid)
    return None


def _shortened(found: Sequence[Difference]) -> tuple[str, ...]:
    told = [str(one) for one in found[:_MOST_TOLD]] or ["the same attributes, encoded otherwise"]
    return tuple(told + [f"and {len(found) - _MOST_TOLD} more"] * (len(found) > _MOST_TOLD))


def _causes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for part, names in (("model", _MODEL), ("operating_point", _POINT)):
        one, other = before.get(part) or {}, after.get(part) or {}
        for key, name in names.items():
            if one and other and one.get(key) != other.get(key):
                yield f"{name}: recorded {one.get(key)}, now {other.get(key)}"


def _of_reading(record: Record, report: Report) -> Iterator[str]:
    before, after = record.reading, report.reading
    codes = {verdict.sop_uid: verdict.code for verdict in report.selection.verdicts}
    for sop_uid in sorted({*record.codes, *codes}):
        one, other = record.codes.get(sop_uid, "none"), codes.get(sop_uid, "none")
        if one != other:
            yield f"verdict of image {sop_uid}: recorded {one}, now {other}"
    scores, again = _flat(before.get("scores") or {}), _flat(after.get("scores") or {})
    for name in sorted({*scores, *again}):
        if scores.get(name) != again.get(name):
            yield f"score {name}: recorded {scores.get(name)}, now {again.get(name)}"
    found, refound = before.get("findings") or [], after.get("findings") or []
    if len(found) != len(refound):
        yield f"findings: recorded {len(found)}, now {len(refound)}"
    for one, other in zip(found, refound, strict=False):
        for key in ("view", "score", "center", "outline"):
            if one.get(key) != other.get(key):
                yield f"finding {one.get('number')}: another {key}"


def _flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in scores.items() if name != "views"} | dict(
        scores.get("views") or {}
    )
