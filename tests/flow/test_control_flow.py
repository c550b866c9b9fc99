"""Control of a node that runs: what is paused does nothing, and loses nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pacs import Orthanc

from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program


def test_an_exam_that_comes_while_analysis_is_paused_is_analyzed_when_it_is_resumed(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.cli("pause", "analysis", "--reason", "new weights").check_returncode()
    node.send(write_exam(tmp_path, study_uid="1.2.5.1"))
    node.wait_for_state("1.2.5.1", "READY")
    beats = {one.process: one.at for one in node.views.beats()}
    # the sweep has looked at it since, several times
    node.wait("1.2.5.1", lambda _: all(one.at > beats[one.process] for one in node.views.beats()))
    waiting = node.views.study("1.2.5.1")
    status = node.cli_json("status")

    node.cli("resume", "analysis").check_returncode()
    study = node.wait_for_state("1.2.5.1", "DELIVERED")

    assert waiting is not None
    assert (waiting["state"], waiting["attempts"]) == ("READY", 0)
    assert (status["health"], status["broker"]["analyses"]) == ("degraded", 0)
    assert [one["reason"] for one in status["pauses"]] == ["new weights"]
    assert len(orthanc.instances("1.2.5.1")) == len(study["results"])


def test_a_paused_destination_gets_its_results_when_it_is_resumed(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.cli("pause", "destination", "pacs").check_returncode()
    node.send(write_exam(tmp_path, study_uid="1.2.5.2"))
    study = node.wait_for_state("1.2.5.2", "ANALYZED")
    status = node.cli_json("status")

    node.cli("resume", "destination", "pacs").check_returncode()
    node.wait_for_state("1.2.5.2", "DELIVERED")

    (pacs,) = status["destinations"]
    assert (pacs["owed"], pacs["failing"]) == (len(study["results"]), 0)
    assert "destination pacs is paused since" in pacs["paused"]
    assert len(orthanc.instances("1.2.5.2")) == len(study["results"])


def test_while_intake_is_paused_a_sender_comes_again_and_loses_nothing(
    node: RunningNode, tmp_path: Path
) -> None:
    paths = write_exam(tmp_path, study_uid="1.2.5.3")
    node.cli("pause", "intake").check_returncode()

    rejected = node.try_send(paths, "-v")
    command = [find_program("echoscu"), "-aet", "MG1", "-aec", "DIBMG", "127.0.0.1", str(node.port)]
    echoed = subprocess.run(command, capture_output=True, timeout=60, check=False)
    node.cli("resume", "intake").check_returncode()
    node.send(paths)
    counted = node.wait_for_rejected()

    told = (rejected.stdout + rejected.stderr).decode()
    assert "Temporary Congestion" in told
    assert echoed.returncode == 0
    assert [(one["calling_aet"], one["times"], one["reason"]) for one in counted] == [
        ("MG1", 1, "temporary congestion: intake is paused")
    ]
    assert len(node.wait_for_state("1.2.5.3", "DELIVERED")["instances"]) == 4
