"""DICOMweb at a whole node: real clients store, search and retrieve; a kill loses nothing answered."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from dicomweb_client.api import DICOMwebClient
from pacs import Orthanc, free_port
from pydicom import dcmread
from requests.exceptions import HTTPError

from dibmg_node.dicom import facts
from tests.factories import CANARY, R_CC, mammogram, part10, write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program
from tests.web.multipart import body_of, content_type

MakeNode = Callable[..., RunningNode]

FULL_SET = sorted([facts.MAMMOGRAPHY_CAD_SR, *[facts.SECONDARY_CAPTURE] * 4])


def web(port: int) -> str:
    return f"[web]\nport = {port}\n[stow]\nenabled = true\n"


def client_of(port: int) -> DICOMwebClient:
    return DICOMwebClient(f"http://127.0.0.1:{port}/dicom-web")


@pytest.fixture(scope="module")
def web_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def web_orthanc(tmp_path_factory: pytest.TempPathFactory, web_port: int) -> Iterator[Orthanc]:
    """A real PACS that takes results by C-STORE and sends images by STOW-RS."""
    more = {
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True, "Servers": {"node": [f"http://127.0.0.1:{web_port}/dicom-web/"]}},
    }
    folder = tmp_path_factory.mktemp("orthanc-web")
    with Orthanc(folder, find_program("Orthanc"), more) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def web_node(
    tmp_path_factory: pytest.TempPathFactory, web_orthanc: Orthanc, web_port: int
) -> Iterator[RunningNode]:
    """A node that takes images by STOW-RS and delivers by C-STORE; it is drained to a good end."""
    folder = tmp_path_factory.mktemp("web-node")
    running = RunningNode(folder, {"pacs": web_orthanc.port}, more=web(web_port)).start()
    try:
        yield running
    finally:
        code = running.stop()
    assert code == 0


def test_an_exam_stowed_by_orthanc_comes_back_to_it_by_c_store(
    web_node: RunningNode, web_orthanc: Orthanc, tmp_path: Path
) -> None:
    uploaded = [
        json.loads(web_orthanc.ask("/instances", path.read_bytes()))["ID"]
        for path in write_exam(tmp_path, study_uid="1.2.5.1")
    ]

    order = json.dumps({"Resources": uploaded, "Synchronous": True}).encode()
    web_orthanc.ask("/dicom-web/servers/node/stow", order)

    study = web_node.wait_for_state("1.2.5.1", "DELIVERED")
    held = [i for i in web_orthanc.instances("1.2.5.1") if i.Modality in ("SR", "OT", "MG")]
    results = [i for i in held if str(i.SOPClassUID) != facts.MG_FOR_PRESENTATION]
    assert sorted(str(i.SOPClassUID) for i in results) == FULL_SET
    assert {i["code"] for i in study["instances"]} == {"USED"}


def test_a_web_client_stores_an_exam_and_finds_and_gets_its_results(
    web_node: RunningNode, web_port: int, tmp_path: Path
) -> None:
    client = client_of(web_port)
    images = [dcmread(path) for path in write_exam(tmp_path, study_uid="1.2.5.2", PatientID="WEB2")]

    response = client.store_instances(images, study_instance_uid="1.2.5.2")

    study = web_node.wait_for_state("1.2.5.2", "DELIVERED")
    stored = [item.ReferencedSOPInstanceUID for item in response.ReferencedSOPSequence]
    assert stored == [image.SOPInstanceUID for image in images]
    assert response.RetrieveURL.endswith("/dicom-web/studies/1.2.5.2")
    expected = {result["sop_uid"] for result in study["results"]}
    (found,) = client.search_for_studies(search_filters={"PatientID": "WEB2"})
    assert found["0020000D"]["Value"] == ["1.2.5.2"]
    listed = client.search_for_instances(study_instance_uid="1.2.5.2")
    assert {one["00080018"]["Value"][0] for one in listed} == expected
    retrieved = client.retrieve_study("1.2.5.2")
    assert {str(one.SOPInstanceUID) for one in retrieved} == expected
    described = client.retrieve_study_metadata("1.2.5.2")
    assert {one["00080018"]["Value"][0] for one in described} == expected


def test_what_a_client_gets_in_any_transfer_syntax_is_what_was_delivered(
    web_node: RunningNode, web_orthanc: Orthanc, web_port: int, tmp_path: Path
) -> None:
    web_node.send(write_exam(tmp_path, study_uid="1.2.5.3"))
    web_node.wait_for_state("1.2.5.3", "DELIVERED")

    retrieved = client_of(web_port).retrieve_study("1.2.5.3", media_types=(("application/dicom", "*"),))

    delivered = {i.SOPInstanceUID: i for i in web_orthanc.instances("1.2.5.3")}
    assert len(retrieved) == 5
    assert all(one == delivered[one.SOPInstanceUID] for one in retrieved)


def test_an_instance_of_another_study_than_the_urls_is_refused(web_node: RunningNode, web_port: int) -> None:
    with pytest.raises(HTTPError) as refused:
        client_of(web_port).store_instances([mammogram(study_uid="1.2.5.4")], study_instance_uid="1.2.5.5")

    answer = refused.value.response
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [272]


def test_a_web_server_killed_in_mid_request_loses_no_answered_instance_and_leaves_no_file(
    web_node: RunningNode, web_port: int
) -> None:
    node, port = web_node, web_port
    client_of(port).store_instances([mammogram(R_CC, study_uid="1.2.5.6")])
    killed = node.pid_of("web")
    half = part10(mammogram(R_CC, study_uid="1.2.5.7", number=1))[:-100]
    body = body_of([half])[: -len(b"\r\n--boundary--\r\n")]
    with socket.create_connection(("127.0.0.1", port)) as sender:
        head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type()}\r\n"
        sender.sendall(f"{head}Content-Length: {10**7}\r\n\r\n".encode() + body + b"\0" * 2_000_000)
        spool = node.folder / "var" / "archive" / "spool-web"
        node.wait_for_file(spool)

        node.kill_role("web")

    node.wait_for_role("web", other_than=killed)
    assert node.views.study("1.2.5.6") is not None
    assert node.views.study("1.2.5.7") is None
    assert list(spool.iterdir()) == []
    response = client_of(port).store_instances([mammogram(R_CC, study_uid="1.2.5.7", number=1)])
    assert len(response.ReferencedSOPSequence) == 1


def test_status_shows_the_web_server(web_node: RunningNode, web_port: int) -> None:
    told = web_node.cli_json("status")
    with urlopen(f"http://127.0.0.1:{web_port}/health/ready") as answer:
        ready = json.load(answer)

    assert told["web"] == {
        "url": f"http://127.0.0.1:{web_port}/dicom-web",
        "stow": True,
        "token": False,
        "insecure": False,
    }
    assert [row["alive"] for row in told["processes"] if row["process"].startswith("web@")] == [True]
    assert ready == {"ready": True, "reasons": []}


def test_an_instance_that_is_refused_is_counted_by_status(web_node: RunningNode, web_port: int) -> None:
    with pytest.raises(HTTPError):
        client_of(web_port).store_instances([mammogram(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6")])

    told = web_node.wait_for_rejected()

    assert [(one["calling_aet"], one["times"], one["reason"]) for one in told] == [
        ("STOW-RS", 1, "instance refused, 0x0122: SOP class is not accepted")
    ]


def test_a_node_whose_web_port_is_taken_says_so_and_ends(make_node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = make_node({}, more=web(port))

        ended = node.up()

    assert ended.returncode == 1
    assert f"web ended before it listened on 127.0.0.1:{port}" in ended.stderr


def test_no_log_of_the_web_server_holds_what_was_searched_for(web_node: RunningNode, web_port: int) -> None:
    name = CANARY.partition("^")[0]

    client_of(web_port).search_for_studies(search_filters={"PatientName": f"{name}*"})

    log = (web_node.folder / "var" / "logs" / "web.log").read_text()
    assert '"event": "request answered"' in log
    assert name not in log
