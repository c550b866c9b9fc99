"""The audit trail on its way to a receiver: messages by the schema, syslog by the book, over real TLS."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.study import Instance
from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.audit_forwarding import Forwarder, backlog
from dibmg_node.services.audit_message import audit_message
from dibmg_node.services.syslog import SyslogPeer
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.wire import StoreRequest, TurnedAway
from dibmg_node.storage.trail import Trail, trail_file, trail_files
from dibmg_node.storage.trail_reading import load_bookmark
from tests.factories import START, Clock, instance
from tests.programs import find_program
from tests.services.audit_trail import AuditTrail
from tests.services.syslog_peer import WAIT_SECONDS, Receiver, xml_of
from tests.services.web_peers import make_certificates, server_tls

SCHEMA = Path(__file__).parent / "audit-message.rnc"
REQUEST = StoreRequest(
    "a1", 1, facts.MG_FOR_PRESENTATION, "1.2.3.4", facts.EXPLICIT_LE, "MG1", "DIBMG", "10.0.0.7"
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def receive(certificates: Path) -> Iterator[Callable[..., Receiver]]:
    with ExitStack() as open_ones:

        def start(name: str = "server", *, asks: bool = False, **options: bool) -> Receiver:
            receiver = Receiver(server_tls(certificates, name, asks=asks), **options)
            open_ones.callback(receiver.close)
            return receiver

        yield start


@pytest.fixture
def pass_on(trail: AuditTrail, tmp_path: Path, certificates: Path) -> Callable[..., Forwarder]:
    """A forwarder of the trail to a port."""

    def make(port: int, ca: str = "ca.pem", certificate: str = "") -> Forwarder:
        own = (
            (certificates / f"{certificate}.pem", certificates / f"{certificate}.key") if certificate else ()
        )
        peer = SyslogPeer("localhost", port, TlsFiles(certificates / ca, *own))
        return Forwarder(trail.folder, tmp_path / "audit-syslog.json", peer, Clock())

    return make


def every_event(trail: AuditTrail) -> None:
    """One of everything that the audit tells of."""
    auditor, one = trail.auditor, instance()
    auditor.started("intake")
    auditor.received(REQUEST, one, "aaaa")
    auditor.transfers_ended("a1")
    auditor.received(REQUEST, one, "")
    auditor.quarantined(REQUEST, one, "aaaa")
    auditor.turned_away(TurnedAway("fe80::1%eth0", 'A"<&>', "DIBMG", "calling AE title not recognized"))
    auditor.turned_away(TurnedAway("10.0.0.8", "", "", "TLS handshake failed"))
    auditor.authenticated("10.0.0.9")
    auditor.not_authenticated("10.0.0.9", "no token, or a wrong one")
    auditor.queried("10.0.0.9", "/dicom-web/studies", {"PatientName": "x", "StudyInstanceUID": "1.2"})
    auditor.queried("10.0.0.9", "/dicom-web/studies", {"PatientID": "P1"})
    auditor.accessed("10.0.0.9", "1.2", [facts.MAMMOGRAPHY_CAD_SR, facts.SECONDARY_CAPTURE], "aaaa")
    auditor.sending("pacs", "1.2", [facts.MAMMOGRAPHY_CAD_SR], "aaaa")
    auditor.sent("pacs", "1.2", [(facts.MAMMOGRAPHY_CAD_SR, DeliveryState.REFUSED, "0xC000")], "aaaa")
    auditor.sent("elsewhere", "1.2", [(facts.MAMMOGRAPHY_CAD_SR, DeliveryState.OWED, "")], "")
    auditor.deleted("1.2", "age", "aaaa")
    auditor.user_changed("otto", "", "anna", "user anna: added as viewer")
    auditor.log_used("otto", "10.0.0.9", "/audit?event=110113")
    auditor.log_used("", "10.0.0.9", "/audit")
    auditor.stopped("intake")


def tear(trail: AuditTrail) -> None:
    """Leave a torn line, which the next writer marks."""
    with trail_file(trail.folder, 1).open("ab") as file:
        file.write(b'{"seq": 17, "for')
    Trail(trail.folder, "after@host").append({}, START)


def test_every_message_is_valid_by_the_schema_of_the_standard(trail: AuditTrail, tmp_path: Path) -> None:
    every_event(trail)
    tear(trail)
    paths = []
    for line in trail.lines:
        if "event" in line:
            paths.append(tmp_path / f"{line['seq']}.xml")
            paths[-1].write_bytes(audit_message(line))

    checked = subprocess.run(
        [find_program("jing"), "-c", str(SCHEMA), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert {line["event"] for line in trail.lines if "event" in line} >= {
        "110100", "110101", "110102", "110103", "110104", "110105", "110112", "110113", "110114",
    }  # fmt: skip
    assert len(paths) >= 18
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_schema_finds_a_message_that_is_not_by_it(trail: AuditTrail, tmp_path: Path) -> None:
    trail.auditor.started("intake")
    path = tmp_path / "wrong.xml"
    path.write_bytes(audit_message(trail.lines[0]).replace(b'"0"', b'"1"'))

    checked = subprocess.run(
        [find_program("jing"), "-c", str(SCHEMA), str(path)], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, "EventOutcomeIndicator" in checked.stdout) == (1, True)


def test_a_message_tells_event_source_destination_study_and_pseudonym(trail: AuditTrail) -> None:
    one: Instance = instance()
    trail.auditor.received(REQUEST, one, "aaaa")
    trail.auditor.transfers_ended("a1")

    told: Element = fromstring(audit_message(trail.lines[1]))

    event = told.find("EventIdentification/EventID")
    assert event is not None
    assert event.attrib == {
        "csd-code": "110104",
        "codeSystemName": "DCM",
        "originalText": "DICOM Instances Transferred",
    }
    source, destination = told.findall("ActiveParticipant")
    assert (source.get("UserID"), source.get("UserIsRequestor"), destination.get("UserID")) == (
        "MG1",
        "true",
        "DIBMG",
    )
    assert (source.get("NetworkAccessPointID"), source.get("NetworkAccessPointTypeCode")) == ("10.0.0.7", "2")
    study, patient = told.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == one.study_uid
    sop_class = study.find("ParticipantObjectDescription/SOPClass")
    assert sop_class is not None
    assert sop_class.attrib == {"UID": facts.MG_FOR_PRESENTATION, "NumberOfInstances": "1"}
    assert patient.get("ParticipantObjectID") == "aaaa"


def test_a_message_of_a_search_carries_its_keys_in_base64(trail: AuditTrail) -> None:
    trail.auditor.queried("10.0.0.9", "/dicom-web/studies", {"PatientName": "x", "Modality": "SR"})

    told = fromstring(audit_message(trail.lines[0]))

    (searched,) = told.findall("ParticipantObjectIdentification")
    query = searched.findtext("ParticipantObjectQuery")
    assert query is not None
    assert searched.get("ParticipantObjectID") == "/dicom-web/studies"
    assert b64decode(query) == b"Modality=SR&PatientName=?"


def test_who_reads_the_trail_reads_the_security_audit_log(trail: AuditTrail) -> None:
    trail.auditor.log_used("otto", "10.0.0.9", "/audit?event=110113")

    told = fromstring(audit_message(trail.lines[0]))

    reader, node = told.findall("ActiveParticipant")
    (log,) = told.findall("ParticipantObjectIdentification")
    kinds = (log.get("ParticipantObjectTypeCode"), log.get("ParticipantObjectTypeCodeRole"))
    assert (reader.get("UserID"), reader.get("UserIsRequestor"), node.get("UserID")) == (
        "otto",
        "true",
        "DIBMG",
    )
    assert (log.get("ParticipantObjectID"), log.findtext("ParticipantObjectName"), kinds) == (
        "/audit",
        "Security Audit Log",
        ("2", "13"),
    )


def test_an_alert_about_a_user_has_the_user_as_its_subject_and_whoever_did_it_as_no_requestor(
    trail: AuditTrail,
) -> None:
    trail.auditor.user_changed("otto", "", "anna", "user anna: added as viewer")

    told = fromstring(audit_message(trail.lines[0]))

    kind = told.find("EventIdentification/EventTypeCode")
    (subject,) = told.findall("ParticipantObjectIdentification")
    id_type, detail = (
        subject.find(name) for name in ("ParticipantObjectIDTypeCode", "ParticipantObjectDetail")
    )
    assert kind is not None
    assert id_type is not None
    assert detail is not None
    assert (kind.get("csd-code"), kind.get("codeSystemName")) == ("110137", "DCM")
    assert [(one.get("UserID"), one.get("UserIsRequestor")) for one in told.findall("ActiveParticipant")] == [
        ("otto", "false"),
        ("DIBMG", "false"),
    ]
    assert (subject.get("ParticipantObjectID"), id_type.get("csd-code")) == ("anna", "11")
    assert (subject.get("ParticipantObjectTypeCode"), detail.get("type")) == ("2", "Alert Description")
    assert b64decode(detail.get("value", "")) == b"user anna: added as viewer"


def test_a_control_character_makes_no_message_unreadable(trail: AuditTrail) -> None:
    trail.auditor.turned_away(TurnedAway("10.0.0.8", "A\x00\x1b\ud800B", "", "odd"))

    told = fromstring(audit_message(trail.lines[0]))

    assert [one.get("UserID") for one in told.findall("ActiveParticipant")] == ["DIBMG", "A???B"]


def test_a_receiver_gets_every_line_once_in_order_with_its_header(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive()
    every_event(trail)
    forwarder = pass_on(receiver.port)

    while forwarder.forward():
        pass

    receiver.wait_for(len(trail.lines))
    assert [xml_of(one) for one in receiver.messages] == [audit_message(line) for line in trail.lines]
    head = receiver.messages[0].partition(b"\xef\xbb\xbf")[0].decode("ascii")
    assert re.fullmatch(
        r"<85>1 2026-03-04T05:06:07\.000\+00:00 \S+ dibmg [0-9]+ DICOM\+RFC3881 \[meta sequenceId=\"1\"\] ",
        head,
    )
    assert {one.partition(b">")[0] for one in receiver.messages} == {b"<85", b"<84", b"<83"}
    assert backlog(trail.folder, load_bookmark(forwarder.bookmark)) == ""


def test_a_receiver_that_closes_without_a_word_has_everything_too(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive(says_goodbye=False)
    every_event(trail)

    assert pass_on(receiver.port).forward() is True

    receiver.wait_for(len(trail.lines))
    assert pass_on(receiver.port).forward() is False


def test_a_forwarder_that_is_started_again_goes_on_where_the_last_one_was(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive()
    trail.auditor.started("intake")
    pass_on(receiver.port).forward()
    trail.auditor.stopped("intake")

    pass_on(receiver.port).forward()

    receiver.wait_for(2)
    assert [xml_of(one) for one in receiver.messages] == [audit_message(line) for line in trail.lines]


def test_what_a_receiver_did_not_take_is_sent_again(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive()
    receiver.resets = 2
    every_event(trail)
    forwarder = pass_on(receiver.port)

    for _ in range(2):
        with pytest.raises(PeerUnavailableError):
            forwarder.forward()
    waiting = backlog(trail.folder, load_bookmark(forwarder.bookmark))
    forwarder.forward()

    receiver.wait_for(len(trail.lines))
    assert waiting == trail.lines[0]["at"]
    assert len(receiver.messages) == len(trail.lines)


def test_a_trail_that_was_removed_is_passed_on_from_its_beginning_and_the_bookmark_says_so(
    trail: AuditTrail,
    receive: Callable[..., Receiver],
    pass_on: Callable[..., Forwarder],
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = receive()
    forwarder = pass_on(receiver.port)
    trail.auditor.started("intake")
    trail.auditor.started("web")
    forwarder.forward()
    for _, path in trail_files(trail.folder):
        path.unlink()
    trail.auditor.stopped("web")

    forwarder.forward()

    receiver.wait_for(3)
    assert xml_of(receiver.messages[2]) == audit_message(trail.lines[0])
    assert load_bookmark(forwarder.bookmark).cut_at == "2026-03-04T05:06:07+00:00"
    assert "audit trail ends before what was passed on" in caplog.text
    assert forwarder.forward() is False


def test_while_nobody_listens_lines_wait_and_the_bookmark_says_why(
    trail: AuditTrail, pass_on: Callable[..., Forwarder]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    trail.auditor.started("intake")
    forwarder = pass_on(port)

    with pytest.raises(PeerUnavailableError, match=f"syslog localhost:{port}: Connection refused"):
        forwarder.forward()

    assert load_bookmark(forwarder.bookmark).error == f"syslog localhost:{port}: Connection refused"
    assert load_bookmark(forwarder.bookmark).seq == 0


@pytest.mark.parametrize(
    ("name", "ca", "reason"),
    [
        ("server", "other-ca.pem", "certificate not accepted"),
        ("elsewhere", "ca.pem", "certificate not accepted"),
    ],
)
def test_a_receiver_that_is_not_who_it_should_be_gets_nothing(
    trail: AuditTrail,
    receive: Callable[..., Receiver],
    pass_on: Callable[..., Forwarder],
    name: str,
    ca: str,
    reason: str,
) -> None:
    receiver = receive(name)
    trail.auditor.started("intake")

    with pytest.raises(PeerUnavailableError, match=reason):
        pass_on(receiver.port, ca).forward()

    assert receiver.messages == []


def test_a_receiver_that_asks_for_a_certificate_takes_ours_and_none_else(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive(asks=True)
    trail.auditor.started("intake")

    for _ in range(20):  # by whose turn it is, the refusal is an alert or a reset
        with pytest.raises(PeerUnavailableError):
            pass_on(receiver.port).forward()
    pass_on(receiver.port, certificate="client").forward()

    receiver.wait_for(1)
    assert len(receiver.messages) == 1


def test_a_damaged_or_torn_line_holds_up_no_other(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive()
    trail.auditor.started("intake")
    with trail_file(trail.folder, 1).open("ab") as file:
        file.write(b'rubbish\n{"seq": 7, "event": "110100"}\n')
    trail.auditor.stopped("intake")

    pass_on(receiver.port).forward()

    receiver.wait_for(2)
    assert len(receiver.messages) == 2


def test_a_forwarder_on_its_thread_sends_what_comes_until_it_is_stopped(
    trail: AuditTrail, receive: Callable[..., Receiver], pass_on: Callable[..., Forwarder]
) -> None:
    receiver = receive()
    stopping = threading.Event()
    thread = threading.Thread(target=pass_on(receiver.port).run, args=(stopping,))
    thread.start()

    trail.auditor.started("intake")
    receiver.wait_for(1)
    trail.auditor.stopped("intake")
    receiver.wait_for(2)

    stopping.set()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
