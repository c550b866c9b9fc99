"""Delivery proven by a real PACS: storage commitment, C-FIND, QIDO-RS; then purged, and sent again."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pacs import Orthanc

from dibmg_node.config import load_settings
from dibmg_node.storage.schema import deliveries
from dibmg_node.wiring import foundation
from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
DESTINATIONS = """\
[[destination]]
name = "committing"
address = "127.0.0.1"
port = {dicom}
ae_title = "DEMOPACS"
results = ["cad-sr"]
proof = "commitment"

[[destination]]
name = "searched"
address = "127.0.0.1"
port = {dicom}
ae_title = "DEMOPACS"
results = ["overlay"]
proof = "query"

[[destination]]
name = "web"
kind = "stow"
url = "http://127.0.0.1:{http}/dicom-web"
results = ["cad-sr"]
proof = "query"
"""


@pytest.fixture(scope="module")
def pacs_and_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, RunningNode]]:
    """An Orthanc that knows the node, and reports on an association of its own."""
    answers: dict[str, Any] = {
        "DicomAlwaysAllowFind": True,
        "Plugins": [PLUGIN],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    pacs = Orthanc(tmp_path_factory.mktemp("pacs"), find_program("Orthanc"), answers)
    text = DESTINATIONS.format(dicom=pacs.port, http=pacs.http)
    node = RunningNode(tmp_path_factory.mktemp("node"), {}, more=text)
    answers["DicomModalities"] = {"node": ["DIBMG", "127.0.0.1", node.port]}
    with pacs:
        node.start()
        try:
            yield pacs, node
        finally:
            node.stop()


def proven(study: dict[str, Any]) -> bool:
    return bool(study["deliveries"]) and all(one["state"] == "PROVEN" for one in study["deliveries"])


def test_a_real_pacs_proves_what_it_stored_by_commitment_by_c_find_and_by_qido(
    pacs_and_node: tuple[Orthanc, RunningNode], tmp_path: Path
) -> None:
    pacs, node = pacs_and_node
    study_uid = "1.2.7.1"

    node.send(write_exam(tmp_path, study_uid))
    study = node.wait(study_uid, proven)

    assert study["state"] == "DELIVERED"
    assert {(one["destination"], one["proof"]) for one in study["deliveries"]} == {
        ("committing", "commitment"),
        ("searched", "query"),
        ("web", "query"),
    }
    assert {one["sop_uid"] for one in study["deliveries"]} == {
        one.SOPInstanceUID for one in pacs.instances(study_uid)
    }
    told = {one["name"]: (one["stored"], one["proven"]) for one in node.cli_json("status")["destinations"]}
    assert all(stored == proven > 0 for stored, proven in told.values())


def test_a_study_that_is_proven_is_purged_and_read_again_when_it_comes_again(
    pacs_and_node: tuple[Orthanc, RunningNode], tmp_path: Path
) -> None:
    pacs, node = pacs_and_node
    study_uid = "1.2.7.2"
    exam = write_exam(tmp_path, study_uid)
    node.send(exam)
    first = node.wait(study_uid, proven)

    purged = node.cli_json("purge", "--older-than-days", "0", "--yes")
    gone = node.cli_json("study", study_uid)
    node.send(exam)
    again = node.wait(study_uid, lambda study: study["revision"] > 4 and study["state"] == "DELIVERED")

    assert study_uid in [one["study_uid"] for one in purged["studies"]]
    assert (gone["state"], gone["purged_at"] is None) == ("DELIVERED", False)
    assert all(one["purged"] for one in gone["instances"] + gone["results"])
    assert [one["sha256"] for one in again["results"]] == [one["sha256"] for one in first["results"]]
    assert not any(one["purged"] for one in again["instances"] + again["results"])
    assert all(one["attempts"] == 1 for one in again["deliveries"])
    assert len(pacs.instances(study_uid)) == len(again["results"])


def test_a_destination_that_hangs_delays_no_other_and_raises_the_alarm_after_an_hour(
    pacs_and_node: tuple[Orthanc, RunningNode], make_node: Callable[..., RunningNode], tmp_path: Path
) -> None:
    pacs, _ = pacs_and_node
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and says nothing
        ports = {"a-silent": silent.getsockname()[1], "pacs": pacs.port}
        node = make_node(ports, more="[alarms]\nhold_seconds = 0\n").start()
        for number in range(3):
            node.send(write_exam(tmp_path / str(number), f"1.2.7.3.{number}"))

        for number in range(3):
            study = node.wait(f"1.2.7.3.{number}", lambda study: states_at(study, "pacs") == {"STORED"})
            assert states_at(study, "a-silent") == {"OWED"}
        make_older(node, timedelta(hours=1))
        log, told_alarm = node.folder / "var" / "logs" / "sweep.log", '"event": "alarm"'
        node.wait("1.2.7.3.0", lambda _: told_alarm in log.read_text())
        status = node.cli("status", "--json")

    told = json.loads(status.stdout)
    assert status.returncode == 1
    assert [(one["key"], one["subject"]) for one in told["alarms"]] == [("delivery", "a-silent")]
    assert any(reason.startswith("alarm: a-silent: ") for reason in told["reasons"])
    assert log.read_text().count(told_alarm) == 1


def states_at(study: dict[str, Any], destination: str) -> set[str]:
    return {one["state"] for one in study["deliveries"] if one["destination"] == destination}


def make_older(node: RunningNode, age: timedelta) -> None:
    """Have the ledger say that everything is owed for longer."""
    ledger = foundation.open_node_ledger(load_settings(node.config))
    with ledger.engine.begin() as connection:
        connection.execute(deliveries.update().values(owed_since=foundation.now() - age))
    ledger.engine.dispose()
