"""A connection to the ledger's database, with the settings that keep it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, cast

from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    PoolProxiedConnection,
    QueuePool,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DatabaseError, OperationalError, TimeoutError

from dibmg_node.errors import LedgerUnavailableError

MOST_CONNECTIONS: Final = 2 * 1024
"""Two for each association, of the most that `intake.max_associations` may be: one holds an instance, another
one enters it. A thread of the intake that had to wait for one could not answer its sender."""
_READING: Final = "dibmg_reading"
_READ_ONLY: Final = "25006"
"""SQLSTATE: the server has become a standby, another one is the primary now."""
_POSTGRESQL: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "dibmg",
}
"""libpq by itself waits for ever for a server that is gone. The query of the URL outranks these."""
_SESSION: Final = (
    "SET lock_timeout = '30s'; SET statement_timeout = '60s'; SET timezone = 'UTC'; "
    # compiling takes longer than any question that a node asks
    "SET jit = off"
)


class LedgerPool(QueuePool):
    """Connections to the ledger; to wait for one in vain is no other error than to get none."""

    # what a pool tells at each step is the library's, not the node's
    _sqla_logger_namespace = "sqlalchemy.pool.QueuePool"

    def connect(self) -> PoolProxiedConnection:
        """One of them, perhaps a new one.

        Raises:
            LedgerUnavailableError: All are in use, and stay so.
        """
        try:
            return super().connect()
        # not one of the database's: no handler of the engine sees it
        except TimeoutError as error:
            raise LedgerUnavailableError("every connection to the ledger is in use") from error


_POOL: Final[dict[str, Any]] = {
    "poolclass": LedgerPool,
    "pool_size": 8,
    "max_overflow": MOST_CONNECTIONS,
}


def open_engine(url: str) -> Engine:
    """Connect to SQLite or PostgreSQL.

    SQLite runs in WAL with synchronous=FULL, every transaction as BEGIN IMMEDIATE: a deferred
    transaction that starts to write while another writes fails at once with "database is locked".
    A PostgreSQL server must not acknowledge what it has not flushed, whatever its configuration says.
    """
    engine = _open_sqlite(url) if url.startswith("sqlite") else _open_postgresql(url)
    event.listen(engine, "handle_error", _translate)
    return engine


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30}, **_POOL)

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


def _open_postgresql(url: str) -> Engine:
    # nothing here is an hstore; to look whether the server has that type takes longer than most questions
    engine = create_engine(url, pool_pre_ping=True, use_native_hstore=False, **_POOL)

    @event.listens_for(engine, "do_connect")
    def complete(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        for name, value in _POSTGRESQL.items():
            parameters.setdefault(name, value)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.execute(_SESSION)
        # stronger settings than "on" (remote_apply) stay
        found = connection.execute("SHOW synchronous_commit").fetchone()[0]
        if found in ("off", "local"):
            connection.execute("SET synchronous_commit = on")
        connection.commit()

    return engine


def _translate(context: ExceptionContext) -> Exception | None:
    """A database that does not answer, is locked, full or damaged is a reason to come back later."""
    if context.is_pre_ping:
        return (
            None  # a pooled connection that has ended: the pool opens another one, and nobody is to be told
        )
    error, cause = context.sqlalchemy_exception, context.original_exception
    if not isinstance(cause, Exception):
        return (
            None  # Ctrl-C, or the end of the process, in the midst of a statement; its connection is given up
        )
    # SQLite tells a damaged file by the bare class
    passing = isinstance(error, OperationalError) or type(error) is DatabaseError
    if getattr(cause, "sqlstate", None) == _READ_ONLY:
        # to be asked for anew, with all others of its pool: the server's name may lead to the primary now
        context.is_disconnect = True
    if passing or context.is_disconnect:
        told = f": {why}" if (why := _why(context)) else ""
        return LedgerUnavailableError(f"the ledger cannot be written or read ({type(cause).__name__}{told})")
    return None


def _why(context: ExceptionContext) -> str:
    """What SQLite calls the error, or what libpq says of a connection that it did not get; else empty.

    The latter names server, user and database, and never the password; that of a statement could quote its
    values.
    """
    if name := getattr(context.original_exception, "sqlite_errorname", ""):
        return str(name)
    if context.statement is not None or context.engine is None or context.engine.dialect.name != "postgresql":
        return ""
    # below what failed libpq asks whether the server is running, a tab before it
    lines = [line for line in str(context.original_exception).splitlines() if line and not line[0].isspace()]
    return lines[-1] if lines else ""


def check_writable(engine: Engine) -> None:
    """Whether the database lets a transaction write; nothing of it stays.

    Raises:
        LedgerUnavailableError: It does not: the file or its folder is read-only, or somebody holds it.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_current_xact_id()"))  # which a standby does not give
        else:
            connection.execute(text("CREATE TABLE probe (n INTEGER)"))
        transaction.rollback()


def reading(engine: Engine) -> Engine:
    """The same database for queries only: they wait for no writer, and see one moment."""
    kept = vars(engine)
    if _READING not in kept:  # to make one takes a millisecond, and every side of a ledger asks for it
        options: dict[str, Any] = {"sqlite_begin": "DEFERRED"}
        if engine.dialect.name == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        kept[_READING] = engine.execution_options(**options)
    return cast(Engine, kept[_READING])


@contextmanager
def one_moment(engine: Engine) -> Iterator[Engine]:
    """A stand-in for those who only ask: whatever they ask, they see one moment, in one transaction.

    A look at everything asks in dozens of places; to begin and end a transaction in each took longer than
    most of the answers.
    """
    with reading(engine).connect() as connection:
        yield cast(Engine, _Moment(connection))


class _Moment:
    """What those who only ask want of an engine. There is no `begin`: nothing is entered."""

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        yield self._connection

    def execution_options(self, **_: Any) -> Self:
        return self
