"""What a node survives: killed workers, a PACS that is down, its own restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pacs import Orthanc

from dibmg_node.dicom import facts
from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program

MakeNode = Callable[..., RunningNode]


def test_a_worker_killed_in_mid_analysis_leaves_exactly_one_set_of_results(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.1", rows=3328, columns=2560))
    node.wait_for_state("1.2.4.1", "ANALYZING")

    node.kill_role("analysis")

    study = node.wait_for_state("1.2.4.1", "DELIVERED")
    events = [entry["event"] for entry in study["timeline"]]
    assert events.count("claimed") == 2
    assert events.count("reported") == 1
    classes = sorted(str(i.SOPClassUID) for i in orthanc.instances("1.2.4.1"))
    assert classes == sorted([facts.MAMMOGRAPHY_CAD_SR, *[facts.SECONDARY_CAPTURE] * 4])


def test_processes_that_are_killed_are_started_again_and_the_next_exam_goes_through(
    node: RunningNode, tmp_path: Path
) -> None:
    roles = ("intake", "sweep", "delivery")
    before = {role: node.pid_of(role) for role in roles}

    for role in roles:
        node.kill_role(role)

    for role in roles:
        node.wait_for_role(role, other_than=before[role])
    node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.2"))
    node.wait_for_state("1.2.4.2", "DELIVERED")


def test_a_worker_that_starts_removes_what_the_last_one_left_half_written(node: RunningNode) -> None:
    drafts = node.folder / "var" / "archive" / "drafts"
    (drafts / "half").write_bytes(b"half a result")
    killed = node.pid_of("analysis")

    node.kill_role("analysis")

    node.wait_for_role("analysis", other_than=killed)
    assert list(drafts.iterdir()) == []


def test_a_broker_that_is_killed_costs_nothing_but_time(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.6"))

    node.kill_broker()

    node.wait_for_state("1.2.4.6", "DELIVERED")
    assert len(orthanc.instances("1.2.4.6")) == 5


def test_results_wait_for_a_pacs_that_is_down_and_arrive_once_it_is_back(
    make_node: MakeNode, tmp_path: Path
) -> None:
    pacs = Orthanc(tmp_path / "orthanc", find_program("Orthanc"))
    node = make_node({"pacs": pacs.port}).start()
    node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.3"))
    node.wait("1.2.4.3", lambda s: any(d["attempts"] >= 1 for d in s["deliveries"]))
    status = node.cli("status")

    with pacs:
        study = node.wait_for_state("1.2.4.3", "DELIVERED")

        assert len(pacs.instances("1.2.4.3")) == 5
    assert status.returncode == 1
    assert "could not be sent yet" in status.stdout
    assert {d["state"] for d in study["deliveries"]} == {"STORED"}


def test_a_node_that_is_killed_whole_finishes_after_its_restart(
    make_node: MakeNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node = make_node({"pacs": orthanc.port}).start()
    node.send(write_exam(tmp_path / "exam", study_uid="1.2.4.4", rows=3328, columns=2560))
    node.wait_for_state("1.2.4.4", "ANALYZING")

    node.kill()
    node.start()

    node.wait_for_state("1.2.4.4", "DELIVERED")
    assert len(orthanc.instances("1.2.4.4")) == 5


def test_sigterm_drains_and_ends_with_exit_code_0(make_node: MakeNode) -> None:
    node = make_node({}).start()

    code = node.stop()

    assert code == 0
    assert node.cli("status").returncode == 2


def test_two_nodes_cannot_share_a_data_folder(node: RunningNode) -> None:
    second = node.up()

    assert second.returncode == 2
    assert "another node uses" in second.stderr


def test_a_worker_on_tensorflow_gives_the_scores_of_one_on_openvino(
    node: RunningNode, make_node: MakeNode, tmp_path: Path
) -> None:
    paths = write_exam(tmp_path / "exam", study_uid="1.2.4.5")
    scores = {}

    for runtime, one in (("openvino", node), ("tensorflow", make_node({}, runtime="tensorflow").start())):
        one.send(paths)
        study = one.wait_for_state("1.2.4.5", "DELIVERED")
        assert study["reading"]["model"]["runtime"] == runtime
        scores[runtime] = study["scores"]

    assert scores["tensorflow"] == pytest.approx(scores["openvino"], abs=1e-3)
