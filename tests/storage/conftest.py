"""A ledger on each of the databases that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.schema import metadata
from tests.factories import new_ledger
from tests.postgresql import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server without TLS; its database `ledger` has the schema."""
    with running_cluster() as cluster:
        cluster.run("CREATE DATABASE ledger")
        engine = open_engine(cluster.url("ledger"))
        migrate(engine)
        engine.dispose()
        yield cluster


@pytest.fixture(scope="session")
def server_ledger(cluster: Cluster) -> Ledger:
    """The ledger on it; one for all tests, since each engine compiles every statement anew."""
    return open_ledger(cluster.url("ledger"), ExamPolicy())


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger: every test of the storage holds on both databases."""
    if request.param == "sqlite":
        ledger = new_ledger(tmp_path)
    else:
        ledger = request.getfixturevalue("server_ledger")
        with ledger.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    yield ledger
    ledger.engine.dispose()
