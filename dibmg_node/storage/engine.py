"""A connection to the ledger's database, with the settings that keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from dibmg_node.errors import LedgerUnavailableError

_MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str) -> Engine:
    """Connect to SQLite or PostgreSQL.

    SQLite runs in WAL with synchronous=FULL, every transaction as BEGIN IMMEDIATE: a deferred
    transaction that starts to write while another writes fails at once with "database is locked".
    """
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "handle_error", _translate)
        return engine
    engine = create_engine(url, pool_size=8, max_overflow=128, connect_args={"timeout": 30})
    event.listen(engine, "handle_error", _translate)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; see below
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=30000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _translate(context: ExceptionContext) -> Exception | None:
    """A database that does not answer, is locked, full or damaged is a reason to come back later."""
    error = context.sqlalchemy_exception
    # SQLite tells a damaged file by the bare class
    if isinstance(error, OperationalError) or type(error) is DatabaseError:
        cause = type(context.original_exception).__name__
        return LedgerUnavailableError(f"the ledger cannot be written or read ({cause})")
    return None


def reading(engine: Engine) -> Engine:
    """The same database for queries only: they wait for no writer."""
    return engine.execution_options(sqlite_begin="DEFERRED")


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the ledger to a schema, the current one; does nothing where it is there already."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def is_current(engine: Engine) -> bool:
    """Whether the ledger has the schema that this program expects."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with reading(engine).connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(config).get_current_head()
