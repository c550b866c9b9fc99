"""Which program may use which ledger: migrations, and nodes of several versions on one ledger.

Each migration from 0010 on names its `min_reader`: the migration that a program has to know to go on while
the ledger has that schema. One that only adds (tables, indexes, columns that may be empty or have a default
of the server's) keeps the one of its predecessor; one that takes away what older programs read or write, or
comes with a program that writes what they cannot read, names the migration that came with the first program
that does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, or_, select

from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.storage.engine import reading
from dibmg_node.storage.marks import write_mark
from dibmg_node.storage.nodes import node_of
from dibmg_node.storage.schema import beats, nodes
from dibmg_node.storage.schema_version import (
    MIGRATIONS,
    OLDEST_READER,
    check_not_too_new,
    known,
    newest_known,
    schema_in,
    schema_of,
)
from dibmg_node.storage.server_clock import MOST_APART, is_right


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the ledger to a schema, the current one; does nothing where it is there already."""
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def make_usable(engine: Engine, now: datetime, silent_after: timedelta, name: str, token: str) -> None:
    """Migrate the ledger, unless it is newer than this program, or a node that is up could not go on.

    Args:
        engine: Of the ledger.
        now: The time.
        silent_after: A node that gave no sign of life for this long is not up.
        name: Of the node that comes up: what it left behind, when it was killed, is no node that is up.
        token: Of its data folder.

    Raises:
        ConfigError: The ledger is too new for this program, or the migration too new for a node that is up.
    """
    found = schema_of(engine)
    if found is not None and found not in known():
        try:
            check_not_too_new(engine, found)
        except PermanentError as error:
            raise ConfigError([f"ledger.url: {error}"]) from error
        return
    order = known()
    needed = _oldest_reader(order[order.index(found) + 1 :] if found is not None else [])
    if found is not None and needed is not None:
        living = _living(engine, found, now, silent_after, name, token)
        too_old = set(order[: order.index(needed)])
        behind = sorted(name for name, knows in living.items() if knows in too_old)
        if behind:
            raise ConfigError(
                [
                    f"ledger.url: the schema of this program, {newest_known()}, is for programs that know "
                    f"{needed} or more; up are nodes that do not: {', '.join(behind)}. End them first"
                ]
            )
    migrate(engine)


def enter_oldest_reader(connection: Connection) -> None:
    """Enter, in the transaction of a migration, who may go on after it."""
    found = schema_in(connection)
    order = known()
    oldest = _oldest_reader(order[: order.index(found) + 1] if found is not None else [])
    if oldest is not None:
        write_mark(connection, OLDEST_READER, oldest)


def _living(
    engine: Engine, found: str, now: datetime, silent_after: timedelta, name: str, token: str
) -> Mapping[str, str]:
    """Other nodes that are up, and the newest migration that each knows."""
    with reading(engine).connect() as connection:
        # one further ahead than clocks at work differ is of a host that has died, unless this clock is wrong
        last = now + MOST_APART if is_right(connection, now) else datetime.max.replace(tzinfo=UTC)
        if inspect(connection).has_table(nodes.name):
            others = or_(nodes.c.name != name, nodes.c.token != token)
            of_late = nodes.c.at > now - silent_after, nodes.c.at < last
            return dict(
                connection.execute(select(nodes.c.name, nodes.c.knows).where(others, *of_late)).tuples().all()
            )
        # a ledger that no program has migrated yet that enters its node: those that are up know what is there
        of_late = beats.c.at > now - silent_after, beats.c.at < last
        signs = connection.scalars(select(beats.c.process).where(*of_late))
        return {node_of(process): found for process in signs if node_of(process) != name}


def _oldest_reader(revisions: Sequence[str]) -> str | None:
    """The newest of the migrations that these want to be known."""
    named = [getattr(_scripts().get_revision(one).module, OLDEST_READER, None) for one in revisions]
    order = known()
    return max((one for one in named if one is not None), default=None, key=order.index)


@cache
def _scripts() -> ScriptDirectory:
    """Read once: each reading carries out every migration's module anew."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
