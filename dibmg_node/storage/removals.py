"""Files that are to go from the archive: entered with the purge, forgotten once they are gone.

The ledger must not be locked while a storage that is far is asked to remove something. So a purge enters
what is to go in its own transaction, and the files go after it: whoever is killed in between has left the
record of what another one is to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, literal, select

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import Instant, instances, removals, results

_END: Final = delete(removals).where(
    removals.c.sop_uid == bindparam("uid"),
    removals.c.is_result == bindparam("result"),
    removals.c.since == bindparam("at"),
)


@dataclass(frozen=True)
class Removal:
    """A file that is to go.

    Attributes:
        is_result: A result of the node's; a PACS may have sent it back, and then it is an instance, too.
        since: When it was purged; one that came again, and was purged again, is another removal.
    """

    sop_uid: str
    is_result: bool
    since: datetime


class Removals:
    """Tells which files are to go, and forgets those that are gone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def studies(self) -> list[str]:
        """UIDs of studies that were purged, and have files that are to go; the first purged first."""
        query = (
            select(removals.c.study_uid).group_by(removals.c.study_uid).order_by(func.min(removals.c.since))
        )
        with self._reading.connect() as connection:
            return list(connection.scalars(query))

    def of(self, study_uid: str) -> list[Removal]:
        """The files of a study that are to go, its images first."""
        query = (
            select(removals.c.sop_uid, removals.c.is_result, removals.c.since)
            .where(removals.c.study_uid == study_uid)
            .order_by(removals.c.is_result, removals.c.sop_uid)
        )
        with self._reading.connect() as connection:
            return [Removal(one.sop_uid, bool(one.is_result), one.since) for one in connection.execute(query)]

    def stands(self, removal: Removal) -> bool:
        """Whether a file is to go yet; one that came again since is to stay.

        Who asks holds it (`Archive.held`) until the file is gone: who brings it again does so, too, until the
        ledger knows.
        """
        table = results if removal.is_result else instances
        query = (
            select(removals.c.sop_uid)
            .join(table, table.c.sop_uid == removals.c.sop_uid)
            .where(
                removals.c.sop_uid == removal.sop_uid,
                removals.c.is_result == int(removal.is_result),
                removals.c.since == removal.since,
                table.c.purged_at.is_not(None),
            )
        )
        with self._reading.connect() as connection:
            return connection.execute(query).first() is not None

    def end(self, gone: Sequence[Removal]) -> None:
        """Forget removals: their files are gone, or stay."""
        if gone:
            with self._engine.begin() as connection:
                connection.execute(
                    _END,
                    [{"uid": one.sop_uid, "result": int(one.is_result), "at": one.since} for one in gone],
                )


def enter_removals(connection: Connection, study_uid: str, now: datetime) -> None:
    """Have every file go that a study ever had: also what was left of an earlier purge or analysis."""
    connection.execute(delete(removals).where(removals.c.study_uid == study_uid))
    for table, is_result in ((instances, 0), (results, 1)):
        every = select(
            table.c.sop_uid, table.c.study_uid, literal(is_result), literal(now, type_=Instant)
        ).where(table.c.study_uid == study_uid)
        connection.execute(
            insert(removals).from_select(["sop_uid", "study_uid", "is_result", "since"], every)
        )


def spare_result(connection: Connection, sop_uid: str) -> None:
    """Have the file of a result stay, if it was to go."""
    connection.execute(delete(removals).where(removals.c.sop_uid == sop_uid, removals.c.is_result == 1))
