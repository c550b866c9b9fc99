from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.storage.compatibility import make_usable, migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.marks import read_mark
from dibmg_node.storage.nodes import NodeEntry, Nodes
from dibmg_node.storage.schema_version import check_readable, is_current, known, newest_known
from dibmg_node.storage.server_clock import server_time
from tests.factories import START
from tests.postgresql import Cluster

VERSIONS = Path(__file__).parents[2] / "dibmg_node" / "storage" / "migrations" / "versions"
BEFORE = {"0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009"}
"""Migrations from before programs compared theirs."""
SILENT = timedelta(seconds=20)


def as_if_newer(ledger: Ledger, min_reader: str) -> None:
    """A schema of tomorrow, as far as the ledger says."""
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("DELETE FROM marks WHERE name = 'min_reader'"))
        connection.execute(text(f"INSERT INTO marks VALUES ('min_reader', '{min_reader}')"))


def as_it_was(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{newest_known()}'"))


def test_a_program_goes_on_with_a_newer_schema_that_is_for_it_too(ledger: Ledger) -> None:
    as_if_newer(ledger, newest_known())

    make_usable(ledger.engine, START, SILENT, "here", "mine")
    check_readable(ledger.engine)

    assert not is_current(ledger.engine)
    as_it_was(ledger)


def test_a_program_stops_at_a_newer_schema_that_is_not_for_it(ledger: Ledger) -> None:
    as_if_newer(ledger, "9998")

    with pytest.raises(ConfigError, match="schema 9999, which is for programs that know 9998 or more"):
        make_usable(ledger.engine, START, SILENT, "here", "mine")
    with pytest.raises(PermanentError, match="install a newer one"):
        check_readable(ledger.engine)
    as_it_was(ledger)


def test_an_older_schema_is_to_be_migrated_first(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0006")

    with pytest.raises(PermanentError, match="restart the node to migrate it"):
        check_readable(engine)
    make_usable(engine, START, SILENT, "here", "mine")

    assert is_current(engine)
    engine.dispose()


def test_a_node_that_is_up_and_too_old_holds_a_migration_up_until_it_is_silent(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0005")
    at = int(START.timestamp() * 1_000_000)
    with engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO beats (process, at, since, pid, detail) VALUES ('intake@old', {at}, 1, 1, '')")
        )

    with pytest.raises(ConfigError, match="up are nodes that do not: old"):
        make_usable(engine, START, SILENT, "here", "mine")
    make_usable(engine, START + SILENT, SILENT, "here", "mine")

    assert is_current(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("process", "ahead"), [("intake@here", timedelta()), ("intake@old", timedelta(hours=1))]
)
def test_what_a_killed_node_left_behind_and_a_dead_one_whose_clock_was_ahead_hold_no_migration_up(
    tmp_path: Path, process: str, ahead: timedelta
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0005")
    at = int((START + ahead).timestamp() * 1_000_000)
    with engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO beats (process, at, since, pid, detail) VALUES ('{process}', {at}, 1, 1, '')")
        )

    make_usable(engine, START, SILENT, "here", "mine")

    assert is_current(engine)
    engine.dispose()


@pytest.mark.parametrize(("token", "held_up"), [("mine", False), ("other", True)])
def test_a_node_of_the_same_name_holds_a_migration_up_where_its_data_folder_is_another(
    tmp_path: Path, token: str, held_up: bool
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0015")
    entry = NodeEntry("here", token, ("web",), "0.1", "0015", START, START)
    assert Nodes(engine).enter(entry)

    if held_up:
        with pytest.raises(ConfigError, match="up are nodes that do not: here"):
            make_usable(engine, START, SILENT, "here", "mine")
    else:
        make_usable(engine, START, SILENT, "here", "mine")

    assert is_current(engine) is not held_up
    engine.dispose()


def test_a_migrated_ledger_says_who_may_go_on(ledger: Ledger) -> None:
    migrate(ledger.engine)

    with ledger.engine.connect() as connection:
        assert read_mark(connection, "min_reader") in known()


def test_a_ledger_of_a_schema_before_there_were_marks_says_it_once_it_is_migrated(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0008")

    migrate(engine)

    with engine.connect() as connection:
        assert read_mark(connection, "min_reader") in known()
    engine.dispose()


def test_every_migration_from_0010_on_says_who_may_go_on() -> None:
    scripts = [path.read_text() for path in sorted(VERSIONS.glob("*.py"))]
    named = {told(one, "revision")[0]: told(one, "min_reader") for one in scripts}

    assert {revision for revision, readers in named.items() if not readers} <= BEFORE
    assert {reader for readers in named.values() for reader in readers} <= named.keys()


def told(script: str, name: str) -> list[str]:
    """What a migration says of itself."""
    return re.findall(rf'^{name} = "(.*)"', script, re.MULTILINE)


def test_a_clock_that_is_behind_the_servers_migrates_under_nobody(cluster: Cluster) -> None:
    cluster.run("CREATE DATABASE behind")
    engine = open_engine(cluster.url("behind"))
    migrate(engine, "0015")
    with engine.connect() as connection:
        now = server_time(connection)
    assert now is not None
    assert Nodes(engine).enter(NodeEntry("old", "theirs", ("web",), "0.1", "0015", now, now))

    with pytest.raises(ConfigError, match="up are nodes that do not: old"):
        make_usable(engine, now - timedelta(hours=2), SILENT, "here", "mine")

    engine.dispose()
