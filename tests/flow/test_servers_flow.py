"""The whole node on a PostgreSQL and a Redis of a site's own: TLS, and passwords from the environment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pacs import free_port

from tests.certificates import Authority
from tests.factories import STUDY_UID, write_exam
from tests.flow.running_node import RunningNode
from tests.postgresql import PASSWORD, Cluster, running_cluster
from tests.programs import find_program, wait_for_port

_TLS = "ssl=on\nssl_cert_file='server.crt'\nssl_key_file='server.key'\n"
_BROKER_PASSWORD = "another-secret"
_MORE = """
[ledger]
url = "postgresql+psycopg://dibmg@127.0.0.1:{ledger}/postgres?sslmode=verify-full&sslrootcert=ca.crt"
[broker]
url = "rediss://127.0.0.1:{broker}/0"
tls = {{ ca = "ca.crt" }}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "authority")
    authority.issue("server", names=("127.0.0.1",))
    return authority


@pytest.fixture
def cluster(authority: Authority) -> Iterator[Cluster]:
    folder = authority.certificate.parent
    with running_cluster(_TLS, {name: folder / name for name in ("server.crt", "server.key")}) as cluster:
        yield cluster


@pytest.fixture
def broker(authority: Authority) -> Iterator[int]:
    folder, port = authority.certificate.parent, free_port()
    command = [find_program("redis-server"), "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1"]
    command += [
        "--tls-cert-file",
        "server.crt",
        "--tls-key-file",
        "server.key",
        "--tls-ca-cert-file",
        "ca.crt",
    ]
    command += ["--tls-auth-clients", "no", "--requirepass", _BROKER_PASSWORD, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()


def test_an_exam_goes_through_and_no_password_is_written_anywhere(
    make_node: Callable[..., RunningNode],
    authority: Authority,
    cluster: Cluster,
    broker: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", PASSWORD)
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD", _BROKER_PASSWORD)
    node = make_node({}, more=_MORE.format(ledger=cluster.port, broker=broker))
    (node.folder / "ca.crt").write_bytes(authority.certificate.read_bytes())

    node.start().send(write_exam(tmp_path / "exam"))
    study = node.wait_for_state(STUDY_UID, "DELIVERED")
    status = node.cli_json("status")
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD", "wrong")
    without = node.cli_json("status")
    ended = node.stop()

    assert study["scores"]["exam"] is not None
    assert (status["health"], status["reasons"], ended) == ("healthy", [], 0)
    assert without["reasons"] == [
        "the broker does not answer (it refuses user or password, DIBMG_BROKER_PASSWORD)"
    ]
    written = "".join(path.read_text() for path in (node.folder / "var").rglob("*.log"))
    assert [one for one in (PASSWORD, _BROKER_PASSWORD) if one in written] == []
    assert not (node.folder / "var" / "ledger.sqlite").exists()


def test_up_tells_a_wrong_ledger_password(
    make_node: Callable[..., RunningNode],
    authority: Authority,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIBMG_LEDGER_PASSWORD", "wrong-secret")
    node = make_node({}, more=_MORE.format(ledger=cluster.port, broker=1))
    (node.folder / "ca.crt").write_bytes(authority.certificate.read_bytes())

    ended = node.up()

    assert ended.returncode == 1
    assert 'password authentication failed for user "dibmg"' in ended.stderr
    assert "wrong-secret" not in ended.stderr + node.logs()
