"""The ledger's delivering side: which result is owed to which destination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from dibmg_node.domain.lifecycle import DeliveryState, Proof, StudyState, retry_delay
from dibmg_node.domain.pause import Part
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import REPORTS
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.delivery_rows import is_free, is_owed, of_study
from dibmg_node.storage.distinct import distinct
from dibmg_node.storage.engine import reading
from dibmg_node.storage.giving_up import let_go
from dibmg_node.storage.owing import close_if_delivered
from dibmg_node.storage.pauses import find_pause, paused_destinations
from dibmg_node.storage.reach import NOT_SENT
from dibmg_node.storage.schema import Instant, deliveries, results, studies
from dibmg_node.storage.settlement import UNSENT, Settlement, give_way, hasten, postpone, settle_one
from dibmg_node.storage.study_row import lock_study, note

_MOST_RESULTS: Final = 150
"""That are told of at once, of one destination: a long pause that is over must not hold up a sweep."""
_MOST_COMPARED: Final = 3000
"""Results of one destination among which STAT ones are looked for: to look among all might take too long."""
_BEING_READ = select(studies.c.study_uid).where(studies.c.state == StudyState.ANALYZING.value)


@dataclass(frozen=True)
class Owed:
    """One result owed to one destination."""

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str
    kind: str
    in_doubt: bool = False
    """It was sent before without an answer: the destination may have it."""


class Outbox:
    """Hands out what is owed, and takes what became of it.

    What a study owes one destination is in the hands of one worker at a time, on whichever machine: two would
    send it twice, and what an older reading said after what a newer one says.
    """

    def __init__(self, engine: Engine, jitter: Callable[[], float]) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._jitter = jitter

    def due(self, now: datetime, published_before: datetime) -> list[tuple[str, int, str]]:
        """(study, revision, destination) with something owed that is due and nobody was told of lately.

        Of each destination that is not paused, a part of it at a time, the most urgent studies of that first.
        """
        with self._engine.begin() as connection:
            paused = paused_destinations(connection)
            names = distinct(connection, deliveries.c.destination, is_owed())
            # one by one: what is owed to a paused destination may be much, and is not even looked at
            found = [
                row
                for name in names
                if name not in paused
                for row in _due(connection, name, now, published_before)
            ]
            found.sort(key=lambda row: row[0])
            return [(study_uid, revision, destination) for _, study_uid, revision, destination in found]

    def priority_of(self, study_uid: str) -> Priority:
        """How urgent the results of a study are."""
        query = select(studies.c.priority).where(studies.c.study_uid == study_uid)
        with self._reading.connect() as connection:
            rank = connection.execute(query).scalar_one_or_none()
        return Priority.ROUTINE if rank is None else Priority.of_rank(rank)

    def owed_since(self, study_uid: str, destination: str) -> datetime | None:
        """Since when a study owes one destination something; None: it owes nothing."""
        owed = of_study(study_uid, destination, DeliveryState.OWED)
        with self._reading.connect() as connection:
            since: datetime | None = connection.scalar(select(func.min(deliveries.c.owed_since)).where(owed))
            return since

    def claim(
        self, study_uid: str, destination: str, now: datetime, lease: timedelta, owner: str = ""
    ) -> list[Owed]:
        """Take all that a study owes one destination and that is due; SR last.

        While a study is read anew nothing of it is sent: what that reading will say replaces only the reports
        that it knew of when it began.

        Args:
            study_uid: The study.
            destination: Where its results are to go.
            now: The time.
            lease: How long the worker has them, unless it renews that.
            owner: The worker.

        Returns:
            Empty where all that was due has been replaced since it was sent without an answer.

        Raises:
            LedgerConflictError: Nothing is due, another worker is sending it, the study is being read, or the
                destination is paused.
        """
        with self._engine.begin() as connection:
            if find_pause(connection, Part.DESTINATION, destination):
                raise LedgerConflictError(f"destination {destination} is paused")
            if lock_study(connection, study_uid)["state"] == StudyState.ANALYZING.value:
                raise LedgerConflictError(f"study {study_uid} is being read")
            there = and_(deliveries.c.study_uid == study_uid, deliveries.c.destination == destination)
            if connection.execute(
                select(deliveries.c.result_uid).where(there, _is_in_hand(now)).limit(1)
            ).first():
                raise LedgerConflictError(f"study {study_uid} is being sent to {destination}")
            replaced = let_go(connection, study_uid, destination, now)
            owed_there = of_study(study_uid, destination, DeliveryState.OWED)
            condition = and_(owed_there, deliveries.c.next_at <= now, is_free(now))
            rows = connection.execute(
                select(results, deliveries.c.lease_until)
                .join(deliveries, deliveries.c.result_uid == results.c.sop_uid)
                .where(condition)
            ).mappings()
            # a reader that finds the report finds the images that it speaks of
            in_order = sorted(rows, key=lambda row: (row["kind"] in REPORTS, row["kind"], row["sop_uid"]))
            owed = [
                Owed(
                    row["sop_uid"],
                    row["sop_class_uid"],
                    row["transfer_syntax_uid"],
                    row["sha256"],
                    row["kind"],
                    row["lease_until"] is not None,
                )
                for row in in_order
            ]
            if not owed:
                if replaced:
                    close_if_delivered(connection, study_uid, now)
                    return []
                raise LedgerConflictError(f"nothing of study {study_uid} is due at {destination}")
            connection.execute(
                update(deliveries).where(condition).values(lease_until=now + lease, claimed_by=owner)
            )
            return owed

    def renew(
        self, study_uid: str, destination: str, now: datetime, lease: timedelta, owner: str = ""
    ) -> None:
        """Hold longer what a study owes one destination and its owner is sending."""
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.study_uid == study_uid,
                    deliveries.c.destination == destination,
                    _is_in_hand(now),
                    deliveries.c.claimed_by == owner,
                )
                .values(lease_until=now + lease)
            )

    def settle(
        self,
        study_uid: str,
        destination: str,
        settlements: Sequence[Settlement],
        now: datetime,
        proof: Proof = Proof.NONE,
    ) -> None:
        """Enter what became of each result; a study with nothing left to deliver is closed.

        Args:
            study_uid: The study.
            destination: Where its results went.
            settlements: What was said to each.
            now: The time.
            proof: How the destination is to show that it keeps what it stored.
        """
        with self._engine.begin() as connection:
            lock_study(connection, study_uid)
            asked = max(
                (s.retry_after for s in settlements if s.retry_after is not None), default=timedelta(0)
            )
            delay = max(asked, self._delay(connection, destination, settlements))
            for one in settlements:
                settle_one(connection, destination, one, now, delay, proof)
            tried = [one for one in settlements if one.status != UNSENT]
            if asked or (tried and all(one.state is DeliveryState.OWED and not one.status for one in tried)):
                # what broke an association may be this study's own: the others are tried soon
                own = any(one.broke for one in settlements)
                wait = max(asked, retry_delay(1, self._jitter())) if own else delay
                postpone(connection, destination, now, now + wait)
            elif any(one.state is DeliveryState.STORED for one in settlements):
                kept_back = [one.sop_uid for one in settlements if one.state is DeliveryState.OWED]
                hasten(connection, destination, kept_back, now)
            told = ", ".join(sorted({f"{s.state} {s.status} {s.comment}".strip() for s in settlements}))
            sent = any(one.state is not DeliveryState.OWED for one in settlements)
            give_way(connection, study_uid, destination, now)
            let_go(connection, study_uid, destination, now)
            event = "sent" if sent else NOT_SENT
            note(connection, study_uid, event, now, f"to {destination}: {told}")
            close_if_delivered(connection, study_uid, now)

    def release(self, owner: str, now: datetime) -> int:
        """A delivering worker has just started: what it held before is free; returns how many."""
        given_up = deliveries.c.state == DeliveryState.CANCELED.value
        with self._engine.begin() as connection:
            return connection.execute(
                update(deliveries)
                .where(
                    or_(_is_in_hand(now), deliveries.c.state == DeliveryState.STORED.value),
                    deliveries.c.lease_until > now,
                    # one from before the workers' names were entered was the only one
                    or_(deliveries.c.claimed_by == owner, deliveries.c.claimed_by.is_(None)),
                )
                .values(
                    lease_until=now,
                    published_at=None,
                    next_at=case((given_up, deliveries.c.next_at), else_=literal(now, Instant)),
                )
            ).rowcount

    def _delay(
        self, connection: Connection, destination: str, settlements: Sequence[Settlement]
    ) -> timedelta:
        """One delay for all results of a study, so that they go out together again, the report last."""
        attempts = connection.execute(
            select(func.max(deliveries.c.attempts)).where(
                deliveries.c.destination == destination,
                deliveries.c.result_uid.in_([one.sop_uid for one in settlements]),
            )
        ).scalar_one()
        return retry_delay((attempts or 0) + 1, self._jitter())


def _is_in_hand(now: datetime) -> ColumnElement[bool]:
    """Deliveries that a worker is sending, also those that an operator gave up meanwhile."""
    sent = (DeliveryState.OWED.value, DeliveryState.CANCELED.value)
    # by the index of the study that stands beside it, see `of_study`
    return and_(func.coalesce(deliveries.c.state, "").in_(sent), deliveries.c.lease_until > now)


def _due(
    connection: Connection, destination: str, now: datetime, published_before: datetime
) -> list[tuple[int, str, int, str]]:
    """(rank of the priority, study, revision, destination) that is due at one destination; counts as told."""
    condition = and_(
        is_owed(),
        deliveries.c.destination == destination,
        deliveries.c.next_at <= now,
        is_free(now),
        deliveries.c.study_uid.not_in(_BEING_READ),
        or_(deliveries.c.published_at.is_(None), deliveries.c.published_at <= published_before),
    )
    some = (
        select(studies.c.priority, deliveries.c.study_uid, deliveries.c.revision, deliveries.c.result_uid)
        .join(studies, studies.c.study_uid == deliveries.c.study_uid)
        .limit(_MOST_RESULTS)
        .with_for_update(of=deliveries, skip_locked=True)
    )
    rows = list(connection.execute(some.where(condition).order_by(deliveries.c.next_at)))
    if len(rows) == _MOST_RESULTS:  # what is urgent may be among the others
        longest = select(deliveries.c.study_uid).where(condition).order_by(deliveries.c.next_at)
        waiting = select(longest.limit(_MOST_COMPARED).subquery("longest").c.study_uid).distinct()
        those = waiting.subquery("waiting")
        of_these = select(studies.c.study_uid).join(those, those.c.study_uid == studies.c.study_uid)
        urgent = connection.scalars(of_these.where(studies.c.priority == Priority.STAT.rank)).all()
        if urgent:
            rows += connection.execute(some.where(condition, deliveries.c.study_uid.in_(urgent)))
    # by their keys: the condition would be looked for among all that is due, once for each of them
    mine = and_(
        deliveries.c.destination == destination,
        deliveries.c.result_uid.in_([row.result_uid for row in rows]),
    )
    connection.execute(update(deliveries).where(mine).values(published_at=now))
    found = dict.fromkeys((row.priority, row.study_uid, row.revision) for row in rows)
    return [(*one, destination) for one in found]
