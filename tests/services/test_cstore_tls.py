"""Results by C-STORE over TLS, to DCMTK's storescp."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pacs import free_port

from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.tls import TlsFiles
from tests.certificates import Authority
from tests.programs import find_program, wait_for_port

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl).*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""pynetdicom leaves the socket of a failed connection to the garbage collector."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("pacs", names=("pacs.clinic.example", "127.0.0.1"))
    authority.issue("elsewhere", names=("elsewhere.example",))
    authority.issue("dibmg")
    return authority


@contextmanager
def storescp(authority: Authority, received: Path, certificate: str = "pacs") -> Iterator[int]:
    """A PACS that asks every client for a certificate of the authority; gives its port."""
    folder, port = authority.certificate.parent, free_port()
    received.mkdir()
    keys = (
        "+tls",
        f"{folder}/{certificate}.key",
        f"{folder}/{certificate}.crt",
        "+cf",
        str(authority.certificate),
    )
    command = [find_program("storescp"), *keys, "-rc", "+xa", "-od", str(received), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()


def sender(
    port: int, authority: Authority, own: str | None = "dibmg", name: str | None = None
) -> CStoreSender:
    folder = authority.certificate.parent
    ours = (folder / f"{own}.crt", folder / f"{own}.key") if own else (None, None)
    return CStoreSender("DIBMG", "PACS", "127.0.0.1", port, TlsFiles(authority.certificate, *ours, name))


def test_results_arrive_over_tls(parcels: list[Parcel], authority: Authority, tmp_path: Path) -> None:
    with storescp(authority, tmp_path / "received") as port:
        found = sender(port, authority).send(parcels)

    assert [(one.state.value, one.status) for one in found] == [("STORED", "0x0000")] * 2
    assert len(list((tmp_path / "received").iterdir())) == 2


def test_a_certificate_for_another_name_is_taken_where_that_name_is_expected(
    authority: Authority, tmp_path: Path
) -> None:
    with storescp(authority, tmp_path / "received", "elsewhere") as port:
        sender(port, authority, name="elsewhere.example").echo()

        with pytest.raises(
            PeerUnavailableError, match=r"TLS: its certificate is not trusted: .*IP address mismatch"
        ):
            sender(port, authority).echo()


def test_a_pacs_of_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "another CA")
    stranger.issue("dibmg")
    with (
        storescp(authority, tmp_path / "received") as port,
        pytest.raises(
            PeerUnavailableError, match="TLS: its certificate is not trusted: self-signed certificate in"
        ),
    ):
        sender(port, stranger).echo()


def test_a_pacs_that_wants_another_certificate_says_no(authority: Authority, tmp_path: Path) -> None:
    with (
        storescp(authority, tmp_path / "received") as port,
        pytest.raises(PeerUnavailableError, match=r"certificate|TLS"),
    ):
        sender(port, authority, None).echo()


def test_a_pacs_without_tls_is_told(authority: Authority, tmp_path: Path) -> None:
    port = free_port()
    command = [find_program("storescp"), "-od", str(tmp_path), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for_port(port)

        with pytest.raises(PeerUnavailableError, match=r"PACS at 127\.0\.0\.1"):
            sender(port, authority).echo()
        process.terminate()


def test_a_file_that_is_missing_is_told_and_tried_again_later(authority: Authority, tmp_path: Path) -> None:
    files = TlsFiles(tmp_path / "missing.crt")

    with pytest.raises(PeerUnavailableError, match="a file of tls cannot be used: No such file"):
        CStoreSender("DIBMG", "PACS", "127.0.0.1", 1, files).echo()


def test_a_pinned_certificate_is_taken_whatever_name_it_is_for_and_no_other_of_the_same_authority(
    authority: Authority, tmp_path: Path
) -> None:
    folder = authority.certificate.parent
    own = folder / "dibmg.crt", folder / "dibmg.key"

    with storescp(authority, tmp_path / "received", "elsewhere") as port:
        CStoreSender(
            "DIBMG", "PACS", "127.0.0.1", port, TlsFiles(folder / "elsewhere.crt", *own, pinned=True)
        ).echo()

        with pytest.raises(PeerUnavailableError, match="its certificate is not trusted"):
            CStoreSender(
                "DIBMG", "PACS", "127.0.0.1", port, TlsFiles(folder / "pacs.crt", *own, pinned=True)
            ).echo()
