"""The ledger's analyzing side: who may read a study, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    and_,
    literal_column,
    or_,
    select,
    update,
)

from dibmg_node.domain.lifecycle import MAXIMUM_ATTEMPTS, StudyEvent, StudyState
from dibmg_node.domain.pause import Part
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import Delivered
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import Study
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.analysis_rows import Analysis, enter_analysis
from dibmg_node.storage.delivery_rows import delivered
from dibmg_node.storage.pauses import find_pause
from dibmg_node.storage.removals import spare_result
from dibmg_node.storage.schema import results, studies
from dibmg_node.storage.stored_images import stored_images
from dibmg_node.storage.study_row import apply_event, lock_study

LONGEST_PAUSE: Final = timedelta(minutes=10)
"""Nothing is put off for longer."""


@dataclass(frozen=True)
class Claim:
    """The right of one worker to one revision of one study.

    Attributes:
        attempt: 1 for the first; more than MAXIMUM_ATTEMPTS means: do not read it again, report the failure.
        first_claimed_at: When this revision was first claimed: the time in its results.
        checksums: Size and CRC-32 of each instance, by SOP Instance UID, as intake counted them.
        delivered: Every result of the study that a destination has or is being sent, oldest first.
        reason: Why the last attempt failed, where there was one.
        purged: SHA-256 of results that destinations have and the archive no longer, by SOP Instance UID.
        is_selftest: Its results go to the self-test's own PACS, and nowhere else.
    """

    study: Study
    owner: str
    attempt: int
    first_claimed_at: datetime
    checksums: Mapping[str, tuple[int, int]]
    delivered: Sequence[Delivered]
    reason: str
    purged: Mapping[str, str] = field(default_factory=dict)
    is_selftest: bool = False


class Claims:
    """Hands out studies to workers, and takes what they found."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, study_uid: str, revision: int, owner: str, now: datetime, lease: timedelta) -> Claim:
        """Take one revision of one study.

        Raises:
            LedgerConflictError: It is not READY in this revision: someone else has it, or it moved on; or
                analysis is paused.
        """
        with self._engine.begin() as connection:
            if find_pause(connection, Part.ANALYSIS):
                raise LedgerConflictError("analysis is paused")
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
                due_at=None,
            )
            study, checksums = stored_images(connection, study_uid, revision)
            purged = connection.execute(
                select(results.c.sop_uid, results.c.sha256).where(
                    results.c.study_uid == study_uid, results.c.purged_at.is_not(None)
                )
            ).all()
            return Claim(
                study=study,
                owner=owner,
                attempt=attempt,
                first_claimed_at=first,
                checksums=checksums,
                delivered=delivered(connection, study_uid),
                reason=row["reason"],
                purged={one.sop_uid: one.sha256 for one in purged},
                is_selftest=row["sender"] == SELFTEST_AET,
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
        with self._engine.begin() as connection:
            row = _still_held(connection, claim)
            enter_analysis(connection, row, analysis, now)

    def spare(self, sop_uid: str) -> None:
        """Have the file of a purged result stay, which is about to be written again; who does so holds it."""
        with self._engine.begin() as connection:
            spare_result(connection, sop_uid)

    def give_back(self, claim: Claim, reason: str, now: datetime) -> None:
        """An attempt failed: the study is READY again, and the attempt counts.

        Raises:
            LedgerConflictError: The claim is lost.
        """
        with self._engine.begin() as connection:
            row = _still_held(connection, claim)
            _fail(connection, row, now, reason)

    def put_off(self, claim: Claim, reason: str, now: datetime, pause: timedelta) -> None:
        """Nothing could be tried: the study is READY again after a pause, and the attempt does not count.

        Args:
            claim: On the study.
            reason: Why, in words.
            now: The time.
            pause: At most LONGEST_PAUSE.

        Raises:
            LedgerConflictError: The claim is lost.
        """
        with self._engine.begin() as connection:
            row = _still_held(connection, claim)
            _to_ready(
                connection,
                row,
                StudyEvent.PUT_OFF,
                now,
                reason,
                reason,
                attempts=claim.attempt - 1,
                due_at=now + pause,
            )

    def end_expired(self, now: datetime) -> int:
        """Make studies READY whose worker did not renew its claim; returns how many."""
        return self._end(now, studies.c.lease_until <= now, "the worker's lease ran out")

    def end_claims_of(self, owner: str, now: datetime) -> int:
        """Make studies READY that a worker held that is known to be gone; returns how many."""
        return self._end(now, studies.c.claimed_by == owner, "the worker ended in mid-analysis")

    def unpublished(
        self, now: datetime, published_before: datetime, lost: Collection[Priority] = tuple(Priority)
    ) -> list[tuple[str, int, Priority]]:
        """READY studies that nobody was told of, or long ago; they count as told now.

        What is put off is left out until then, or where that lies too far ahead: the clock was set back.
        The most urgent first, then those that wait longest; none while analysis is paused.

        Args:
            now: The time.
            published_before: This is long ago.
            lost: Priorities of which a message of long ago counts as lost.
        """
        long_ago = and_(
            studies.c.published_at <= published_before,
            studies.c.priority.in_([one.rank for one in lost]),
        )
        with self._engine.begin() as connection:
            if find_pause(connection, Part.ANALYSIS):
                return []
            rows = connection.execute(
                select(studies.c.study_uid, studies.c.revision, studies.c.priority)
                .where(
                    # in the words of the partial index: a parameter would not match it
                    studies.c.state == literal_column(f"'{StudyState.READY.value}'"),
                    or_(studies.c.published_at.is_(None), long_ago),
                    or_(
                        studies.c.due_at.is_(None),
                        studies.c.due_at <= now,
                        studies.c.due_at > now + 2 * LONGEST_PAUSE,  # clocks of hosts differ a little
                    ),
                )
                .order_by(studies.c.priority, studies.c.last_instance_at)
                .limit(500)
            ).all()
            connection.execute(
                update(studies)
                .where(studies.c.study_uid.in_([row.study_uid for row in rows]))
                .values(published_at=now)
            )
            return [(row.study_uid, row.revision, Priority.of_rank(row.priority)) for row in rows]

    def unpublish(self, study_uids: Sequence[str]) -> None:
        """Nobody was told of these after all."""
        with self._engine.begin() as connection:
            connection.execute(
                update(studies).where(studies.c.study_uid.in_(study_uids)).values(published_at=None)
            )

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
                _fail(connection, row, now, reason)
            return len(rows)


def _fail(connection: Connection, row: RowMapping, now: datetime, reason: str) -> None:
    told = f"attempt {row['attempts']} of {MAXIMUM_ATTEMPTS}: {reason}"
    _to_ready(connection, row, StudyEvent.ATTEMPT_FAILED, now, told, reason)


def _to_ready(
    connection: Connection,
    row: RowMapping,
    event: StudyEvent,
    now: datetime,
    detail: str,
    reason: str,
    **changes: Any,
) -> None:
    apply_event(
        connection,
        row,
        event,
        now,
        detail,
        reason=reason,
        claimed_by=None,
        lease_until=None,
        published_at=None,
        **changes,
    )


def _still_held(connection: Connection, claim: Claim) -> RowMapping:
    """The study's row, if the claim still holds: the state alone would not stop a stale worker."""
    row = lock_study(connection, claim.study.study_uid)
    held = (row["state"], row["revision"], row["claimed_by"], row["attempts"])
    if held != (StudyState.ANALYZING.value, claim.study.revision, claim.owner, claim.attempt):
        raise LedgerConflictError("the claim is lost: the study has moved on")
    return row
