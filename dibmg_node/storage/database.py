"""The ledger's database: which kind, which schema, how large."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema_version import schema_in


@dataclass(frozen=True)
class Database:
    """A database that answers.

    Attributes:
        kind: `SQLite` or `PostgreSQL`, with its version.
        schema: Revision of the ledger's schema.
        size: Bytes on its disk, without its write-ahead log.
    """

    kind: str
    schema: str
    size: int


def describe(engine: Engine) -> Database:
    """What keeps the ledger."""
    with reading(engine).connect() as connection:
        schema = schema_in(connection) or "none"
        if engine.dialect.name == "postgresql":
            version = str(connection.exec_driver_sql("SHOW server_version").scalar_one()).split()[0]
            size = connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one()
            return Database(f"PostgreSQL {version}", schema, int(size))
        version = str(connection.execute(select(func.sqlite_version())).scalar_one())
        pages, page = _pragma(connection, "page_count"), _pragma(connection, "page_size")
        return Database(f"SQLite {version}", schema, pages * page)


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
