"""The ledger's analyzing side: who may read a study, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from dibmg_node.domain.lifecycle import MAXIMUM_ATTEMPTS, StudyEvent, StudyState
from dibmg_node.domain.result import Predecessor, Result, ResultKind, Scores
from dibmg_node.domain.study import Laterality, Study, Verdict
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.delivery_rows import (
    close_if_delivered,
    enter_result,
    owe,
    owe_again,
    predecessors,
    supersede,
)
from dibmg_node.storage.facts_json import load_facts
from dibmg_node.storage.schema import analyses, instances, results, studies
from dibmg_node.storage.study_row import apply_event, lock_study, note, replace_verdicts


class Outcome(StrEnum):
    """How an analysis ended."""

    ANALYZED = "analyzed"
    EXCLUDED = "excluded"
    FAILED = "failed"


class Retry(StrEnum):
    """What a person wants to be tried again."""

    AUTOMATIC = "automatic"
    ANALYSIS = "analysis"
    DELIVERY = "delivery"


_EVENTS = {
    Outcome.ANALYZED: StudyEvent.REPORTED,
    Outcome.EXCLUDED: StudyEvent.EXCLUDED,
    Outcome.FAILED: StudyEvent.GIVEN_UP,
}


@dataclass(frozen=True)
class Claim:
    """The right of one worker to one revision of one study.

    Attributes:
        attempt: 1 for the first; more than MAXIMUM_ATTEMPTS means: do not read it again, report the failure.
        first_claimed_at: When this revision was first claimed: the time in its results.
        checksums: Size and CRC-32 of each instance, by SOP Instance UID, as intake counted them.
        predecessors: The study's newest report that a destination has, by kind and variant.
        purged: SHA-256 of results that destinations have and the archive no longer, by SOP Instance UID.
        reason: Why the last attempt failed, where there was one.
    """

    study: Study
    owner: str
    attempt: int
    first_claimed_at: datetime
    checksums: Mapping[str, tuple[int, int]]
    predecessors: Mapping[tuple[ResultKind, str], Predecessor]
    reason: str
    purged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """What one analysis leaves in the ledger.

    Attributes:
        reading: Scores, findings and exclusions, as `result.json` has them.
        results: With the UID of each one's series.
        owed: Names of the destinations that get each result, by its SOP Instance UID.
        sha256: Of each instance's data set, by SOP Instance UID.
        purged: SOP Instance UIDs of results that are not in the archive again, and are owed to nobody.
    """

    outcome: Outcome
    reason: str
    verdicts: Sequence[Verdict]
    reading: Mapping[str, object]
    scores: Scores | None = None
    results: Sequence[tuple[Result, str]] = ()
    owed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    purged: AbstractSet[str] = frozenset()


class Claims:
    """Hands out studies to workers, and takes what they found."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, study_uid: str, revision: int, owner: str, now: datetime, lease: timedelta) -> Claim:
        """Take one revision of one study.

        Raises:
            LedgerConflictError: It is not READY in this revision: someone else has it, or it moved on.
        """
        with self._engine.begin() as connection:
            row = lock_study(connection, study_uid)
            if row["revision"] != revision:
                raise LedgerConflictError(f"revision {revision} asked, the study is at {row['revision']}")
            first = row["claimed_at"] or now
            attempt = row["attempts"] + 1
            apply_event(
                connection,
                row,
                StudyEvent.CLAIMED,
                now,
                f"attempt {attempt} by {owner}",
                attempts=attempt,
                claimed_by=owner,
                claimed_at=first,
                lease_until=now + lease,
            )
            stored = connection.execute(
                select(instances)
                .where(instances.c.study_uid == study_uid, instances.c.purged_at.is_(None))
                .order_by(instances.c.sop_uid)
            ).mappings()
            purged = connection.execute(
                select(results.c.sop_uid, results.c.sha256).where(
                    results.c.study_uid == study_uid, results.c.purged_at.is_not(None)
                )
            ).all()
            rows = stored.all()
            return Claim(
                study=Study(study_uid, revision, tuple(load_facts(one["facts"]) for one in rows)),
                owner=owner,
                attempt=attempt,
                first_claimed_at=first,
                checksums={one["sop_uid"]: (one["size"], one["crc32"]) for one in rows},
                predecessors=predecessors(connection, study_uid),
                reason=row["reason"],
                purged={one.sop_uid: one.sha256 for one in purged},
            )

    def renew(self, claim: Claim, now: datetime, lease: timedelta) -> None:
        """Hold a claim longer.

        Raises:
            LedgerConflictError: The claim is lost; what is being computed will not be needed.
        """
        with self._engine.begin() as connection:
            _still_held(connection, claim)
            connection.execute(
                update(studies)
                .where(studies.c.study_uid == claim.study.study_uid)
                .values(lease_until=now + lease)
            )

    def commit(self, claim: Claim, analysis: Analysis, now: datetime) -> None:
        """Enter what an analysis found: verdicts, scores, results, and what is owed to whom.

        A result that is in the ledger already (same UID, hence same content) is not owed again to a
        destination that it was owed to before.

        Raises:
            LedgerConflictError: The claim is lost: another instance came, or the lease ran out.
        """
        study_uid = claim.study.study_uid
        with self._engine.begin() as connection:
            row = _still_held(connection, claim)
            replace_verdicts(connection, study_uid, analysis.verdicts)
            for sop_uid, digest in analysis.sha256.items():
                connection.execute(
                    update(instances).where(instances.c.sop_uid == sop_uid).values(sha256=digest)
                )
            key = and_(analyses.c.study_uid == study_uid, analyses.c.revision == claim.study.revision)
            connection.execute(delete(analyses).where(key))
            connection.execute(
                insert(analyses).values(
                    study_uid=study_uid,
                    revision=claim.study.revision,
                    at=now,
                    outcome=analysis.outcome.value,
                    reading=json.dumps(analysis.reading),
                )
            )
            supersede(connection, study_uid, [result.sop_uid for result, _ in analysis.results], now)
            for result, series_uid in analysis.results:
                purged = result.sop_uid in analysis.purged
                enter_result(connection, study_uid, claim.study.revision, result, series_uid, purged=purged)
                for destination in analysis.owed.get(result.sop_uid, ()):
                    owe(connection, study_uid, claim.study.revision, result.sop_uid, destination, now)
            breasts = analysis.scores.breasts if analysis.scores else {}
            apply_event(
                connection,
                row,
                _EVENTS[analysis.outcome],
                now,
                analysis.reason,
                reason=analysis.reason,
                claimed_by=None,
                lease_until=None,
                analyzed_revision=claim.study.revision,
                score_exam=analysis.scores.exam if analysis.scores else None,
                score_r=breasts.get(Laterality.RIGHT),
                score_l=breasts.get(Laterality.LEFT),
            )
            close_if_delivered(connection, study_uid, now)

    def give_back(self, claim: Claim, reason: str, now: datetime) -> None:
        """An attempt failed: the study is READY again, and the attempt counts.

        Raises:
            LedgerConflictError: The claim is lost.
        """
        with self._engine.begin() as connection:
            row = _still_held(connection, claim)
            _to_ready(connection, row, now, reason)

    def end_expired(self, now: datetime) -> int:
        """Make studies READY whose worker did not renew its claim; returns how many."""
        return self._end(now, studies.c.lease_until <= now, "the worker's lease ran out")

    def end_claims_of(self, owner: str, now: datetime) -> int:
        """Make studies READY that a worker held that is known to be gone; returns how many."""
        return self._end(now, studies.c.claimed_by == owner, "the worker ended in mid-analysis")

    def unpublished(self, now: datetime, published_before: datetime) -> list[tuple[str, int]]:
        """READY studies that nobody was told of, or long ago; they count as told now."""
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(studies.c.study_uid, studies.c.revision)
                .where(
                    studies.c.state == StudyState.READY.value,
                    or_(studies.c.published_at.is_(None), studies.c.published_at <= published_before),
                )
                .order_by(studies.c.last_instance_at)
                .limit(500)
            ).all()
            connection.execute(
                update(studies)
                .where(studies.c.study_uid.in_([row.study_uid for row in rows]))
                .values(published_at=now)
            )
            return [(row.study_uid, row.revision) for row in rows]

    def retry(self, study_uid: str, now: datetime, what: Retry = Retry.AUTOMATIC) -> Retry:
        """A person asks for another try.

        AUTOMATIC means: of the whole analysis, where that failed or every result is delivered; else of
        what the destinations refused or have not taken yet. DELIVERY sends everything again, also what
        a destination said that it has.

        Returns:
            What is tried again, DELIVERY or ANALYSIS.

        Raises:
            PermanentError: The ledger has no such study, it is being analyzed just now, it was purged, or it
                has no result to deliver.
        """
        with self._engine.begin() as connection:
            try:
                row = lock_study(connection, study_uid)
                if row["purged_at"]:
                    when = row["purged_at"].isoformat(timespec="seconds")
                    raise PermanentError(
                        f"study {study_uid} was purged at {when}; it is read again when its images come again"
                    )
                analysis_failed = row["state"] == StudyState.FAILED.value and row["score_exam"] is None
                if what is not Retry.ANALYSIS and not (what is Retry.AUTOMATIC and analysis_failed):
                    even_stored = what is Retry.DELIVERY
                    if owe_again(connection, study_uid, now, even_stored=even_stored):
                        _redeliver(connection, row, now)
                        return Retry.DELIVERY
                    if even_stored:
                        raise PermanentError(f"study {study_uid} has no result to deliver")
                apply_event(
                    connection, row, StudyEvent.RETRY_ASKED, now, attempts=0, published_at=None, due_at=None
                )
                return Retry.ANALYSIS
            except LedgerConflictError as error:
                raise PermanentError(str(error)) from error

    def _end(self, now: datetime, condition: ColumnElement[bool], reason: str) -> int:
        with self._engine.begin() as connection:
            rows = (
                connection.execute(
                    select(studies)
                    .where(studies.c.state == StudyState.ANALYZING.value, condition)
                    .with_for_update(skip_locked=True)
                )
                .mappings()
                .all()
            )
            for row in rows:
                _to_ready(connection, row, now, reason)
            return len(rows)


def _redeliver(connection: Connection, row: RowMapping, now: datetime) -> None:
    """A study whose scores stand owes results again; one without scores keeps its state."""
    if (
        row["state"] in (StudyState.FAILED.value, StudyState.DELIVERED.value)
        and row["score_exam"] is not None
    ):
        apply_event(connection, row, StudyEvent.REDELIVERY_ASKED, now, reason="")
    else:
        note(connection, row["study_uid"], StudyEvent.REDELIVERY_ASKED.value, now)


def _to_ready(connection: Connection, row: RowMapping, now: datetime, reason: str) -> None:
    apply_event(
        connection,
        row,
        StudyEvent.ATTEMPT_FAILED,
        now,
        f"attempt {row['attempts']} of {MAXIMUM_ATTEMPTS}: {reason}",
        reason=reason,
        claimed_by=None,
        lease_until=None,
        published_at=None,
    )


def _still_held(connection: Connection, claim: Claim) -> RowMapping:
    """The study's row, if the claim still holds: the state alone would not stop a stale worker."""
    row = lock_study(connection, claim.study.study_uid)
    held = (row["state"], row["revision"], row["claimed_by"], row["attempts"])
    if held != (StudyState.ANALYZING.value, claim.study.revision, claim.owner, claim.attempt):
        raise LedgerConflictError("the claim is lost: the study has moved on")
    return row
