"""Who is not let in is told, and whether it may come again; who goes by itself is not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dibmg_node.services.tls import ServerTls, TlsFiles
from dibmg_node.services.wire import TurnedAway
from tests.services.web_peers import make_certificates
from tests.services.wire_peers import SETTINGS, RawPeer, Wire, associate_rq, listening


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_wire(certificates: Path) -> Iterator[Wire]:
    with listening(settings=replace(SETTINGS, tls=server_side(certificates))) as wire:
        yield wire


def server_side(certificates: Path) -> ServerTls:
    ca, certificate, key = (certificates / name for name in ("ca.pem", "server.pem", "server.key"))
    return ServerTls(TlsFiles(ca, certificate, key), "intake.tls")


def client(certificates: Path, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if name is not None:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def test_a_rejected_association_is_told_with_titles_and_reason() -> None:
    with listening() as wire, RawPeer(wire.port) as peer:
        peer.send(associate_rq(called=b"WRONG", calling=b"EVIL"))
        peer.rejected()

        wire.store.wait_for(lambda: bool(wire.store.turned_away))

    assert wire.store.turned_away == [
        TurnedAway("127.0.0.1", "EVIL", "WRONG", "called AE title not recognized")
    ]


def test_an_association_over_the_limit_is_told_as_rejected_for_now_and_a_connection_that_ends_is_not() -> (
    None
):
    with listening(settings=replace(SETTINGS, maximum_associations=1)) as wire:
        with RawPeer(wire.port) as first, RawPeer(wire.port) as second:
            first.associate()
            second.send(associate_rq())
            assert second.rejected() == (2, 3, 2)
        with RawPeer(wire.port):
            pass
        wire.store.wait_for(lambda: bool(wire.store.ends and wire.store.turned_away))

    assert wire.store.turned_away == [
        TurnedAway("127.0.0.1", "RAW", "DIBMG", "local limit exceeded", for_now=True)
    ]


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_peer_without_a_certificate_that_is_accepted_is_told(
    tls_wire: Wire, certificates: Path, name: str | None
) -> None:
    with RawPeer(tls_wire.port) as peer, suppress(OSError):
        peer.socket = client(certificates, name).wrap_socket(peer.socket, server_hostname="localhost")
        peer.read_pdu()

    tls_wire.store.wait_for(lambda: bool(tls_wire.store.turned_away))
    (who,) = tls_wire.store.turned_away
    assert (who.peer_address, who.calling_aet) == ("127.0.0.1", "")
    assert who.sentence.startswith("TLS handshake failed: ")


def test_plain_dicom_to_the_tls_port_is_told(tls_wire: Wire) -> None:
    with RawPeer(tls_wire.port) as peer:
        peer.send(associate_rq())
        peer.read_pdu()

    tls_wire.store.wait_for(lambda: bool(tls_wire.store.turned_away))
    assert len(tls_wire.store.turned_away) == 1


def test_a_peer_that_leaves_within_the_handshake_is_not_told(tls_wire: Wire, certificates: Path) -> None:
    with RawPeer(tls_wire.port):
        pass
    with RawPeer(tls_wire.port) as peer:
        peer.send(b"")
    with RawPeer(tls_wire.port) as good:
        good.socket = client(certificates, "client").wrap_socket(good.socket, server_hostname="localhost")
        good.associate()
        good.release()

    tls_wire.store.wait_for(lambda: bool(tls_wire.store.ends))
    assert tls_wire.store.turned_away == []
