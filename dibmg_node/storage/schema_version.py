"""Which schema a ledger has, which ones this program knows, and whether it may use that ledger as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, column, func, inspect, select, table

from dibmg_node.errors import PermanentError
from dibmg_node.storage.engine import reading
from dibmg_node.storage.marks import read_mark
from dibmg_node.storage.schema import marks

MIGRATIONS: Final = Path(__file__).parent / "migrations"
OLDEST_READER: Final = "min_reader"
"""Of a migration, and the mark of a ledger that has it."""

_VERSION: Final = table("alembic_version", column("version_num"))
"""Alembic's own; read here without it, since most processes have no other use for it."""


def known() -> list[str]:
    """Migrations that this program knows, in their order: each file's name begins with its own."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def newest_known() -> str:
    """The newest migration that this program knows."""
    return known()[-1]


def schema_in(connection: Connection) -> str | None:
    """The newest migration that a ledger has; None where it has no schema yet."""
    if not _has_version(connection):
        return None
    return connection.scalar(select(_VERSION.c.version_num))


def schema_of(engine: Engine) -> str | None:
    """The same, over a connection of its own."""
    with reading(engine).connect() as connection:
        return schema_in(connection)


def is_current(engine: Engine) -> bool:
    """Whether the ledger has the schema that this program expects."""
    return schema_of(engine) == newest_known()


def check_readable(engine: Engine) -> None:
    """Whether this program may use the ledger as it is.

    Raises:
        PermanentError: Its schema is older than this program's, or too new for it.
    """
    found = schema_of(engine)
    if found is None or (found in known() and found != newest_known()):
        raise PermanentError(
            "the ledger has another schema than this program: restart the node to migrate it"
        )
    if found not in known():
        check_not_too_new(engine, found)


def check_not_too_new(engine: Engine, found: str) -> None:
    """Whether this program may use a ledger with a migration that it does not know.

    Raises:
        PermanentError: That is too new for it.
    """
    with reading(engine).connect() as connection:
        oldest = read_mark(connection, OLDEST_READER) if inspect(connection).has_table(marks.name) else None
    if oldest not in known():
        raise PermanentError(
            f"the ledger has schema {found}, which is for programs that know {oldest or found} or more; "
            f"this one knows {newest_known()}: install a newer one"
        )


def _has_version(connection: Connection) -> bool:
    if connection.dialect.name == "postgresql":  # half of what the inspector asks there is not asked for here
        return connection.scalar(select(func.to_regclass(_VERSION.name))) is not None
    return bool(inspect(connection).has_table(_VERSION.name))
