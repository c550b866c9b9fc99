"""Results go out by DICOMweb: to a real Orthanc, and to servers that refuse, beside C-STORE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pacs import Orthanc
from pydicom import dcmread
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from dibmg_node.config import load_settings
from dibmg_node.dicom import facts
from dibmg_node.wiring import foundation
from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program
from tests.services.web_peers import Asked, Told, WebPeer, store_answer

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STOW = '[[destination]]\nname = "archive"\nkind = "stow"\nurl = "{}"\n'
FULL_SET = sorted([facts.MAMMOGRAPHY_CAD_SR, *[facts.SECONDARY_CAPTURE] * 4])
TOKEN = "token-that-nobody-may-see"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS with DICOMweb."""
    assert Path(PLUGIN).exists(), "orthanc-dicomweb is missing; `make test` installs it"
    options = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    folder = tmp_path_factory.mktemp("archive")
    with Orthanc(folder, find_program("Orthanc"), options) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def stow_node(tmp_path_factory: pytest.TempPathFactory, archive: Orthanc) -> Iterator[RunningNode]:
    """A node that delivers to it."""
    running = RunningNode(tmp_path_factory.mktemp("node"), {}, more=web_address(archive)).start()
    try:
        yield running
    finally:
        running.stop()


def web_address(archive: Orthanc) -> str:
    return STOW.format(f"http://127.0.0.1:{archive.http}/dicom-web")


def states(study: dict, destination: str) -> dict[str, str]:
    """State of each kind of result at a destination."""
    kinds = {one["sop_uid"]: one["kind"] for one in study["results"]}
    return {
        kinds[one["sop_uid"]]: one["state"]
        for one in study["deliveries"]
        if one["destination"] == destination
    }


def settled(study: dict) -> bool:
    return bool(study["deliveries"]) and all(one["state"] != "OWED" for one in study["deliveries"])


def test_an_exam_sent_by_storescu_goes_out_by_stow_to_a_real_pacs(
    stow_node: RunningNode, archive: Orthanc, tmp_path: Path
) -> None:
    stow_node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.1"))

    study = stow_node.wait_for_state("1.2.4.1", "DELIVERED")

    received = archive.instances("1.2.4.1")
    assert sorted(str(one.SOPClassUID) for one in received) == FULL_SET
    assert {(one["state"], one["status"]) for one in study["deliveries"]} == {("STORED", "200")}
    ours = foundation.open_archive(load_settings(stow_node.config))
    for one in received:
        sent = dcmread(ours.result_path(str(one.SOPInstanceUID)))
        assert one.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert one == sent
    (answer,) = stow_node.cli_json("echo")
    assert (answer["destination"], answer["answers"]) == ("archive", True)
    assert stow_node.cli("status").returncode == 0


def test_a_pacs_that_gets_its_results_twice_has_them_once(
    stow_node: RunningNode, archive: Orthanc, tmp_path: Path
) -> None:
    stow_node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.2"))
    stow_node.wait_for_state("1.2.4.2", "DELIVERED")

    assert stow_node.cli("retry", "1.2.4.2", "--delivery").returncode == 0

    stow_node.wait("1.2.4.2", lambda s: s["state"] == "DELIVERED" and len(_sent(s)) == 2)
    assert len(archive.instances("1.2.4.2")) == 5


def _sent(study: dict) -> list[dict]:
    return [one for one in study["timeline"] if one["event"] == "sent"]


@contextmanager
def scp_without_reports() -> Iterator[tuple[int, list[str]]]:
    """A PACS that takes images alone; gives its port and what it took."""
    taken: list[str] = []

    def store(event: evt.Event) -> int:
        taken.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    ae = AE("IMAGES")
    ae.add_supported_context(facts.SECONDARY_CAPTURE, ALL_TRANSFER_SYNTAXES)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()


def test_a_pacs_that_takes_no_report_by_c_store_fails_alone_and_visibly(
    make_node: Callable[..., RunningNode], archive: Orthanc, tmp_path: Path
) -> None:
    with scp_without_reports() as (port, taken):
        node = make_node({"pacs": port}, more=web_address(archive)).start()
        node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.3"))

        study = node.wait_for_state("1.2.4.3", "FAILED")

    assert states(study, "pacs") == {"cad-sr": "REFUSED", "overlay": "STORED"}
    assert states(study, "archive") == {"cad-sr": "STORED", "overlay": "STORED"}
    assert study["reason"].startswith("pacs refused (no presentation context")
    assert len(taken) == 4
    assert len(archive.instances("1.2.4.3")) == 5
    status = node.cli("status")
    assert (status.returncode, "pacs: 1 result was refused" in status.stdout) == (1, True)


def without_reports(asked: Asked) -> Told:
    """A web server that takes images alone."""
    reports = [str(one.SOPInstanceUID) for one in asked.files if one.Modality == "SR"]
    return store_answer(
        [uid for uid in asked.sop_uids if uid not in reports], dict.fromkeys(reports, 0x0122), status=202
    )


def test_a_server_that_takes_no_report_by_stow_fails_alone_and_visibly(
    make_node: Callable[..., RunningNode], archive: Orthanc, tmp_path: Path
) -> None:
    with WebPeer(without_reports).running() as web:
        node = make_node({"pacs": archive.port}, more=STOW.format(web.url)).start()
        node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.4"))

        study = node.wait_for_state("1.2.4.4", "FAILED")

    assert states(study, "archive") == {"cad-sr": "REFUSED", "overlay": "STORED"}
    assert states(study, "pacs") == {"cad-sr": "STORED", "overlay": "STORED"}
    assert study["reason"] == "archive refused (202 0x0122)"
    assert len(archive.instances("1.2.4.4")) == 5
    (asked,) = web.asked
    assert [one.Modality for one in asked.files] == ["OT"] * 4 + ["SR"]


def test_a_server_that_is_busy_gets_its_results_later_and_no_log_tells_its_token(
    make_node: Callable[..., RunningNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_TEST_TOKEN", TOKEN)
    answers = iter([Told(503, headers={"Retry-After": "2"})])

    def busy_first(asked: Asked) -> Told:
        return next(answers, None) or store_answer(asked.sop_uids)

    with WebPeer(busy_first).running() as web:
        more = STOW.format(web.url) + 'token_env = "DIBMG_TEST_TOKEN"\n'
        node = make_node({}, more=more).start()
        node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.5"))
        study = node.wait_for_state("1.2.4.5", "DELIVERED")

    assert {one["attempts"] for one in study["deliveries"]} == {2}
    assert {asked.headers["authorization"] for asked in web.asked} == {f"Bearer {TOKEN}"}
    commands = (("status",), ("study", "1.2.4.5", "--json"), ("config", "show"), ("echo", "--json"))
    ended = [node.cli(*command) for command in commands]
    told = "".join(one.stdout + one.stderr for one in ended)
    files = [path for path in (node.folder / "var").rglob("*") if path.is_file()]
    assert "DIBMG_TEST_TOKEN" in told
    assert TOKEN not in told
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_a_node_without_the_secrets_that_it_needs_does_not_come_up(
    make_node: Callable[..., RunningNode],
) -> None:
    more = STOW.format("https://archive.example") + (
        'username = "u"\npassword_env = "DIBMG_TEST_NOT_SET"\n[destination.tls]\nca = "no-such.pem"\n'
    )
    node = make_node({}, more=more)

    ended = node.up()

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "destination.0.password_env: DIBMG_TEST_NOT_SET: not set in the environment, "
        "nor DIBMG_TEST_NOT_SET_FILE",
        "destination.0.tls: a file cannot be used: No such file or directory",
    ]
