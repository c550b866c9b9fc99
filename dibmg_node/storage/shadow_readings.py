"""The shadow model in the ledger: exams that it has still to read, and what it found in the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from dibmg_node.domain.device import Device
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.pause import Part
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.engine import reading
from dibmg_node.storage.pauses import find_pause
from dibmg_node.storage.schema import score_series, shadow_due, shadow_readings, studies
from dibmg_node.storage.shadow_facts import (
    FirstReading,
    ReadTwice,
    ShadowBacklog,
    ShadowClaim,
    ShadowOutcome,
    ShadowReading,
)
from dibmg_node.storage.stored_images import stored_images
from dibmg_node.storage.study_row import breast_scores, lock_study

_MOST_COUNTED: Final = 10_000
"""A status must not wait for a backlog that has grown beyond this."""


class ShadowReadings:
    """Hands out exams to the shadow model, takes what it found, and gives it to who compares."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def claim(self, now: datetime, lease: timedelta) -> ShadowClaim | None:
        """The exam that waits longest; None: none waits, or others come first.

        None is handed out while a study waits for the first model, or while analysis is paused.
        """
        with self._reading.connect() as connection:
            # asked every second: what only reads keeps no writer waiting
            if not connection.execute(_next(now)).first() or connection.scalar(_others_first()):
                return None
        with self._engine.begin() as connection:
            if find_pause(connection, Part.ANALYSIS):
                return None
            due = _take(connection, now)
            if due is None:
                return None
            study_uid, attempt = due["study_uid"], due["attempts"] + 1
            connection.execute(
                update(shadow_due)
                .where(shadow_due.c.study_uid == study_uid)
                .values(attempts=attempt, lease_until=now + lease)
            )
            study, checksums = stored_images(connection, study_uid, due["revision"])
            return ShadowClaim(study, attempt, checksums)

    def renew(self, claim: ShadowClaim, now: datetime, lease: timedelta) -> None:
        """Hold a claim longer.

        Raises:
            LedgerConflictError: It is lost: the study was read anew, or somebody else has it.
        """
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(shadow_due).where(_of(claim)).values(lease_until=now + lease)
            ).rowcount
            if not changed:
                raise LedgerConflictError("the claim of the shadow model is lost")

    def give_back(self, claim: ShadowClaim) -> None:
        """The exam waits again, as if it had not been handed out."""
        with self._engine.begin() as connection:
            free = {"attempts": claim.attempt - 1, "lease_until": None}
            connection.execute(update(shadow_due).where(_of(claim)).values(**free))

    def commit(self, claim: ShadowClaim, weights_sha256: str, found: ShadowReading, now: datetime) -> None:
        """Enter what was found, beside what the first model found.

        Raises:
            LedgerConflictError: The claim is lost.
        """
        with self._engine.begin() as connection:
            # in the order of an analysis, which may enter the study again at this time
            lock_study(connection, claim.study.study_uid)
            due = (
                connection.execute(select(shadow_due).where(_of(claim)).with_for_update())
                .mappings()
                .one_or_none()
            )
            if due is None:
                raise LedgerConflictError("the claim of the shadow model is lost")
            study_uid = claim.study.study_uid
            connection.execute(delete(shadow_due).where(_of(claim)))
            key = and_(
                shadow_readings.c.study_uid == study_uid, shadow_readings.c.weights_sha256 == weights_sha256
            )
            connection.execute(delete(shadow_readings).where(key))
            connection.execute(
                insert(shadow_readings).values(
                    study_uid=study_uid,
                    weights_sha256=weights_sha256,
                    revision=due["revision"],
                    series=due["series"],
                    first_score=due["score"],
                    first_threshold=due["threshold"],
                    first_findings=due["findings"],
                    first_seconds=due["seconds"],
                    at=now,
                    outcome=found.outcome.value,
                    reason=found.reason,
                    score=found.score,
                    threshold=found.threshold,
                    findings=found.findings,
                    seconds=found.seconds,
                    reading=json.dumps(found.reading or {}),
                )
            )

    def backlog(self, weights_sha256: str, since: datetime) -> ShadowBacklog:
        """How far a shadow model is, and what came of what it read since some time."""
        waiting = select(shadow_due.c.study_uid).limit(_MOST_COUNTED).subquery()
        mine = shadow_readings.c.weights_sha256 == weights_sha256
        counts = (
            select(shadow_readings.c.outcome, func.count())
            .where(mine, shadow_readings.c.outcome.in_(list(ShadowOutcome)), shadow_readings.c.at >= since)
            .group_by(shadow_readings.c.outcome)
        )
        newest = (
            select(shadow_readings.c.reason)
            .where(mine, shadow_readings.c.outcome == ShadowOutcome.FAILED, shadow_readings.c.at >= since)
            .order_by(shadow_readings.c.at.desc())
            .limit(1)
        )
        with self._reading.connect() as connection:
            by_outcome: dict[str, int] = dict(connection.execute(counts).tuples().all())
            return ShadowBacklog(
                connection.execute(select(func.count()).select_from(waiting)).scalar_one(),
                connection.execute(select(func.min(shadow_due.c.since))).scalar_one(),
                by_outcome.get(ShadowOutcome.READ, 0),
                by_outcome.get(ShadowOutcome.EXCLUDED, 0),
                by_outcome.get(ShadowOutcome.FAILED, 0),
                connection.execute(newest).scalar_one_or_none() or "",
            )

    def newest_weights(self) -> str | None:
        """SHA-256 of the weights that were the shadow last; None: there was none."""
        query = select(shadow_readings.c.weights_sha256, func.max(shadow_readings.c.at).label("last"))
        query = query.group_by(shadow_readings.c.weights_sha256).order_by(literal_column("last").desc())
        with self._reading.connect() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else str(row[0])

    def counts(self, weights_sha256: str, since: datetime | None) -> dict[ShadowOutcome, int]:
        """How many readings ended how."""
        query = select(shadow_readings.c.outcome, func.count()).where(*_compared(weights_sha256, since))
        with self._reading.connect() as connection:
            found: dict[str, int] = dict(
                connection.execute(query.group_by(shadow_readings.c.outcome)).tuples().all()
            )
        return {one: found.get(one.value, 0) for one in ShadowOutcome}

    def read_twice(self, weights_sha256: str, since: datetime | None) -> Sequence[ReadTwice]:
        """Every exam that both models read, in the order in which the shadow did.

        Args:
            weights_sha256: Of the shadow.
            since: Those that it read at or after this; None: all.
        """
        query = (
            select(
                shadow_readings,
                score_series.c.weights_sha256.label("first_weights"),
                score_series,
                studies.c.score_r,
                studies.c.score_l,
            )
            .join(score_series, score_series.c.series == shadow_readings.c.series)
            .join(studies, studies.c.study_uid == shadow_readings.c.study_uid)
            .where(*_compared(weights_sha256, since), shadow_readings.c.outcome == ShadowOutcome.READ)
            .order_by(shadow_readings.c.at, shadow_readings.c.study_uid)
        )
        with self._reading.connect() as connection:
            return [
                ReadTwice(
                    row["study_uid"],
                    row["first_weights"],
                    Device(row["manufacturer"], row["model"], row["software"]),
                    FirstReading(
                        row["series"],
                        row["first_score"],
                        row["first_threshold"],
                        row["first_findings"],
                        row["first_seconds"],
                    ),
                    row["score"],
                    row["threshold"],
                    row["findings"],
                    row["seconds"],
                    breast_scores(row).keys(),
                )
                for row in connection.execute(query).mappings()
            ]


def enter_due(
    connection: Connection, study_uid: str, revision: int, first: FirstReading | None, now: datetime
) -> None:
    """Have the shadow model read an exam that the first one has read.

    None: it is to be left alone, and what it found goes: what it stood beside holds no longer.
    """
    connection.execute(delete(shadow_due).where(shadow_due.c.study_uid == study_uid))
    if first is None:
        connection.execute(delete(shadow_readings).where(shadow_readings.c.study_uid == study_uid))
    else:
        connection.execute(
            insert(shadow_due).values(
                study_uid=study_uid,
                revision=revision,
                series=first.series,
                score=first.score,
                threshold=first.threshold,
                findings=first.findings,
                seconds=first.seconds,
                since=now,
            )
        )


def _of(claim: ShadowClaim) -> ColumnElement[bool]:
    return and_(
        shadow_due.c.study_uid == claim.study.study_uid,
        shadow_due.c.revision == claim.study.revision,
        shadow_due.c.attempts == claim.attempt,
    )


def _compared(weights_sha256: str, since: datetime | None) -> list[ColumnElement[bool]]:
    found = [shadow_readings.c.weights_sha256 == weights_sha256]
    return found if since is None else [*found, shadow_readings.c.at >= since]


def _next(now: datetime) -> Select[Any]:
    free = or_(shadow_due.c.lease_until.is_(None), shadow_due.c.lease_until <= now)
    return select(shadow_due).where(free).order_by(shadow_due.c.since).limit(1)


def _take(connection: Connection, now: datetime) -> RowMapping | None:
    """What waits longest; what waits in vain, because its study has moved on since, is removed."""
    while True:
        due = connection.execute(_next(now).with_for_update(skip_locked=True)).mappings().one_or_none()
        if due is None:
            return None
        mine = studies.c.study_uid == due["study_uid"]
        if connection.scalar(select(studies.c.revision).where(mine)) == due["revision"]:
            return due
        connection.execute(delete(shadow_due).where(shadow_due.c.study_uid == due["study_uid"]))


def _others_first() -> Any:
    # in the words of the partial index: a parameter would not match it
    return select(exists().where(studies.c.state == literal_column(f"'{StudyState.READY.value}'")))
