"""A Redis server of a site's own: its certificate is verified, and it wants a password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs import free_port

from dibmg_node.config import load_settings
from dibmg_node.domain.priority import Priority
from dibmg_node.services.tls import TlsFiles
from dibmg_node.tasks import BrokerUnavailableError, CeleryPublisher, open_queue
from dibmg_node.wiring.foundation import broker_tls
from tests.certificates import Authority
from tests.programs import find_program, wait_for_port

PASSWORD = "geheim-und-lang"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("broker", names=("localhost", "127.0.0.1"))
    authority.issue("dibmg")
    return authority


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """A server that speaks TLS alone, to clients with a certificate and the password."""
    folder, port = authority.certificate.parent, free_port()
    command = [
        find_program("redis-server"),
        "--port",
        "0",
        "--tls-port",
        str(port),
        "--bind",
        "127.0.0.1",
        "127.0.0.2",
    ]
    command += ["--tls-cert-file", f"{folder}/broker.crt", "--tls-key-file", f"{folder}/broker.key"]
    command += ["--tls-ca-cert-file", str(authority.certificate), "--requirepass", PASSWORD, "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()


def ours(authority: Authority) -> TlsFiles:
    folder = authority.certificate.parent
    return TlsFiles(authority.certificate, folder / "dibmg.crt", folder / "dibmg.key")


def complaint(url: str, tls: TlsFiles) -> str:
    with pytest.raises(BrokerUnavailableError) as caught:
        CeleryPublisher(open_queue(url, 60, tls)).waiting()
    return str(caught.value)


def test_messages_go_over_tls_with_the_password_from_the_environment(
    authority: Authority, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_BROKER_PASSWORD", PASSWORD)
    folder = authority.certificate.parent
    (tmp_path / "config.toml").write_text(
        f"[broker]\nurl = 'rediss://localhost:{port}/0'\n[broker.tls]\nca = '{authority.certificate}'\n"
        f"certificate = '{folder}/dibmg.crt'\nkey = '{folder}/dibmg.key'\n"
    )
    settings = load_settings(tmp_path / "config.toml")
    publisher = CeleryPublisher(open_queue(settings.broker_url, 60, broker_tls(settings)))

    publisher.analyze("1.2.3", 1, Priority.LOW)

    assert publisher.waiting() == ({Priority.STAT: 0, Priority.ROUTINE: 0, Priority.LOW: 1}, 0)


def test_a_server_of_an_authority_that_is_not_ours_is_told(
    authority: Authority, port: int, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "another CA")

    told = complaint(f"rediss://:{PASSWORD}@localhost:{port}/0", TlsFiles(stranger.certificate))

    assert "TLS: its certificate is not trusted: self-signed certificate in certificate chain" in told
    assert PASSWORD not in told


def test_the_name_in_the_certificate_is_verified(authority: Authority, port: int) -> None:
    told = complaint(f"rediss://:{PASSWORD}@127.0.0.2:{port}/0", ours(authority))

    assert "TLS: its certificate is not trusted: IP address mismatch" in told


def test_without_a_ca_the_systems_authorities_are_asked(authority: Authority, port: int) -> None:
    told = complaint(f"rediss://:{PASSWORD}@localhost:{port}/0", TlsFiles())

    assert "TLS: its certificate is not trusted" in told


@pytest.mark.parametrize("password", ["wrong-password", ""])
def test_a_wrong_password_is_told_and_stands_in_no_message(
    authority: Authority, port: int, password: str
) -> None:
    told = complaint(f"rediss://:{password}@localhost:{port}/0", ours(authority))

    assert "it refuses user or password, DIBMG_BROKER_PASSWORD" in told
    assert "wrong-password" not in told
