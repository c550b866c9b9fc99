"""Words that name a woman go through everything, and come out nowhere but in archive and results."""

from __future__ import annotations

import json
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from click.testing import CliRunner
from pacs import free_port
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from dibmg_node.cli.main import cli
from dibmg_node.dicom import facts
from tests.factories import STANDARD_VIEWS, mammogram, part10
from tests.flow.running_node import DIBMG, PATIENCE_SECONDS, RunningNode
from tests.services.syslog_peer import Receiver, xml_of
from tests.services.web_peers import Asked, Told, WebPeer, item, make_certificates, server_tls
from tests.web.multipart import body_of, content_type

TOKEN = "a-token-of-some-length"
WORDS = {
    "PatientName": "QUAXNAME^QUAXGIVEN",
    "PatientID": "QUAXID77",
    "PatientBirthDate": "19440102",
    "AccessionNumber": "QUAXACC88",
    "IssuerOfPatientID": "QUAXISSUER",
    "OtherPatientIDs": "QUAXOTHER",
    "PatientAddress": "QUAXSTREET",
    "PatientComments": "QUAXCOMMENT",
    "ImageComments": "QUAXIMAGE",
    "StudyDescription": "QUAXSTUDY",
    "SeriesDescription": "QUAXSERIES",
    "StudyID": "QUAXSTUDYID",
    "ReferringPhysicianName": "QUAXDOCTOR",
    "OperatorsName": "QUAXOPERATOR",
    "InstitutionName": "QUAXCLINIC",
    "RetrieveAETitle": "QUAXAET",
    "StationName": "QUAXSTATION",
    "ProtocolName": "QUAXPROTOCOL",
}
MARK, BIRTH = "QUAX", "19440102"
"""What all words have in common, and the one that is a date."""
SPOILED = (
    "WindowCenter",
    "ImagerPixelSpacing",
    "PatientAge",
    "AcquisitionDate",
    "NumberOfFrames",
    "FrameOfReferenceUID",
)
"""Attributes whose value is spoiled with a canary: whoever parses it may quote it."""


def canary(view: object = STANDARD_VIEWS[0], study_uid: str = "1.2.5.1", **changes: object) -> FileDataset:
    return mammogram(view, study_uid=study_uid, **{**WORDS, **changes})  # type: ignore[arg-type]


def exam(study_uid: str, **changes: object) -> list[FileDataset]:
    return [canary(view, study_uid, **changes) for view in STANDARD_VIEWS]


def spoiled(study_uid: str) -> list[FileDataset]:
    """An exam whose numbers, dates and UIDs are words; on a wire without VRs nobody sees it."""
    made = exam(study_uid, transfer_syntax_uid=facts.IMPLICIT_LE)
    for dataset in made:
        for number, keyword in enumerate(SPOILED):
            element = dataset.get(keyword) or DataElement(keyword, "LO", "")
            tag = DataElement(keyword, "LO", "").tag
            assert element is not None
            dataset[tag] = DataElement(tag, "LO", f"{MARK}SPOILED{number}")
    return made


def broken_pixels(study_uid: str) -> list[FileDataset]:
    """An exam whose compressed pixels are words."""
    made = exam(study_uid, transfer_syntax_uid=facts.JPEG_LS_LOSSLESS)
    for dataset in made:
        dataset.PixelData = dataset.PixelData[:40] + MARK.encode() * 50 + dataset.PixelData[240:]
    return made


def written(folder: Path, data_sets: list[FileDataset]) -> list[Path]:
    """Data sets as files."""
    folder.mkdir()
    for number, dataset in enumerate(data_sets):
        (folder / f"{number}.dcm").write_bytes(part10(dataset))
    return sorted(folder.iterdir())


@contextmanager
def quoting_pacs() -> Iterator[int]:
    """A PACS that refuses everything and quotes the patient in its Error Comment."""

    def store(event: evt.Event) -> Dataset:
        told = Dataset()
        told.Status = 0xC123
        told.ErrorComment = f"no order for {event.dataset.PatientName} {event.dataset.PatientID}"[:64]
        return told

    ae = AE("QUOTING")
    for sop_class in (facts.SECONDARY_CAPTURE, facts.MAMMOGRAPHY_CAD_SR, facts.VERIFICATION):
        ae.add_supported_context(sop_class, ALL_TRANSFER_SYNTAXES)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def quoting_archive(asked: Asked) -> Told:
    """A web server that refuses everything and quotes the patient in body and headers."""
    if asked.method == "GET":
        return Told(500, MARK.encode(), {"X-Reason": MARK})
    name = str(asked.files[0].PatientName)
    failed = [
        item(uid, "00081197", 0xC123) | {"00000902": {"vr": "LO", "Value": [name]}} for uid in asked.sop_uids
    ]
    body = {"00081198": {"vr": "SQ", "Value": failed}, "00000902": {"vr": "LO", "Value": [name]}}
    headers = {"Content-Type": "application/dicom+json", "X-Reason": name, "Warning": f'299 x "{name}"'}
    return Told(409, json.dumps(body).encode(), headers)


def c_store(port: int, data_sets: list[FileDataset]) -> list[int]:
    """Send as they are, with pynetdicom; the statuses."""
    ae = AE("MG1")
    for syntax in {d.file_meta.TransferSyntaxUID for d in data_sets}:
        ae.add_requested_context(facts.MG_FOR_PRESENTATION, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="DIBMG")
    assert association.is_established
    try:
        return [int(association.send_c_store(one).Status) for one in data_sets]
    finally:
        association.release()


@dataclass
class Trodden:
    """A node after everything, what its commands and its standard error said, and its audit messages."""

    node: RunningNode
    told: str
    messages: list[bytes]


@pytest.fixture(scope="module")
def trodden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trodden]:
    """A node that has taken, refused, quarantined, failed on, sent, searched and given out canaries."""
    folder = tmp_path_factory.mktemp("canary")
    port = free_port()
    certificates = make_certificates(tmp_path_factory.mktemp("tls"))
    receiver = Receiver(server_tls(certificates))
    with (
        closing(receiver),
        pytest.MonkeyPatch.context() as patch,
        quoting_pacs() as pacs,
        WebPeer(quoting_archive).running() as archive,
    ):
        patch.setenv("DIBMG_STOW_TOKEN", TOKEN)
        more = (
            f'[audit]\nsyslog = "localhost:{receiver.port}"\nca = "{certificates / "ca.pem"}"\n'
            f'[node]\nlog_level = "debug"\n[web]\nport = {port}\n[stow]\nenabled = true\n'
            f'[[destination]]\nname = "archive"\nkind = "stow"\nurl = "{archive.url}"\n'
        )
        node = RunningNode(folder, {"quoting": pacs}, more=more).start()
        web = f"http://127.0.0.1:{port}/dicom-web"
        try:
            exercise(node, web)
            receiver.wait_for(len(node.cli_json("audit", "show", "--limit", "1000")))
            told = look(node)
        finally:
            stopped = node.process
            assert stopped is not None
            assert stopped.stderr is not None
            stopped.terminate()
            told_at_the_end = stopped.communicate(timeout=PATIENCE_SECONDS)[1]
        yield Trodden(node, told + told_at_the_end, receiver.messages)


def exercise(node: RunningNode, web: str) -> None:
    """Everything that a study can meet."""
    good = exam("1.2.5.1")
    assert c_store(node.port, good) == [0, 0, 0, 0]
    assert c_store(node.port, [good[0]]) == [0]
    assert c_store(node.port, [canary(PatientName="QUAXOTHERNAME")]) == [0xC000]
    refused = [
        canary(study_uid="1.2.5.9", StudyInstanceUID="QUAXUID.1"),
        canary(study_uid="1.2.5.9", StudyInstanceUID="../QUAXUID\n"),
        canary(study_uid="1.2.5.9", StudyInstanceUID=None),
    ]
    assert {status >> 12 for status in c_store(node.port, refused)} <= {0xA, 0xC}
    node.send(written(node.folder / "broken", broken_pixels("1.2.5.2")), "-xt")
    node.send(written(node.folder / "spoiled", spoiled("1.2.5.3")), "-xi")
    ae = AE("EVIL")
    ae.add_requested_context(facts.VERIFICATION)
    assert not ae.associate("127.0.0.1", node.port, ae_title="NOBODY").is_established
    stow(web, [part10(one) for one in exam("1.2.5.4")], 200)
    stow(web, [part10(canary(study_uid="1.2.5.4", PatientName="QUAXSTOW"))], 409)
    stow(web, [b"\0" * 128 + b"DICM" + b"QUAXRUBBISH" * 30], 409)
    for study_uid in ("1.2.5.1", "1.2.5.2", "1.2.5.3", "1.2.5.4"):
        node.wait(study_uid, lambda s: s["state"] in ("EXCLUDED", "FAILED") and settled(s))
    for path in (
        "/studies?PatientName=QUAXNAME*&PatientBirthDate=19440102",
        "/studies?PatientID=QUAXID77&AccessionNumber=QUAXACC88",
        "/studies?QUAXKEY=QUAXVALUE",
        "/studies/QUAXUID/series",
        "/studies/1.2.5.1",
        "/studies/1.2.5.1/metadata",
        "/QUAXNOWHERE",
    ):
        assert httpx.get(web + path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code < 500
    assert (
        httpx.get(f"{web}/studies?PatientName=QUAXNAME", headers={"Authorization": "QUAX QUAX"}).status_code
        == 401
    )
    assert node.cli("retry", "1.2.5.1", "--delivery").returncode == 0
    node.wait("1.2.5.1", lambda s: settled(s) and len([e for e in s["timeline"] if "refused" in str(e)]) > 1)


def stow(web: str, parts: list[bytes], status: int) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type()}
    answer = httpx.post(f"{web}/studies", content=body_of(parts), headers=headers, timeout=60)
    assert answer.status_code == status, answer.text


def settled(study: dict) -> bool:
    return bool(study["deliveries"]) and all(one["state"] != "OWED" for one in study["deliveries"])


def look(node: RunningNode) -> str:
    """What every command says."""
    commands = [["status"], ["studies"], ["audit", "show"], ["audit", "verify"], ["echo"]]
    for study_uid in ("1.2.5.1", "1.2.5.2", "1.2.5.3", "1.2.5.4"):
        commands += [["study", study_uid], ["explain", study_uid]]
    where = ["--config", str(node.config)]
    asked = [[*command, *form, *where] for command in commands for form in ([], ["--json"])]
    return "".join(CliRunner().invoke(cli, one).output for one in asked)


def kept_files(node: RunningNode) -> list[Path]:
    """Every file of the node but the images that it received and the results that it made."""
    archive = node.folder / "var" / "archive"
    files = [path for path in (node.folder / "var").rglob("*") if path.is_file()]
    return [path for path in files if not path.is_relative_to(archive)]


def test_no_file_that_the_node_keeps_names_her(trodden: Trodden) -> None:
    words = (MARK.encode(), MARK.lower().encode(), BIRTH.encode())
    files = kept_files(trodden.node)

    found = [(path.name, word) for path in files for word in words if word in path.read_bytes()]

    names = {path.name for path in files}
    assert {
        "ledger.sqlite",
        "intake.log",
        "web.log",
        "model.log",
        "delivery.log",
        "audit-000001.jsonl",
    } <= names
    assert any("aof" in name for name in names)
    assert found == []


def test_no_name_of_a_file_names_her(trodden: Trodden) -> None:
    assert [path for path in (trodden.node.folder / "var").rglob("*") if MARK in path.name] == []


def test_no_command_and_no_error_names_her(trodden: Trodden) -> None:
    assert "refused" in trodden.told
    assert [word for word in (MARK, BIRTH) if word in trodden.told] == []


def test_no_audit_message_names_her(trodden: Trodden) -> None:
    texts = []
    for message in trodden.messages:
        for element in fromstring(xml_of(message)).iter():
            texts += [element.text or "", *element.attrib.values()]
            if element.tag in ("ParticipantObjectQuery", "ParticipantObjectDetail"):
                texts.append(b64decode(element.text or element.attrib["value"]).decode())

    assert any("PatientName=?" in text for text in texts)
    assert [text for text in texts if MARK in text.upper() or BIRTH in text] == []


def test_status_tells_that_every_audit_line_was_passed_on(trodden: Trodden) -> None:
    assert re.search(r'"sent": [1-9][0-9]*,\s*"waiting": 0,', trodden.told)


def test_the_archive_has_her_as_she_was_sent(trodden: Trodden) -> None:
    """Else the canary did not come that far, and nothing above says anything."""
    archive = trodden.node.folder / "var" / "archive"

    counted = {
        folder: sum(MARK.encode() in path.read_bytes() for path in (archive / folder).rglob("*.dcm"))
        for folder in ("instances", "results", "quarantine")
    }

    assert counted["instances"] == 16
    assert counted["results"] > 8
    assert counted["quarantine"] == 2


def test_everything_happened_that_could_name_her(trodden: Trodden) -> None:
    folder = trodden.node.folder / "var"
    logs = "".join(path.read_text() for path in (folder / "logs").glob("*.log"))
    events = {line["name"] for line in trodden.node.cli_json("audit", "show", "--limit", "1000")}

    for phrase in (
        "instance refused",
        "other bytes under a known instance UID; quarantined",
        "association rejected",
        "result refused",
        "delivery published",
        '"level": "debug"',
    ):
        assert phrase in logs
    assert {
        "Application Activity",
        "Begin Transferring DICOM Instances",
        "DICOM Instances Transferred",
        "DICOM Instances Accessed",
        "Query",
        "Security Alert",
        "User Authentication",
    } == events


def test_the_audit_trail_is_whole_and_tells_of_every_process_that_it_started_and_stopped(
    trodden: Trodden,
) -> None:
    ended = subprocess.run(
        [*DIBMG, "audit", "verify", "--config", str(trodden.node.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = trodden.node.cli_json("audit", "show", "--event", "110100")

    started = {line["process"].partition("@")[0] for line in shown if line["type"] == "110120"}
    stopped = {line["process"].partition("@")[0] for line in shown if line["type"] == "110121"}
    assert ended.returncode == 0, ended.stdout
    assert started == stopped == {"node", "intake", "web", "sweep", "analysis", "delivery"}
