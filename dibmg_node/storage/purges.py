"""The ledger's purging side: studies that the archive no longer needs to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, exists, func, or_, select, update

from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import DeliveryState, StudyState
from dibmg_node.storage.delivery_rows import HELD_STATES, is_unproven
from dibmg_node.storage.engine import reading
from dibmg_node.storage.marks import ARCHIVE, read_mark
from dibmg_node.storage.removals import Removals, enter_removals
from dibmg_node.storage.schema import deliveries, instances, results, studies
from dibmg_node.storage.study_row import lock_study, note


@dataclass(frozen=True)
class Purgeable:
    """A study whose files may go.

    Attributes:
        size: Bytes of its images and results in the archive.
    """

    study_uid: str
    last_instance_at: datetime
    size: int


class Purges:
    """Tells what may be purged, and enters what was.

    Attributes:
        removals: Files of purged studies that are still to go.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self.removals = Removals(engine)

    def oldest(self, before: datetime, limit: int) -> list[Purgeable]:
        """Studies that may be purged, the oldest first.

        Args:
            before: Only those whose last instance came before this.
            limit: At most so many.
        """
        size = _size(instances) + _size(results)
        with self._reading.connect() as connection:
            rows = connection.execute(
                select(studies.c.study_uid, studies.c.last_instance_at, size)
                .where(studies.c.last_instance_at < before, _may_go())
                .order_by(studies.c.last_instance_at, studies.c.study_uid)
                .limit(limit)
            ).all()
            return [Purgeable(*row) for row in rows]

    def archive(self) -> str | None:
        """Identity of the archive that the ledger speaks of; None: of none yet."""
        with self._reading.connect() as connection:
            return read_mark(connection, ARCHIVE)

    def held(self, study_uid: str) -> tuple[Sequence[str], Sequence[str]]:
        """UIDs of the instances and of the results of a study whose files are in the archive."""
        with self._reading.connect() as connection:
            return _held(connection, instances, study_uid), _held(connection, results, study_uid)

    def purge(self, study_uid: str, now: datetime) -> int | None:
        """Purge one study, if it may still be purged; from then on its files are to go (`removals`).

        An image that comes at the same time is entered before it or after it.

        Returns:
            Bytes of what it held; None where the study may not be purged any more.
        """
        with self._engine.begin() as connection:
            lock_study(connection, study_uid)
            may = select(studies.c.study_uid).where(studies.c.study_uid == study_uid, _may_go())
            if connection.execute(may).first() is None:
                return None
            counts, size = [], 0
            for table in (instances, results):
                sizes = connection.scalars(select(table.c.size).where(_is_held(table, study_uid))).all()
                counts.append(len(sizes))
                size += sum(sizes)
                connection.execute(update(table).where(_is_held(table, study_uid)).values(purged_at=now))
            connection.execute(update(studies).where(studies.c.study_uid == study_uid).values(purged_at=now))
            enter_removals(connection, study_uid, now)
            note(
                connection,
                study_uid,
                "purged",
                now,
                f"{counted(counts[0], 'image')} and {counted(counts[1], 'result')}, {counted(size, 'byte')}",
            )
            return size


def _is_held(table: Table, study_uid: str) -> ColumnElement[bool]:
    return and_(table.c.study_uid == study_uid, table.c.purged_at.is_(None))


def _held(connection: Connection, table: Table, study_uid: str) -> Sequence[str]:
    return connection.scalars(select(table.c.sop_uid).where(_is_held(table, study_uid))).all()


def _may_go() -> ColumnElement[bool]:
    """Studies that are read and answered, and whose every result is where it is to be.

    One that nobody was owed anything of is kept where it was read, for its results are nowhere else. One that
    was purged counts again where some of its images came again.
    """
    of_study = deliveries.c.study_uid == studies.c.study_uid
    owed = deliveries.c.state.in_((DeliveryState.OWED.value, DeliveryState.REFUSED.value))
    arrived = exists().where(
        deliveries.c.result_uid == results.c.sop_uid, deliveries.c.state.in_(HELD_STATES)
    )
    only_here = exists().where(
        results.c.study_uid == studies.c.study_uid,
        results.c.revision == studies.c.revision,
        results.c.replaced_at.is_(None),
        ~arrived,
    )
    came_again = exists().where(instances.c.study_uid == studies.c.study_uid, instances.c.purged_at.is_(None))
    return and_(
        or_(
            and_(studies.c.state == StudyState.DELIVERED.value, ~only_here),
            studies.c.state == StudyState.EXCLUDED.value,
        ),
        ~exists().where(of_study, or_(owed, is_unproven())),
        or_(studies.c.purged_at.is_(None), came_again),
    )


def _size(held: Table) -> ColumnElement[int]:
    return (
        select(func.coalesce(func.sum(held.c.size), 0))
        .where(held.c.study_uid == studies.c.study_uid, held.c.purged_at.is_(None))
        .scalar_subquery()
    )
