"""What the ledger says of itself: which archive is its own, who may read it, what time its server has."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import marks
from dibmg_node.storage.server_clock import server_time

ARCHIVE: Final = "archive"
"""The mark that holds the identity of the ledger's archive."""


class Marks:
    """The archive that belongs to the ledger, and the ledger's clock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def archive(self) -> str | None:
        """Identity of the archive that the ledger speaks of; None: of none yet."""
        with self._reading.connect() as connection:
            return read_mark(connection, ARCHIVE)

    def enter_archive(self, identity: str) -> str:
        """Enter which archive the ledger speaks of, unless another node was faster; the one that holds."""
        try:
            with self._engine.begin() as connection:
                found = read_mark(connection, ARCHIVE)
                if found is not None:
                    return found
                write_mark(connection, ARCHIVE, identity)
                return identity
        except IntegrityError:
            found = self.archive()
            assert found is not None
            return found

    def server_time(self) -> datetime | None:
        """What time the ledger's server has; None for a file, which has none."""
        with self._reading.connect() as connection:
            return server_time(connection)


def read_mark(connection: Connection, name: str) -> str | None:
    """A mark inside a transaction; None where there is none."""
    return connection.execute(select(marks.c.value).where(marks.c.name == name)).scalar_one_or_none()


def write_mark(connection: Connection, name: str, value: str) -> None:
    """Write a mark inside a transaction, instead of the one that was there."""
    connection.execute(delete(marks).where(marks.c.name == name))
    connection.execute(insert(marks).values(name=name, value=value))
