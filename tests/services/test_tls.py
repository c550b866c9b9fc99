"""TLS of the listening side: BCP 195, and certificates that are renewed while associations go on."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from dibmg_node.errors import ConfigError
from dibmg_node.services.tls import SUITES, ServerTls, TlsFiles, trust_of
from tests.certificates import Authority
from tests.services.wire_peers import (
    SETTINGS,
    RawPeer,
    Wire,
    echo_command,
    listening,
    mammogram,
    pdu,
    pdv,
    run_dcmtk,
    write_file,
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "ca")
    authority.issue("node")
    authority.issue("mg1")
    return authority


@pytest.fixture
def tls(authority: Authority) -> ServerTls:
    folder = authority.certificate.parent
    return ServerTls(TlsFiles(authority.certificate, folder / "node.crt", folder / "node.key"), "intake.tls")


@pytest.fixture
def wire(tls: ServerTls) -> Iterator[Wire]:
    with listening(settings=replace(SETTINGS, tls=tls)) as wire:
        yield wire


def client(authority: Authority, name: str = "mg1") -> ssl.SSLContext:
    folder = authority.certificate.parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def secured(wire: Wire, context: ssl.SSLContext) -> RawPeer:
    peer = RawPeer(wire.port)
    try:
        peer.socket = context.wrap_socket(peer.socket)
    except BaseException:
        peer.socket.close()
        raise
    return peer


def gets_in(wire: Wire, context: ssl.SSLContext) -> bool:
    """Whether an association comes about; in TLS 1.3 a client hears only then that it was refused."""
    try:
        with secured(wire, context) as peer:
            peer.associate()
            return True
    except (OSError, AssertionError):
        return False


def serial_shown(wire: Wire, context: ssl.SSLContext) -> int:
    with secured(wire, context) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        shown = peer.socket.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


def serial_in(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_tls_1_1_is_refused(wire: Wire, authority: Authority) -> None:
    context = client(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError):
        secured(wire, context)


@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "AES128-GCM-SHA256"]
)
def test_suites_without_ephemeral_curves_and_authenticated_encryption_are_refused(
    wire: Wire, authority: Authority, suite: str
) -> None:
    context = client(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)

    with pytest.raises(ssl.SSLError):
        secured(wire, context)


@pytest.mark.parametrize("suite", [one for one in SUITES if "ECDSA" in one])
def test_the_suites_of_bcp_195_are_taken(wire: Wire, authority: Authority, suite: str) -> None:
    context = client(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)

    assert gets_in(wire, context)


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_gets_in_by_each_of_its_bcp_195_profiles(
    wire: Wire, authority: Authority, tmp_path: Path, profile: str
) -> None:
    folder = authority.certificate.parent
    keys = ("+tls", str(folder / "mg1.key"), str(folder / "mg1.crt"), "+cf", str(authority.certificate))
    path = write_file(tmp_path, mammogram())

    sent = run_dcmtk("storescu", *keys, profile, "-aec", "DIBMG", "127.0.0.1", str(wire.port), str(path))

    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert len(wire.store.committed) == 1


def test_dcmtk_without_encryption_is_refused(wire: Wire, authority: Authority) -> None:
    folder = authority.certificate.parent
    keys = ("+tls", str(folder / "mg1.key"), str(folder / "mg1.crt"), "+cf", str(authority.certificate))

    asked = run_dcmtk("echoscu", *keys, "+pn", "-aec", "DIBMG", "127.0.0.1", str(wire.port))

    assert "handshake failure" in asked.stderr


def test_a_renewed_certificate_is_shown_from_then_on_and_associations_go_on(
    wire: Wire, authority: Authority
) -> None:
    with secured(wire, client(authority)) as before:
        before.associate()
        certificate, _ = authority.issue("node")

        wire.acceptor.renew()

        assert serial_shown(wire, client(authority)) == serial_in(certificate)
        before.send(pdu(4, pdv(1, 3, echo_command())))
        assert before.status() == 0


def test_a_new_ca_takes_over_from_the_old_one(wire: Wire, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "new", "new CA")
    stranger.issue("mg2")
    before = (gets_in(wire, client(authority)), gets_in(wire, client(stranger, "mg2")))
    authority.certificate.write_bytes(stranger.certificate.read_bytes())

    wire.acceptor.renew()

    assert before == (True, False)
    assert (gets_in(wire, client(authority)), gets_in(wire, client(stranger, "mg2"))) == (False, True)


def test_a_client_of_the_old_ca_cannot_go_on_with_its_session(
    wire: Wire, authority: Authority, tmp_path: Path
) -> None:
    context = client(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with secured(wire, context) as first:
        first.associate()
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
    authority.certificate.write_bytes(Authority(tmp_path / "new", "new CA").certificate.read_bytes())
    wire.acceptor.renew()

    with socket.create_connection(("127.0.0.1", wire.port)) as plain, pytest.raises(OSError):
        again = context.wrap_socket(plain, session=session)
        again.recv(1)


@pytest.mark.parametrize("broken", ["node.crt", "node.key", "ca.crt"])
def test_broken_files_leave_the_old_ones_in_use_and_the_log_says_so(
    wire: Wire, authority: Authority, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = authority.certificate.parent
    shown = serial_in(folder / "node.crt")
    (folder / broken).write_text("-----BEGIN NOTHING-----")

    wire.acceptor.renew()

    told = {record.message: getattr(record, "reason", "") for record in caplog.records}
    assert "intake.tls" in told["TLS files not taken, the former stay in use"]
    assert serial_shown(wire, _anyone()) == shown


def _anyone() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_certificate_and_the_key_of_another_are_a_complaint(authority: Authority) -> None:
    folder = authority.certificate.parent

    with pytest.raises(ConfigError, match=r"intake\.tls\.certificate, intake\.tls\.key: cannot be used"):
        ServerTls(TlsFiles(None, folder / "node.crt", folder / "mg1.key"), "intake.tls")


def test_a_handshake_that_fails_is_told_with_its_reason(
    wire: Wire, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    assert not gets_in(wire, _anyone())
    wire.acceptor.stop(5)

    reasons = [getattr(record, "reason", "") for record in caplog.records]
    assert "TLS handshake failed: peer did not return a certificate" in reasons


def test_peers_are_verified_alike_whichever_python_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ssl.create_default_context

    def as_python_3_13_does(**options: str | None) -> ssl.SSLContext:
        context = made(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_python_3_13_does)

    context = trust_of(TlsFiles())

    assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
