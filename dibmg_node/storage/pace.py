"""How long the steps of studies took."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, Row, Select, and_, func, or_, select

from dibmg_node.domain.lifecycle import HELD, DeliveryState, Proof
from dibmg_node.storage.schema import analyses, deliveries, studies
from dibmg_node.storage.selftests import is_patients

_STUDIES: Final = 100
_DELIVERIES: Final = 200


@dataclass(frozen=True)
class Course:
    """How one analysis came about.

    Attributes:
        receiving_since: First image of its revision.
        last_instance_at: Last image.
        claimed_at: When a worker first took it; None where the study has moved on since, so that all three
            are another revision's.
        at: When its results were entered.
        seconds: Of the steps of reading and writing, as `result.json` has them.
    """

    outcome: str
    receiving_since: datetime
    last_instance_at: datetime
    claimed_at: datetime | None
    at: datetime
    seconds: Mapping[str, float]

    def steps(self) -> Iterator[tuple[str, float]]:
        """Seconds of receiving, waiting and analyzing, by the step's name."""
        if self.claimed_at is not None:
            yield "receive", (self.last_instance_at - self.receiving_since).total_seconds()
            yield "wait", (self.claimed_at - self.last_instance_at).total_seconds()
            yield "analysis", (self.at - self.claimed_at).total_seconds()


@dataclass(frozen=True)
class Sending:
    """Where a study's newest results stand with one destination.

    Attributes:
        attempts: Of the result that was tried most often.
        held: How many of the results the destination has.
    """

    destination: str
    revision: int
    results: int
    held: int
    attempts: int


class Pace:
    """Read-only questions about durations."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def steps(self) -> Mapping[str, Sequence[float]]:
        """Seconds of every step of the newest analyses, by the step's name.

        `receive` is from the first to the last image, `wait` from there to the claim, `analysis` from
        there to the results; the model's own steps have their names of `result.json`.
        """
        query = _courses().where(studies.c.analyzed_revision == analyses.c.revision)
        found: dict[str, list[float]] = defaultdict(list)
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(analyses.c.at.desc()).limit(_STUDIES)):
                course = _course(row)
                for step, seconds in course.steps():
                    found[step].append(seconds)
                for step, seconds in course.seconds.items():
                    found[f"model {step}"].append(seconds)
        return found

    def between(self, after: datetime, until: datetime) -> list[Course]:
        """Analyses that were entered after one moment and not after another, the oldest first."""
        query = _courses().where(analyses.c.at > after, analyses.c.at <= until)
        with self._engine.connect() as connection:
            return [_course(row) for row in connection.execute(query.order_by(analyses.c.at))]

    def course(self, study_uid: str, revision: int) -> Course | None:
        """One analysis; None where there is none of this revision."""
        query = _courses().where(analyses.c.study_uid == study_uid, analyses.c.revision == revision)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _course(row)

    def sending(self, study_uid: str, destination: str) -> Sending | None:
        """Where one study stands with one destination; None where it was never owed anything."""
        columns = deliveries.c
        held = columns.state.in_([state.value for state in HELD])
        query = (
            select(columns.revision, func.count(), func.count().filter(held), func.max(columns.attempts))
            .where(columns.study_uid == study_uid, columns.destination == destination)
            .group_by(columns.revision)
            .order_by(columns.revision.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Sending(destination, *row)

    def deliveries(self, destination: str) -> Sequence[float]:
        """Seconds from owed to stored of the newest results that a destination took."""
        settled: list[tuple[datetime, datetime]] = []
        with self._engine.connect() as connection:
            for state in HELD:
                # each state by itself, newest first as the index has it
                query = (
                    select(deliveries.c.settled_at, deliveries.c.owed_since)
                    .where(
                        deliveries.c.destination == destination,
                        deliveries.c.state == state.value,
                        deliveries.c.settled_at.is_not(None),
                    )
                    .order_by(deliveries.c.settled_at.desc())
                    .limit(_DELIVERIES)
                )
                settled += connection.execute(query).tuples()
        newest = sorted(settled, reverse=True)[:_DELIVERIES]
        return [(at - owed_since).total_seconds() for at, owed_since in newest]

    def delivered(self, destination: str, after: datetime, until: datetime) -> list[float]:
        """Seconds from owed to stored, or to proven where that is asked, of results of that time."""
        done = or_(
            deliveries.c.state == DeliveryState.PROVEN.value,
            and_(deliveries.c.state == DeliveryState.STORED.value, deliveries.c.proof == Proof.NONE.value),
        )
        query = select(deliveries.c.settled_at, deliveries.c.owed_since).where(
            deliveries.c.destination == destination,
            deliveries.c.state.in_([state.value for state in HELD]),
            deliveries.c.settled_at > after,
            deliveries.c.settled_at <= until,
            done,
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).tuples().all()
        return [(at - owed_since).total_seconds() for at, owed_since in rows]


def _courses() -> Select[Any]:
    columns = select(
        analyses.c.at,
        analyses.c.outcome,
        analyses.c.reading,
        analyses.c.revision,
        studies.c.revision.label("newest"),
        studies.c.receiving_since,
        studies.c.last_instance_at,
        studies.c.claimed_at,
    )
    return columns.join(studies, studies.c.study_uid == analyses.c.study_uid).where(is_patients())


def _course(row: Row[Any]) -> Course:
    seconds = json.loads(row.reading).get("seconds") or {}
    return Course(
        outcome=row.outcome,
        receiving_since=row.receiving_since,
        last_instance_at=row.last_instance_at,
        claimed_at=row.claimed_at if row.revision == row.newest else None,
        at=row.at,
        seconds={step: float(value) for step, value in seconds.items()},
    )
