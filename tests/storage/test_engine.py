from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, event, text

from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.sections.intake import IntakeSection
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import MOST_CONNECTIONS, LedgerPool, check_writable, open_engine, reading
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Receipt
from dibmg_node.storage.schema import metadata
from dibmg_node.storage.schema_version import is_current
from tests.factories import PATIENCE, Clock, instance, new_ledger, received


def test_the_migrations_lead_to_the_schema(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []
    assert is_current(ledger.engine)


def test_migrating_twice_changes_nothing_and_keeps_what_is_there(ledger: Ledger, clock: Clock) -> None:
    ledger.receipts.store(received(instance()), PATIENCE, clock())

    migrate(ledger.engine)

    assert is_current(ledger.engine)
    assert ledger.receipts.known(instance().sop_uid, 100, 1) is Receipt.DUPLICATE


def test_an_empty_database_is_not_current(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")

    assert not is_current(engine)
    engine.dispose()


def test_every_connection_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    with ledger.engine.connect() as connection:
        found = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert found == ["wal", 2, 1]
    ledger.engine.dispose()


def test_a_transaction_holds_the_right_to_write_from_its_start(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    path = ledger.engine.url.database
    assert path is not None
    with ledger.engine.begin():
        other = sqlite3.connect(path, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
    ledger.engine.dispose()


def test_a_reader_waits_for_no_writer(ledger: Ledger) -> None:
    with ledger.engine.begin():
        seen = threading.Event()

        def look() -> None:
            ledger.views.count_by_state()
            ledger.receipts.known("1.2.3", 1, 1)
            seen.set()

        thread = threading.Thread(target=look)
        thread.start()
        assert seen.wait(60)
        thread.join()


def test_a_ledger_that_stays_locked_is_unavailable(tmp_path: Path, clock: Clock) -> None:
    ledger = new_ledger(tmp_path)
    with ledger.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout=1"))
        connection.rollback()
    writer = sqlite3.connect(tmp_path / "ledger.sqlite")
    writer.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerUnavailableError, match="OperationalError"):
        ledger.receipts.store(received(instance()), PATIENCE, clock())

    writer.close()
    ledger.engine.dispose()


def test_a_ledger_whose_folder_is_gone_is_unavailable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'missing' / 'ledger.sqlite'}")

    with pytest.raises(LedgerUnavailableError):
        reading(engine).connect()


def test_a_connection_that_is_waited_for_in_vain_is_an_unavailable_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = create_engine(url, poolclass=LedgerPool, pool_size=1, max_overflow=0, pool_timeout=0.01)

    with engine.connect(), pytest.raises(LedgerUnavailableError, match="in use"):
        engine.connect()

    engine.dispose()


def test_every_association_that_may_be_allowed_has_its_two_connections() -> None:
    limits = IntakeSection.model_json_schema()["properties"]["max_associations"]

    assert limits["maximum"] * 2 <= MOST_CONNECTIONS


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")

    with pytest.raises(LedgerUnavailableError):
        engine.connect()


FULL = """
import resource, signal, sys
from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.storage.ledger import open_ledger
from dibmg_node.domain.policy import ExamPolicy
from tests.factories import PATIENCE, START, instance, received
ledger = open_ledger("sqlite:///" + sys.argv[1], ExamPolicy())
ledger.views.count_by_state()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    ledger.receipts.store(received(instance()), PATIENCE, START)
except LedgerUnavailableError as error:
    print("unavailable")
"""


def test_a_ledger_without_room_is_unavailable(tmp_path: Path) -> None:
    new_ledger(tmp_path).engine.dispose()

    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "ledger.sqlite")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout == "unavailable\n", done.stderr


def test_a_ledger_of_the_first_schema_gets_the_manufacturers_of_its_studies(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine, "0001")
    with engine.begin() as connection:
        for number, facts in enumerate(('{"manufacturer": " Maker "}', "{}")):
            connection.execute(
                text(
                    "INSERT INTO studies (study_uid, state, revision, reason, sender, received_at, "
                    "receiving_since, last_instance_at, standard_views, attempts) "
                    f"VALUES ('1.{number}', 'READY', 1, '', 'MG1', 1, 1, 1, 0, 0)"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO instances (sop_uid, study_uid, facts, size, crc32, sender, received_at) "
                    f"VALUES ('1.{number}.1', '1.{number}', :facts, 1, 1, 'MG1', 1)"
                ),
                {"facts": facts},
            )

    migrate(engine)

    with engine.connect() as connection:
        rows = connection.execute(text("SELECT study_uid, manufacturer FROM studies ORDER BY 1")).all()
    assert [tuple(row) for row in rows] == [("1.0", "Maker"), ("1.1", "")]
    engine.dispose()


def test_who_asks_at_one_moment_sees_nothing_of_what_is_entered_meanwhile(
    ledger: Ledger, clock: Clock
) -> None:
    with ledger.at_one_moment() as then:
        before = then.views.count_by_state(), then.views.last_received(), then.rejections.newest()
        ledger.receipts.store(received(instance()), PATIENCE, clock())

        after = then.views.count_by_state(), then.views.last_received(), then.rejections.newest()

    assert after == before
    assert ledger.views.count_by_state()["RECEIVING"] == 1


def test_nothing_can_be_entered_at_one_moment(ledger: Ledger, clock: Clock) -> None:
    with ledger.at_one_moment() as then, pytest.raises(AttributeError, match="begin"):
        then.receipts.store(received(instance()), PATIENCE, clock())

    assert ledger.views.count_by_state()["RECEIVING"] == 0


def test_a_process_that_is_ended_in_the_midst_of_a_statement_ends_and_does_not_blame_the_ledger(
    ledger: Ledger,
) -> None:
    def end(*_: object) -> None:
        raise SystemExit(3)

    event.listen(ledger.engine, "do_execute", end)
    try:
        with pytest.raises(SystemExit) as ended, ledger.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        event.remove(ledger.engine, "do_execute", end)

    assert ended.value.code == 3
    assert ledger.receipts.known(instance().sop_uid, 100, 1) is not Receipt.DUPLICATE


def test_a_ledger_that_may_not_be_written_is_told_by_sqlites_own_word(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    check_writable(ledger.engine)
    engine = open_engine(f"sqlite:///file:{tmp_path / 'ledger.sqlite'}?mode=ro&uri=true")

    with pytest.raises(LedgerUnavailableError, match=r"\(OperationalError: SQLITE_READONLY\)"):
        check_writable(engine)

    engine.dispose()
    ledger.engine.dispose()


def test_a_server_that_is_not_there_is_named_with_what_happened() -> None:
    engine = open_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")

    with pytest.raises(LedgerUnavailableError, match=r'"127.0.0.1", port 1 failed: Connection refused\)$'):
        engine.connect()
