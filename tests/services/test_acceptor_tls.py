"""DICOM over TLS: the handshake is the connection's own affair."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE

from dibmg_node.dicom import facts
from dibmg_node.services.tls import ServerTls, TlsFiles
from dibmg_node.services.wire import AcceptorSettings, EndReason
from tests.certificates import Authority
from tests.services.wire_peers import (
    IMPATIENT,
    SETTINGS,
    RawPeer,
    Wire,
    associate_rq,
    content_of,
    listening,
    mammogram,
    run_dcmtk,
    store_all,
    write_file,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test CA with a node's and a modality's certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    for name in ("node", "mg1"):
        authority.issue(name)
    return folder


def server_tls(folder: Path, ca: str | None = "ca.crt") -> ServerTls:
    files = TlsFiles(folder / ca if ca else None, folder / "node.crt", folder / "node.key")
    return ServerTls(files, "intake.tls")


def client_context(certificates: Path, name: str | None = "mg1") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.check_hostname = False
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if name:
        context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
    return context


@pytest.fixture
def tls_settings(certificates: Path) -> AcceptorSettings:
    return replace(SETTINGS, tls=server_tls(certificates))


@pytest.fixture
def wire(tls_settings: AcceptorSettings) -> Iterator[Wire]:
    with listening(settings=tls_settings) as wire:
        yield wire


def check_alive(wire: Wire, certificates: Path) -> None:
    data_set = mammogram()
    assert store_all(wire.port, [data_set], tls_args=(client_context(certificates), "node")) == [0]
    assert content_of(wire.store.committed[-1]).PixelData == data_set.PixelData


def test_a_store_over_tls_arrives(wire: Wire, certificates: Path):
    data_sets = [mammogram(size=1_000_000), mammogram(size=400_000)]

    statuses = store_all(wire.port, data_sets, tls_args=(client_context(certificates), "node"))

    assert statuses == [0, 0]
    assert [content_of(s).PixelData for s in wire.store.sinks] == [d.PixelData for d in data_sets]


def test_storescu_over_tls_arrives(wire: Wire, certificates: Path, tmp_path: Path):
    path = write_file(tmp_path, mammogram(size=1_000_000))
    keys = ("+tls", str(certificates / "mg1.key"), str(certificates / "mg1.crt"))
    trust = ("+cf", str(certificates / "ca.crt"))

    sent = run_dcmtk("storescu", *keys, *trust, "-aec", "DIBMG", "127.0.0.1", str(wire.port), str(path))

    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert len(wire.store.committed) == 1


def test_the_certificate_subject_is_told(wire: Wire, certificates: Path):
    check_alive(wire, certificates)

    assert wire.store.requests[-1].certificate_subject == "O=Clinic,CN=mg1"


def test_silent_tls_peers_stop_nobody(wire: Wire, certificates: Path):
    silent = [RawPeer(wire.port) for _ in range(20)]

    check_alive(wire, certificates)

    for peer in silent:
        peer.socket.close()


def test_a_silent_tls_peer_is_closed_in_time(tls_settings: AcceptorSettings, certificates: Path):
    with listening(settings=replace(tls_settings, **IMPATIENT)) as wire, RawPeer(wire.port) as peer:
        assert peer.read_pdu()[0] == 0
        assert wire.store.ends == []


def test_plain_dicom_to_the_tls_port_fails(wire: Wire, certificates: Path):
    with RawPeer(wire.port) as peer:
        peer.send(associate_rq())
        kind, _ = peer.read_pdu()
    echoed = run_dcmtk("echoscu", "-aec", "DIBMG", "127.0.0.1", str(wire.port))

    assert kind not in {2, 3}
    assert echoed.returncode != 0
    assert wire.store.requests == []
    check_alive(wire, certificates)


def test_tls_to_the_plain_port_fails(certificates: Path):
    ae = AE("PEER")
    ae.add_requested_context(facts.VERIFICATION)

    with listening() as plain:
        refused = ae.associate(
            "127.0.0.1", plain.port, ae_title="DIBMG", tls_args=(client_context(certificates), "node")
        )

        assert not refused.is_established
        plain.check_alive()


def test_a_peer_without_a_certificate_does_not_get_in(wire: Wire, certificates: Path):
    ae = AE("PEER")
    ae.add_requested_context(facts.VERIFICATION)

    refused = ae.associate(
        "127.0.0.1", wire.port, ae_title="DIBMG", tls_args=(client_context(certificates, None), "node")
    )

    assert not refused.is_established
    assert wire.store.requests == []
    check_alive(wire, certificates)


def test_a_stop_ends_an_idle_association_over_tls(wire: Wire, certificates: Path):
    with RawPeer(wire.port) as peer:
        peer.socket = client_context(certificates).wrap_socket(peer.socket)
        peer.associate()

        wire.acceptor.stop(5)

        # by OpenSSL's version the peer sees an A-ABORT, an alert, or the end of the stream
        try:
            kind, _ = peer.read_pdu()
        except ssl.SSLError:
            kind = 0
        assert kind in (0, 7)
    assert wire.store.ends[0].reason is EndReason.ABORTED
