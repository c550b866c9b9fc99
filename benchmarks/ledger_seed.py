# ruff: noqa: E501 - SQL reads better in whole lines
"""A ledger as a node of some years has it: a million studies, made inside the database in minutes.

Most are delivered. Of the newest, some wait for their analysis and many are owed to a destination that has been
down for days; some failed, were excluded or canceled, some results were refused or are still to be proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Index, MetaData, create_engine, text

from benchmarks.ledger_rows import SCORED, micros, statements
from dibmg_node.domain.device import Device
from dibmg_node.storage.exam_scores import ScoredExam, enter_score
from dibmg_node.storage.schema import exam_scores, metadata

YEARS: Final = timedelta(days=3 * 365)
DEVICES: Final = 20
_NEWEST: Final = 40_000
"""Among so many newest studies are those that wait."""

# the state of study n of :n; age counts from the newest
_STATE: Final = """
CASE
  WHEN age < 5 THEN 'RECEIVING'
  WHEN age < :newest AND age % 20 = 0 THEN 'READY'
  WHEN age < :newest AND age % 10000 = 7 THEN 'ANALYZING'
  WHEN age < :newest AND age % 4 = 1 THEN 'ANALYZED'
  WHEN n % 200 = 3 THEN 'FAILED'
  WHEN n % 50 = 2 THEN 'EXCLUDED'
  WHEN n % 2000 = 8 THEN 'CANCELED'
  ELSE 'DELIVERED'
END
"""


def seed(
    url: str, studies: int, weights_sha256: str, end: datetime, told: Callable[[str], None] = lambda _: None
) -> None:
    """Fill an empty ledger of the current schema.

    Args:
        url: Of the ledger.
        studies: How many.
        weights_sha256: Of the weights in use; those before them read the older half.
        end: When the newest study came.
        told: Called with what is done next.
    """
    engine = create_engine(url)
    with _bulk(engine) as connection:
        _enter_numbers(connection, studies, end)
        for name, filling in statements(end, engine.dialect.name):
            told(name)
            for statement, parameters in filling:
                connection.execute(text(statement), parameters)
        told("exam_scores")
        _enter_scores(connection, studies, weights_sha256, end)
        told("indexes")
        _restore(connection)
    engine.dispose()


@contextmanager
def _bulk(engine: Engine) -> Iterator[Connection]:
    """One transaction that neither checks foreign keys nor keeps indexes, and need not survive a crash."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            raw: Any = connection.connection.driver_connection
            raw.isolation_level = None
            for pragma in (
                "journal_mode=OFF",
                "synchronous=OFF",
                "foreign_keys=OFF",
                "cache_size=-1000000",
                "temp_store=MEMORY",
            ):
                raw.execute(f"PRAGMA {pragma}")
        else:
            for setting in (
                "session_replication_role = replica",
                "maintenance_work_mem = '512MB'",
                "work_mem = '256MB'",
            ):
                connection.exec_driver_sql(f"SET {setting}")
            connection.commit()
        with connection.begin():
            for index in _indexes(metadata):
                index.drop(connection)
            yield connection
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # as its autovacuum does by itself
            connection.exec_driver_sql("VACUUM ANALYZE")


def _restore(connection: Connection) -> None:
    # SQLite's triggers have entered every study, PostgreSQL's were switched off
    connection.execute(text("DELETE FROM delivered_tally"))
    counted = "SELECT count(*) FROM studies WHERE state = 'DELIVERED'"
    connection.execute(text(f"INSERT INTO delivered_tally (change) {counted}"))
    for index in _indexes(metadata):
        index.create(connection)


def _indexes(tables: MetaData) -> list[Index]:
    return [
        index for table in tables.sorted_tables for index in sorted(table.indexes, key=lambda i: str(i.name))
    ]


def _enter_numbers(connection: Connection, studies: int, end: datetime) -> None:
    """What every table is made of: number, UID, state and time of each study."""
    newest = min(_NEWEST, studies // 2)
    connection.execute(
        text(
            "CREATE TEMPORARY TABLE seed (n BIGINT PRIMARY KEY, uid VARCHAR(64), device INTEGER, at BIGINT, "
            "age BIGINT, state VARCHAR(16), score DOUBLE PRECISION)"
        )
    )
    numbers = (
        "(SELECT generate_series(0, :most) AS n)"
        if connection.dialect.name == "postgresql"
        else "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < :most) SELECT n FROM s)"
    )
    connection.execute(
        text(
            f"""
            INSERT INTO seed
            SELECT n, '1.2.840.113619.2.401.' || (2831868886 + device) || '.' || (100000000 + n), device,
              CAST(:end AS BIGINT) - age * CAST(:step AS BIGINT) - (n * 7919 % 1000) * 1000, age, {_STATE}, score
            FROM (
              SELECT CAST(n AS BIGINT) AS n, n % {DEVICES} AS device, :most - n AS age,
                (CAST(n AS BIGINT) * 7919 % 1000) / 1000.0 * ((CAST(n AS BIGINT) * 104729 % 997) / 997.0) AS score
              FROM {numbers} AS numbers
            ) AS made
            """
        ),
        {
            "most": studies - 1,
            "newest": newest,
            "end": micros(end),
            "step": YEARS // timedelta(microseconds=1) // studies,
        },
    )


def _enter_scores(connection: Connection, studies: int, weights_sha256: str, end: datetime) -> None:
    """Scores by device: the older half was read by the weights before."""
    for half, weights in ((0, "0" * 64), (1, weights_sha256)):
        for device in range(DEVICES):
            maker = ("Maker", "Other", "Third")[device % 3]
            one = ScoredExam(Device(maker, f"Unit {device}", "1.0"), weights, 0.5, 0.5)
            enter_score(connection, "seed", one, end - YEARS * (1 - half) / 2)
            series = (
                connection.execute(exam_scores.select().where(exam_scores.c.study_uid == "seed")).one().series
            )
            enter_score(connection, "seed", None, end)
            connection.execute(
                text(
                    "INSERT INTO exam_scores (study_uid, series, at, score, threshold) "
                    "SELECT uid, CAST(:series AS VARCHAR(16)), at + 12000000, score, 0.37 FROM seed "
                    f"WHERE device = :device AND {SCORED} AND n >= :first AND n < :behind"
                ),
                {
                    "series": series,
                    "device": device,
                    "first": half * (studies // 2),
                    "behind": studies if half else studies // 2,
                },
            )
