"""What only a database server can do: be gone, refuse us, be a stranger, keep two writers at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine, reading
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.schema import metadata
from dibmg_node.storage.schema_version import is_current
from tests.certificates import Authority
from tests.factories import PATIENCE, Clock, instance, received, screening
from tests.postgresql import PASSWORD, Cluster, running_cluster
from tests.storage.life import STUDY_UID, analyze, make_ready, settle

TLS = """
ssl=on
ssl_cert_file='server.crt'
ssl_key_file='server.key'
"""


@pytest.fixture
def ledger(cluster: Cluster) -> Iterator[Ledger]:
    cluster.run(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY", "ledger")
    ledger = open_ledger(cluster.url("ledger"), ExamPolicy())
    yield ledger
    ledger.engine.dispose()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[Cluster]:
    """A server with a certificate for `localhost` and its address."""
    certificate, key = authority.issue("server", names=("localhost", "127.0.0.1"))
    with running_cluster(TLS, {"server.crt": certificate, "server.key": key}) as cluster:
        yield cluster


def complaint(url: str) -> str:
    engine = open_engine(url)
    with pytest.raises(LedgerUnavailableError) as caught:
        engine.connect()
    engine.dispose()
    return str(caught.value)


@pytest.mark.parametrize(
    ("server", "ours"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_on_the_disk_whatever_the_server_is_content_with(
    cluster: Cluster, server: str, ours: str
) -> None:
    cluster.run(f"ALTER DATABASE ledger SET synchronous_commit = {server}")
    engine = open_engine(cluster.url("ledger"))

    with engine.connect() as connection:
        found = connection.execute(text("SHOW synchronous_commit")).scalar_one()

    assert found == ours
    engine.dispose()
    cluster.run("ALTER DATABASE ledger RESET synchronous_commit")


def test_an_empty_database_is_not_current(cluster: Cluster) -> None:
    engine = open_engine(cluster.url())

    assert not is_current(engine)
    engine.dispose()


MIGRATE = """
import sys
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
engine = open_engine(sys.argv[1])
migrate(engine)
"""


def test_two_nodes_may_migrate_a_database_at_once(cluster: Cluster) -> None:
    cluster.run("CREATE DATABASE empty")
    command = [sys.executable, "-c", MIGRATE, cluster.url("empty")]

    nodes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [node.communicate()[1] for node in nodes]

    assert [node.returncode for node in nodes] == [0, 0], told


def test_a_reader_sees_one_moment_and_cannot_write(ledger: Ledger, clock: Clock) -> None:
    count = text("SELECT count(*) FROM instances")
    with reading(ledger.engine).connect() as connection:
        before = connection.execute(count).scalar_one()
        ledger.receipts.store(received(instance()), PATIENCE, clock())
        after = connection.execute(count).scalar_one()

        with pytest.raises(LedgerUnavailableError, match="ReadOnlySqlTransaction"):
            connection.execute(text("DELETE FROM instances"))

    assert (before, after) == (0, 0)


def test_the_images_of_a_claim_come_in_the_order_of_their_bytes(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, sorted(screening(), key=lambda one: one.sop_uid, reverse=True))

    claimed = ledger.claims.claim(STUDY_UID, 4, "worker", clock(), PATIENCE.longest)

    uids = [one.sop_uid for one in claimed.study.instances]
    assert uids == sorted(uids)


def test_what_waits_for_a_destination_waits_for_no_other_worker(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    make_ready(ledger, clock, [])
    with ledger.engine.begin() as other:
        other.execute(text("SELECT 1 FROM deliveries FOR UPDATE"))

        while_locked = ledger.outbox.due(clock.advance(60), clock())

    # it came back at once; what another worker has in hand, the next look finds
    assert while_locked == []
    assert ledger.outbox.due(clock(), clock()) == [(STUDY_UID, 4, "pacs")]
    settle(ledger, clock, DeliveryState.STORED, "0x0000")


def test_a_server_that_is_gone_is_unavailable_and_its_return_is_noticed(clock: Clock) -> None:
    with running_cluster() as cluster:
        engine = open_engine(cluster.url())
        migrate(engine)
        ledger = open_ledger(cluster.url(), ExamPolicy())
        ledger.receipts.store(received(instance()), PATIENCE, clock())
        cluster.stop()

        with pytest.raises(LedgerUnavailableError):
            ledger.receipts.known("1.2.3", 1, 1)
        cluster.start()
        counted = ledger.views.count_by_state()

        assert counted["RECEIVING"] == 1
        ledger.engine.dispose()
        engine.dispose()


def test_connections_that_the_server_ended_while_nobody_used_them_cost_nothing(
    cluster: Cluster, ledger: Ledger, clock: Clock
) -> None:
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(ledger.engine.connect())
    cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ledger'")

    for one in screening()[:3]:
        ledger.receipts.store(received(one), PATIENCE, clock())

    assert ledger.views.count_by_state()["RECEIVING"] == 1


def test_a_connection_to_what_has_become_a_standby_is_not_used_again(
    cluster: Cluster, ledger: Ledger, clock: Clock
) -> None:
    cluster.run("ALTER DATABASE ledger SET default_transaction_read_only = on")
    with pytest.raises(LedgerUnavailableError, match="ReadOnlySqlTransaction"):
        ledger.receipts.store(received(instance()), PATIENCE, clock())
    # the name leads to the primary now
    cluster.run("ALTER DATABASE ledger RESET default_transaction_read_only")

    ledger.receipts.store(received(instance()), PATIENCE, clock())

    assert ledger.views.count_by_state()["RECEIVING"] == 1


def test_a_wrong_password_is_told_and_stands_in_no_message(cluster: Cluster) -> None:
    told = complaint(cluster.url("ledger", password="other-secret"))

    assert 'password authentication failed for user "dibmg"' in told
    assert "other-secret" not in told


def test_a_server_whose_certificate_is_that_of_the_authority_is_taken(
    secured: Cluster, authority: Authority
) -> None:
    engine = open_engine(secured.url(query=f"?sslmode=verify-full&sslrootcert={authority.certificate}"))

    with engine.connect() as connection:
        version = connection.execute(
            text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        ).scalar_one()

    assert version == "TLSv1.3"
    engine.dispose()


def test_a_server_of_another_authority_is_told(secured: Cluster, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "another CA")

    told = complaint(secured.url(query=f"?sslmode=verify-full&sslrootcert={stranger.certificate}"))

    assert "certificate verify failed" in told
    assert PASSWORD not in told


def test_a_server_without_tls_is_refused_where_it_is_asked_for(
    cluster: Cluster, authority: Authority
) -> None:
    told = complaint(cluster.url(query=f"?sslmode=verify-full&sslrootcert={authority.certificate}"))

    assert "server does not support SSL" in told
