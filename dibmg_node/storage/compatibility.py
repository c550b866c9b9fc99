"""Which program may use which ledger: migrations, and nodes of several versions on one ledger.

Each migration from 0010 on names its `min_reader`: the migration that a program has to know to go on while
the ledger has that schema. One that only adds (tables, indexes, columns that may be empty or have a default
of the server's) keeps the one of its predecessor; one that takes away what older programs read or write names
the migration that came with the first program that does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select

from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.storage.engine import reading
from dibmg_node.storage.marks import read_mark, write_mark
from dibmg_node.storage.nodes import node_of
from dibmg_node.storage.schema import beats, marks, nodes

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_OLDEST_READER: Final = "min_reader"


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the ledger to a schema, the current one; does nothing where it is there already."""
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def newest_known() -> str:
    """The newest migration that this program knows."""
    return str(_scripts().get_current_head())


def is_current(engine: Engine) -> bool:
    """Whether the ledger has the schema that this program expects."""
    return _found(engine) == newest_known()


def check_readable(engine: Engine) -> None:
    """Whether this program may use the ledger as it is.

    Raises:
        PermanentError: Its schema is older than this program's, or too new for it.
    """
    found = _found(engine)
    if found is None or (found in _known() and found != newest_known()):
        raise PermanentError(
            "the ledger has another schema than this program: restart the node to migrate it"
        )
    if found not in _known():
        _check_not_too_new(engine, found)


def make_usable(engine: Engine, now: datetime, silent_after: timedelta) -> None:
    """Migrate the ledger, unless it is newer than this program, or a node that is up could not go on.

    Args:
        engine: Of the ledger.
        now: The time.
        silent_after: A node that gave no sign of life for this long is not up.

    Raises:
        ConfigError: The ledger is too new for this program, or the migration too new for a node that is up.
    """
    found = _found(engine)
    if found is not None and found not in _known():
        try:
            _check_not_too_new(engine, found)
        except PermanentError as error:
            raise ConfigError([f"ledger.url: {error}"]) from error
        return
    order = _known()
    needed = _oldest_reader(order[order.index(found) + 1 :] if found is not None else [])
    if found is not None and needed is not None:
        living = _living(engine, found, now - silent_after)
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
    found = MigrationContext.configure(connection).get_current_revision()
    order = _known()
    oldest = _oldest_reader(order[: order.index(found) + 1] if found is not None else [])
    if oldest is not None:
        write_mark(connection, _OLDEST_READER, oldest)


def _check_not_too_new(engine: Engine, found: str) -> None:
    with reading(engine).connect() as connection:
        oldest = read_mark(connection, _OLDEST_READER) if inspect(connection).has_table(marks.name) else None
    if oldest not in _known():
        raise PermanentError(
            f"the ledger has schema {found}, which is for programs that know {oldest or found} or more; "
            f"this one knows {newest_known()}: install a newer one"
        )


def _living(engine: Engine, found: str, since: datetime) -> Mapping[str, str]:
    """Nodes that are up, and the newest migration that each knows."""
    with reading(engine).connect() as connection:
        if inspect(connection).has_table(nodes.name):
            query = select(nodes.c.name, nodes.c.knows).where(nodes.c.at > since)
            return dict(connection.execute(query).tuples().all())
        # a ledger that no program has migrated yet that enters its node: those that are up know what is there
        signs = connection.scalars(select(beats.c.process).where(beats.c.at > since))
        return {node_of(process): found for process in signs}


def _oldest_reader(revisions: Sequence[str]) -> str | None:
    """The newest of the migrations that these want to be known."""
    named = [getattr(_scripts().get_revision(one).module, _OLDEST_READER, None) for one in revisions]
    order = _known()
    return max((one for one in named if one is not None), default=None, key=order.index)


def _found(engine: Engine) -> str | None:
    with reading(engine).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _known() -> list[str]:
    """Migrations that this program knows, in their order."""
    return [one.revision for one in _scripts().walk_revisions()][::-1]


@cache
def _scripts() -> ScriptDirectory:
    """Read once: each reading carries out every migration's module anew."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
