"""Alarms by e-mail, handed in at a real mail server."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from dibmg_node.domain.alarm import AlarmEvent, AlarmMessage
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.mail import Mail, MailSecurity, MailServer
from dibmg_node.services.tls import TlsFiles
from tests.factories import START, Clock
from tests.services.mail_peer import MailPeer
from tests.services.web_peers import make_certificates, raw_peer, server_tls

MESSAGE = AlarmMessage(
    "7-began",
    AlarmEvent.BEGAN,
    "delivery",
    "pacs",
    "pacs: 3 results not delivered",
    START,
    START,
    "DIBMG@host",
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def mail(
    port: int,
    security: MailSecurity = MailSecurity.NONE,
    *,
    password: str = "",
    ca: Path | None = None,
    seconds: float = 30,
    to: tuple[str, ...] = ("pacs@clinic.example",),
) -> Mail:
    server = MailServer(
        "localhost", port, security, "node" if password else "", lambda: password, TlsFiles(ca=ca)
    )
    return Mail(server, "dibmg@clinic.example", to, Clock(), seconds)


def test_an_alarm_is_a_letter_to_every_address_that_says_what_holds_and_since_when() -> None:
    with MailPeer().running() as peer:
        mail(peer.port, to=("a@clinic.example", "b@clinic.example")).tell(MESSAGE)

    (letter,) = peer.letters
    assert letter["Subject"] == "[DIBMG@host] alarm: delivery pacs"
    assert (letter["From"], letter["To"]) == ("dibmg@clinic.example", "a@clinic.example, b@clinic.example")
    assert letter["Message-ID"] == "<7-began.DIBMG.host@clinic.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content().splitlines()[0] == MESSAGE.sentence
    assert "since  2026-03-04 05:06:07 UTC" in letter.get_content()
    assert peer.given_to == [["a@clinic.example", "b@clinic.example"]]


def test_an_ae_title_of_any_signs_makes_a_message_id_of_letters() -> None:
    with MailPeer().running() as peer:
        mail(peer.port).tell(replace(MESSAGE, node="CAD <1>@host.clinic"))

    assert peer.letters[0]["Message-ID"] == "<7-began.CAD.1.host.clinic@clinic.example>"
    assert peer.letters[0]["Subject"] == "[CAD <1>@host.clinic] alarm: delivery pacs"


def test_the_end_of_an_alarm_is_told_as_one() -> None:
    with MailPeer().running() as peer:
        mail(peer.port).tell(replace(MESSAGE, event=AlarmEvent.ENDED))

    assert peer.letters[0]["Subject"] == "[DIBMG@host] alarm over: delivery pacs"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # aiosmtpd knows no TLS but STARTTLS for that
@pytest.mark.parametrize("security", [MailSecurity.STARTTLS, MailSecurity.TLS])
def test_it_goes_encrypted_with_a_login(security: MailSecurity, certificates: Path) -> None:
    tls = server_tls(certificates)
    encrypted = {"starttls" if security is MailSecurity.STARTTLS else "tls": tls}

    with MailPeer().running(**encrypted, password="secret") as peer:  # type: ignore[arg-type]
        mail(peer.port, security, password="secret", ca=certificates / "ca.pem").tell(MESSAGE)

    assert len(peer.letters) == 1


@pytest.mark.parametrize("security", [MailSecurity.STARTTLS, MailSecurity.TLS])
def test_a_server_that_is_not_trusted_gets_nothing(security: MailSecurity, certificates: Path) -> None:
    tls = server_tls(certificates)
    encrypted = {"starttls" if security is MailSecurity.STARTTLS else "tls": tls}

    with (
        MailPeer().running(**encrypted) as peer,  # type: ignore[arg-type]
        pytest.raises(PeerUnavailableError, match="its certificate is not trusted"),
    ):
        mail(peer.port, security, ca=certificates / "other-ca.pem").tell(MESSAGE)

    assert peer.letters == []


def test_a_server_without_starttls_gets_nothing_where_starttls_is_asked() -> None:
    with MailPeer().running() as peer, pytest.raises(PeerRefusedError, match="offers no STARTTLS"):
        mail(peer.port, MailSecurity.STARTTLS).tell(MESSAGE)

    assert peer.letters == []


def test_a_wrong_password_needs_a_person_and_is_not_repeated(certificates: Path) -> None:
    with (
        MailPeer().running(starttls=server_tls(certificates), password="secret") as peer,
        pytest.raises(PeerRefusedError) as caught,
    ):
        mail(peer.port, MailSecurity.STARTTLS, password="wrong", ca=certificates / "ca.pem").tell(MESSAGE)

    assert str(caught.value) == f"localhost:{peer.port}: user or password refused (535)"


@pytest.mark.parametrize(
    ("answer", "kind"), [("451 try later", PeerUnavailableError), ("554 no", PeerRefusedError)]
)
def test_an_answer_says_whether_it_may_pass(answer: str, kind: type[Exception]) -> None:
    with MailPeer(answer).running() as peer, pytest.raises(kind, match=answer[:3]):
        mail(peer.port).tell(MESSAGE)


def test_one_unknown_address_keeps_no_other_from_the_letter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    to = ("a@clinic.example", "gone@clinic.example")

    with MailPeer(refused=frozenset(to[1:])).running() as peer:
        mail(peer.port, to=to).tell(MESSAGE)

    assert peer.given_to == [["a@clinic.example"]]
    assert [(one.message, vars(one)["count"]) for one in caplog.records] == [("addresses refused", 1)]


def test_a_letter_that_no_address_takes_is_refused() -> None:
    refused = frozenset(["pacs@clinic.example"])

    with MailPeer(refused=refused).running() as peer, pytest.raises(PeerRefusedError, match="every address"):
        mail(peer.port).tell(MESSAGE)


def test_no_server_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(PeerUnavailableError, match="no connection: Connection refused"):
        mail(port).tell(MESSAGE)


def test_a_server_that_drips_its_greeting_is_left_in_time() -> None:
    def drip(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        while True:
            connection.sendall(b"2")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    with raw_peer(drip) as url, pytest.raises(PeerUnavailableError, match="no whole answer within"):
        mail(int(url.rpartition(":")[2]), seconds=0.3).tell(MESSAGE)


def test_a_server_that_does_not_greet_with_220_gets_nothing() -> None:
    def busy(connection: socket.socket) -> None:
        connection.sendall(b"421 busy\r\n")

    with raw_peer(busy) as url, pytest.raises(PeerUnavailableError, match="421"):
        mail(int(url.rpartition(":")[2])).tell(MESSAGE)


def test_a_certificate_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailableError, match="a file of tls cannot be used"):
        mail(1, MailSecurity.TLS, ca=tmp_path / "gone.pem").tell(MESSAGE)
