"""Delivery proven by a real PACS: storage commitment, C-FIND, QIDO-RS; then purged, and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pacs import Orthanc

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
