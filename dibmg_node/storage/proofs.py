"""The ledger's proving side: what a destination said that it had stored, and has not shown yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, Select, and_, func, insert, or_, select, update

from dibmg_node.domain.lifecycle import DeliveryState, proof_delay
from dibmg_node.domain.pause import Part
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.delivery_rows import is_free, is_unproven, is_unproven_of
from dibmg_node.storage.engine import reading
from dibmg_node.storage.evidence import Evidence, Finding, enter_evidence, postpone_proofs
from dibmg_node.storage.pauses import find_pause, paused_destinations
from dibmg_node.storage.schema import commitments, deliveries, results
from dibmg_node.storage.study_row import lock_study


@dataclass(frozen=True)
class Unproven:
    """One result that a destination stored, and is to be asked for.

    Attributes:
        attempts: How often its proof was asked for already.
    """

    sop_uid: str
    sop_class_uid: str
    series_uid: str
    attempts: int


_MOST_RESULTS: Final = 150
"""That are told of at once: many that are due must not hold up a sweep."""


class Proofs:
    """Hands out what is to be proven, and takes what was found."""

    def __init__(self, engine: Engine, jitter: Callable[[], float]) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._jitter = jitter

    def due(self, now: datetime, published_before: datetime) -> list[tuple[str, int, str]]:
        """(study, revision, destination) with a proof that is due and nobody was told of lately."""
        with self._engine.begin() as connection:
            condition = and_(
                is_unproven(),
                deliveries.c.destination.not_in(paused_destinations(connection)),
                deliveries.c.next_at <= now,
                is_free(now),
                or_(deliveries.c.published_at.is_(None), deliveries.c.published_at <= published_before),
            )
            rows = connection.execute(
                select(
                    deliveries.c.study_uid,
                    deliveries.c.revision,
                    deliveries.c.destination,
                    deliveries.c.result_uid,
                )
                .where(condition)
                .limit(_MOST_RESULTS)
                .with_for_update(skip_locked=True)
            ).all()
            # by their keys, one destination at a time: SQLite finds no pairs by an index
            for destination in {row.destination for row in rows}:
                uids = [row.result_uid for row in rows if row.destination == destination]
                mine = and_(deliveries.c.destination == destination, deliveries.c.result_uid.in_(uids))
                connection.execute(update(deliveries).where(mine).values(published_at=now))
            return list(dict.fromkeys((row.study_uid, row.revision, row.destination) for row in rows))

    def lacking_since(self, study_uid: str, destination: str) -> datetime | None:
        """Since when a destination has something of a study that it has not shown; None: it has shown all."""
        lacking = and_(is_unproven_of(study_uid), deliveries.c.destination == destination)
        with self._reading.connect() as connection:
            since: datetime | None = connection.scalar(
                select(func.min(deliveries.c.settled_at)).where(lacking)
            )
            return since

    def claim(
        self, study_uid: str, destination: str, now: datetime, lease: timedelta, owner: str = ""
    ) -> list[Unproven]:
        """Take all results of a study whose proof by one destination is due.

        Raises:
            LedgerConflictError: Nothing is due, another worker is asking, or the destination is paused.
        """
        with self._engine.begin() as connection:
            if find_pause(connection, Part.DESTINATION, destination):
                raise LedgerConflictError(f"destination {destination} is paused")
            lock_study(connection, study_uid)
            there = deliveries.c.destination == destination
            condition = and_(is_unproven_of(study_uid), there, deliveries.c.next_at <= now, is_free(now))
            rows = connection.execute(
                select(results, deliveries.c.proof_attempts)
                .join(deliveries, deliveries.c.result_uid == results.c.sop_uid)
                .where(condition)
                .order_by(results.c.sop_uid)
            ).mappings()
            found = [
                Unproven(row["sop_uid"], row["sop_class_uid"], row["series_uid"], row["proof_attempts"])
                for row in rows
            ]
            if not found:
                raise LedgerConflictError(f"no proof of study {study_uid} is due at {destination}")
            connection.execute(
                update(deliveries).where(condition).values(lease_until=now + lease, claimed_by=owner)
            )
            return found

    def ask(
        self,
        study_uid: str,
        destination: str,
        transaction_uid: str,
        sop_uids: Sequence[str],
        now: datetime,
    ) -> None:
        """Enter a request for storage commitment, before it is made: its answer may be faster than we are."""
        with self._engine.begin() as connection:
            for sop_uid in sop_uids:
                connection.execute(
                    insert(commitments).values(
                        transaction_uid=transaction_uid,
                        result_uid=sop_uid,
                        destination=destination,
                        study_uid=study_uid,
                        asked_at=now,
                    )
                )

    def is_open(self, transaction_uid: str) -> bool:
        """Whether a result of a request for storage commitment is still unproven and not owed again."""
        with self._reading.connect() as connection:
            left = connection.execute(
                _of_transaction(transaction_uid)
                .where(deliveries.c.state == DeliveryState.STORED.value)
                .limit(1)
            ).first()
        return left is not None

    def settle(
        self,
        study_uid: str,
        destination: str,
        found: Sequence[Evidence],
        now: datetime,
        unreachable: bool = False,
    ) -> None:
        """Enter what was found; a study with nothing left to deliver or to prove is closed.

        Args:
            study_uid: The study.
            destination: Who was asked.
            found: For each result.
            now: The time.
            unreachable: It could not be asked, for this study at least: other proofs that are due wait, too.
        """
        with self._engine.begin() as connection:
            lock_study(connection, study_uid)
            enter_evidence(connection, study_uid, destination, found, now, self._jitter())
            if unreachable:
                # it may be this study's own: however long that waits, the others are asked soon
                postpone_proofs(connection, destination, now, now + proof_delay(1, self._jitter()))

    def report(
        self, transaction_uid: str, proven: AbstractSet[str], failed: Mapping[str, Evidence], now: datetime
    ) -> bool:
        """Enter what a destination reports on a request for storage commitment.

        Args:
            transaction_uid: Of the request, perhaps one that has been asked anew since.
            proven: SOP Instance UIDs that it commits to.
            failed: What it says of others.
            now: The time.

        Returns:
            Whether there was such a request.
        """
        with self._engine.begin() as connection:
            rows = connection.execute(
                select(commitments).where(commitments.c.transaction_uid == transaction_uid)
            ).all()
            if not rows:
                return False
            named = proven | failed.keys()
            study_uid, destination = rows[0].study_uid, rows[0].destination
            lock_study(connection, study_uid)
            rows_stored = connection.execute(
                _of_transaction(transaction_uid).where(
                    deliveries.c.state == DeliveryState.STORED.value,
                    # what was sent again after it had been asked for is not what this report speaks of
                    deliveries.c.settled_at <= commitments.c.asked_at,
                )
            )
            stored = [str(row.result_uid) for row in rows_stored]
            # what it commits to and denies at once is denied
            found = [failed.get(uid) or Evidence(uid, Finding.PROVEN) for uid in stored if uid in named]
            enter_evidence(connection, study_uid, destination, found, now, self._jitter())
            return True


def _of_transaction(transaction_uid: str) -> Select[tuple[str]]:
    """UIDs of the results that a request for storage commitment names."""
    return (
        select(commitments.c.result_uid)
        .join(
            deliveries,
            and_(
                deliveries.c.result_uid == commitments.c.result_uid,
                deliveries.c.destination == commitments.c.destination,
            ),
        )
        .where(commitments.c.transaction_uid == transaction_uid)
    )
