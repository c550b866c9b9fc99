"""What the ledger says that the archive holds, and what of it was found missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from dibmg_node.storage.engine import reading
from dibmg_node.storage.receipts import FILE_BACK, FILE_MISSING
from dibmg_node.storage.schema import history, instances, removals, results
from dibmg_node.storage.study_row import note

_BATCH = 10_000


class Holdings:
    """The ledger's side of an inspection of the archive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def instances(self) -> Iterator[tuple[str, str]]:
        """SOP Instance UID and study of every received instance that was not purged."""
        with self._reading.connect() as connection:
            query = select(instances.c.sop_uid, instances.c.study_uid).where(instances.c.purged_at.is_(None))
            for row in connection.execution_options(yield_per=_BATCH).execute(query):
                yield row.sop_uid, row.study_uid

    def results(self) -> Iterator[tuple[str, str]]:
        """SOP Instance UID and study of every result that was not purged."""
        with self._reading.connect() as connection:
            query = select(results.c.sop_uid, results.c.study_uid).where(results.c.purged_at.is_(None))
            for row in connection.execution_options(yield_per=_BATCH).execute(query):
                yield row.sop_uid, row.study_uid

    def going(self) -> list[str]:
        """UIDs of instances and results that were purged, and whose files may still be there."""
        with self._reading.connect() as connection:
            return list(connection.scalars(select(removals.c.sop_uid)))

    def enter_missing(self, study_uid: str, sop_uid: str, now: datetime) -> bool:
        """Enter that the file of an instance is gone.

        Returns:
            Whether that is news: it is entered once, until the file is back.
        """
        with self._engine.begin() as connection:
            if _last_event(connection, study_uid, sop_uid) == FILE_MISSING:
                return False
            note(connection, study_uid, FILE_MISSING, now, sop_uid)
            return True

    def count_missing(self) -> int:
        """Instances whose file was found missing, has not come back, and is still wanted."""
        latest = (
            select(func.max(history.c.id))
            .where(history.c.event.in_((FILE_MISSING, FILE_BACK)))
            .group_by(history.c.detail)
        )
        with self._reading.connect() as connection:
            return connection.execute(
                select(func.count())
                .select_from(history)
                .join(instances, instances.c.sop_uid == history.c.detail)
                .where(
                    history.c.id.in_(latest),
                    history.c.event == FILE_MISSING,
                    instances.c.purged_at.is_(None),
                )
            ).scalar_one()


def _last_event(connection: Connection, study_uid: str, sop_uid: str) -> str | None:
    return connection.execute(
        select(history.c.event)
        .where(
            history.c.study_uid == study_uid,
            history.c.detail == sop_uid,
            history.c.event.in_((FILE_MISSING, FILE_BACK)),
        )
        .order_by(history.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
