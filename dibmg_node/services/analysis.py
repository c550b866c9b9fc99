"""Analysis of one study: claim it, have it read in the sandbox, enter what was found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from dibmg_node.domain.counted import counted
from dibmg_node.domain.device import device_of
from dibmg_node.domain.exam import select_exam
from dibmg_node.domain.lifecycle import MAXIMUM_ATTEMPTS
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import Delivered, FindingCode, OverlayStyle, Result, ResultKind
from dibmg_node.domain.selftest import SELFTEST_DESTINATION
from dibmg_node.errors import LedgerConflictError, PermanentError, RejectedError, RetryableError
from dibmg_node.services.images import Shown, StudyFiles
from dibmg_node.services.orders import Answered, Asked, Order, Report
from dibmg_node.services.reading import Reading, excluded_by_header, read_headers
from dibmg_node.services.reading_json import reading_json
from dibmg_node.services.renewal import renewed
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.withdrawal import Earlier, Standing, withdrawals
from dibmg_node.services.writing import Wish, Writing, Written, write_results
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.claims import LONGEST_PAUSE, Claim, Claims
from dibmg_node.storage.exam_scores import ScoredExam
from dibmg_node.storage.holds import Hold

_log = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=20)
"""A claim that is not renewed for this long belongs to a dead worker."""
_FIRST_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True)
class Subscriber:
    """A destination, as far as analysis knows it: its name and what it wants."""

    name: str
    wishes: tuple[Wish, ...]
    answer_unread: bool


@dataclass(frozen=True)
class Analyst:
    """One worker's analyses.

    Attributes:
        subscribers: The destinations.
        selftest: The PACS of self-tests, which alone gets their results.
        shadowed: A shadow model reads the same exams afterwards.
        hold: Of a result that is written again; None: the archive's own.
        archive_identity: What the ledger knows the archive by; None: by nothing.
    """

    name: str
    archive: Archive
    claims: Claims
    sandbox: Sandbox[Asked, Answered]
    policy: ExamPolicy
    subscribers: Sequence[Subscriber]
    max_side: int
    now: Callable[[], datetime]
    style: OverlayStyle = OverlayStyle.COLOR
    selftest: Subscriber = Subscriber(
        SELFTEST_DESTINATION, (Wish(ResultKind.CAD_SR), Wish(ResultKind.OVERLAY)), answer_unread=True
    )
    shadowed: bool = False
    hold: Hold | None = None
    archive_identity: str | None = None
    renew_every: timedelta = LEASE / 5

    @property
    def shown(self) -> Shown:
        """What results of a patient's study have to have kept of each image."""
        return self._written_for(self.subscribers, self.now()).shown

    def analyze(self, study_uid: str, revision: int) -> Sequence[str]:
        """Analyze one revision of one study, if nobody else does.

        Returns:
            Names of the destinations that are owed something now.
        """
        extra = {"study_uid": study_uid, "revision": revision}
        try:
            claim = self.claims.claim(study_uid, revision, self.name, self.now(), LEASE)
        except LedgerConflictError as error:
            _log.info("message dropped", extra={**extra, "reason": str(error)})
            return ()
        _log.info("study claimed", extra={**extra, "attempt": claim.attempt})
        try:
            with self._held(claim):
                return self._analyze(claim)
        except LedgerConflictError as error:
            _log.info("work dropped", extra={**extra, "reason": str(error)})
            return ()

    def _held(self, claim: Claim) -> AbstractContextManager[None]:
        """Keep a claim for as long as files take that come from far, or go there.

        Not beside a folder: one that hangs has no time-out, and somebody else may see it in order.
        """
        if not self.archive.is_far:
            return nullcontext()
        extra = {"study_uid": claim.study.study_uid, "revision": claim.study.revision}
        return renewed(lambda: self.claims.renew(claim, self.now(), LEASE), self.renew_every, extra)

    def _analyze(self, claim: Claim) -> Sequence[str]:
        if claim.attempt > MAXIMUM_ATTEMPTS:
            return self._give_up(claim, claim.reason)
        try:
            paths = {one.sop_uid: self.archive.instance(one.sop_uid) for one in claim.study.instances}
            files = StudyFiles(claim.study, paths, claim.checksums)
            report = self.sandbox.run(
                Order(files, self.policy, self._writing(claim)),
                lambda: self.claims.renew(claim, self.now(), LEASE),
            )
            assert isinstance(report, Report)
            outcome = Outcome.ANALYZED if report.scores else Outcome.EXCLUDED
            return self._commit(claim, outcome, report.selection.reason, report)
        except (RejectedError, PermanentError) as error:
            return self._give_up(claim, str(error))
        except (RetryableError, OSError) as error:
            reason = _reason(error)
            if not self._has_archive:
                return self._put_off(claim, f"the archive is away: {reason}")
            extra = {"study_uid": claim.study.study_uid, "attempt": claim.attempt, "reason": reason}
            _log.warning("attempt failed", extra=extra)
            if claim.attempt >= MAXIMUM_ATTEMPTS:
                return self._give_up(claim, reason)
            self.claims.give_back(claim, reason, self.now())
            return ()

    def _give_up(self, claim: Claim, failure: str) -> Sequence[str]:
        """The study is FAILED; its report says so, made from the headers that can be read.

        Where the report cannot be written now, that is done later: without it no destination hears of it.
        """
        if not self._has_archive:
            return self._put_off(claim, failure)
        headers = read_headers(self._files_left(claim))
        study, today = claim.study, claim.first_claimed_at.date()
        excluded = excluded_by_header(headers, study.instances)
        selection = select_exam(study.study_uid, study.instances, self.policy, excluded, today)
        reading = Reading(study.study_uid, selection, headers, {}, None, {})
        attempts = min(claim.attempt, MAXIMUM_ATTEMPTS)
        reason = f"analysis failed after {counted(attempts, 'attempt')}: {failure}"
        written = self._report_failure(claim, reading, reason)
        report = Report(selection.unread(reason), None, reading_json(reading), written, {})
        _log.error("study failed", extra={"study_uid": claim.study.study_uid, "reason": failure})
        try:
            return self._commit(claim, Outcome.FAILED, reason, report)
        except (RetryableError, OSError) as error:
            extra = {"study_uid": claim.study.study_uid, "reason": _reason(error)}
            _log.warning("failure not entered", extra=extra)
            return self._put_off(claim, failure)

    @property
    def _has_archive(self) -> bool:
        return self.archive.is_there(self.archive_identity)

    def _put_off(self, claim: Claim, reason: str) -> Sequence[str]:
        """Try again after a pause: half of the time that went by so far, within limits."""
        now = self.now()
        pause = min(max((now - claim.first_claimed_at) / 2, _FIRST_PAUSE), LONGEST_PAUSE)
        self.claims.put_off(claim, reason, now, pause)
        extra = {"study_uid": claim.study.study_uid, "seconds": pause.total_seconds(), "reason": reason}
        _log.warning("study put off", extra=extra)
        return ()

    def _report_failure(self, claim: Claim, reading: Reading, reason: str) -> Sequence[Written]:
        try:
            return list(write_results(reading, self._writing(claim), reason))
        # the header that broke the analysis may break its report too: the study is FAILED without one
        except Exception as error:  # noqa: BLE001
            extra = {"study_uid": claim.study.study_uid, "error": type(error).__name__}
            _log.error("no report of the failure could be written", exc_info=error, extra=extra)
            return []

    def _commit(self, claim: Claim, outcome: Outcome, reason: str, report: Report) -> Sequence[str]:
        purged = {one.result.sop_uid for one in report.results if _is_lost(one, claim)}
        owed = self._owed(
            claim, [one.result for one in report.results if one.result.sop_uid not in purged], outcome
        )
        all_written = list(report.results)
        for withdrawal, destinations in self._withdrawals(claim, report, reason, owed):
            all_written.append(withdrawal)
            owed[withdrawal.result.sop_uid] = destinations
        results = []
        for written in all_written:
            uid = written.result.sop_uid
            digest = claim.purged[uid] if uid in purged else self._put(claim, written)
            # a result is written once: where other bytes were there already, those are the result
            results.append((replace(written.result, sha256=digest), written.series_uid))
        self.claims.commit(
            claim,
            Analysis(
                outcome=outcome,
                reason=reason,
                verdicts=report.selection.verdicts,
                reading=report.reading,
                scores=report.scores,
                results=results,
                owed=owed,
                sha256=report.sha256,
                purged=purged,
                scored=None if claim.is_selftest else _scored(report),
                shadowed=self.shadowed,
            ),
            self.now(),
        )
        extra = {"study_uid": claim.study.study_uid, "outcome": outcome.value, "results": len(results)}
        _log.info("analysis entered", extra=extra)
        return sorted({name for names in owed.values() for name in names})

    def _put(self, claim: Claim, written: Written) -> str:
        """Write a result; returns the SHA-256 of what is in the archive under its UID now."""
        uid = written.result.sop_uid
        if uid not in claim.purged:
            return self.archive.put_result(uid, written.content)
        # its file may be there still, and about to go
        with (self.hold or self.archive.held)(uid):
            self.claims.spare(uid)
            return self.archive.put_result(uid, written.content)

    def _owed(self, claim: Claim, results: Sequence[Result], outcome: Outcome) -> dict[str, list[str]]:
        """Who gets which result.

        Who has a report of the study gets the one that says that it is not read any more, wanted or not.
        """
        told = {one.destination for one in claim.delivered if one.kind is ResultKind.CAD_SR}
        return {
            result.sop_uid: [
                subscriber.name
                for subscriber in self._subscribers(claim)
                if (outcome is Outcome.ANALYZED or subscriber.answer_unread or subscriber.name in told)
                and any(w.kind is result.kind and w.variant == result.variant for w in subscriber.wishes)
            ]
            for result in results
        }

    def _withdrawals(
        self, claim: Claim, report: Report, reason: str, owed: Mapping[str, Sequence[str]]
    ) -> Iterator[tuple[Written, list[str]]]:
        results = [one.result for one in report.results]
        standing = Standing(claim.study.instances, report.selection.exam, results, owed, reason)
        names = {subscriber.name for subscriber in self._subscribers(claim)}
        earlier = Earlier(self.archive, self.archive_identity, claim.attempt >= MAXIMUM_ATTEMPTS)
        return withdrawals(claim.delivered, standing, names, earlier, claim.first_claimed_at)

    def _subscribers(self, claim: Claim) -> Sequence[Subscriber]:
        """Who gets results of a study; those of a self-test go to nobody else."""
        return (self.selftest,) if claim.is_selftest else self.subscribers

    def _files_left(self, claim: Claim) -> StudyFiles:
        """The files of a study that can still be had."""
        paths = {}
        for one in claim.study.instances:
            with suppress(OSError):  # it may be the failure that is to be reported
                paths[one.sop_uid] = self.archive.instance(one.sop_uid)
        return StudyFiles(claim.study, paths)

    def _writing(self, claim: Claim) -> Writing:
        return self._written_for(self._subscribers(claim), claim.first_claimed_at, claim.delivered)

    def _written_for(
        self, subscribers: Sequence[Subscriber], now: datetime, delivered: Sequence[Delivered] = ()
    ) -> Writing:
        wishes = {wish for subscriber in subscribers for wish in subscriber.wishes}
        if not wishes:
            wishes = {Wish(ResultKind.CAD_SR, FindingCode.DENSITY), Wish(ResultKind.OVERLAY)}
        return Writing(frozenset(wishes), now, self.max_side, self.style, delivered)


def _scored(report: Report) -> ScoredExam | None:
    """What is kept of an exam to watch for drift; None where nothing was read."""
    exam, scores = report.selection.exam, report.scores
    if exam is None or scores is None:
        return None
    model, point = report.reading["model"], report.reading["operating_point"]
    device = device_of(exam.views.values())
    return ScoredExam(device, model["sha256"], scores.exam, point["threshold"])


def _reason(error: Exception) -> str:
    """An error in words; one of the system without its path."""
    return f"disk: {error.strerror}" if isinstance(error, OSError) else str(error)


def _is_lost(written: Written, claim: Claim) -> bool:
    """Whether destinations have other bytes under this UID, that nobody can write again."""
    digest = claim.purged.get(written.result.sop_uid)
    return digest is not None and digest != sha256(written.content).hexdigest()
