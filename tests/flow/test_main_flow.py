"""The main job: an exam in by C-STORE, its results in a real PACS, and the commands that tell of it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pacs import Orthanc
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from tests.factories import write_exam
from tests.flow.running_node import PATIENCE_SECONDS, RunningNode
from tests.programs import find_program

CANARY = "ZAPHODCANARY"


def _kinds(instances: list[FileDataset]) -> list[str]:
    return sorted(str(instance.SOPClassUID) for instance in instances)


FULL_SET = sorted([facts.MAMMOGRAPHY_CAD_SR, *[facts.SECONDARY_CAPTURE] * 4])


def test_an_exam_sent_by_storescu_comes_back_as_one_cad_sr_and_four_overlays(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.send(write_exam(tmp_path, study_uid="1.2.3.1"))

    study = node.wait_for_state("1.2.3.1", "DELIVERED")

    received = orthanc.instances("1.2.3.1")
    assert _kinds(received) == FULL_SET
    assert {str(r.SOPInstanceUID) for r in received} == {r["sop_uid"] for r in study["results"]}
    assert {i["code"] for i in study["instances"]} == {"USED"}
    assert all(0 <= study["scores"][name] <= 1 for name in ("exam", "R", "L"))


def test_images_are_made_ready_for_the_model_while_others_of_their_exam_arrive(
    make_node: Callable[..., RunningNode], orthanc: Orthanc, tmp_path: Path
) -> None:
    node = make_node({"pacs": orthanc.port}, quiet_seconds=60, more='[node]\nlog_level = "debug"\n').start()
    paths = write_exam(tmp_path, study_uid="1.2.3.1.1")
    log = node.folder / "var" / "logs" / "analysis.log"

    def views_ready() -> list[int]:
        told = [line for line in log.read_text().splitlines() if "image made ready ahead" in line]
        return [json.loads(line)["views"] for line in told]

    for number in (1, 2, 3):
        node.send([paths[number - 1]])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while views_ready()[-1:] != [number]:
            assert time.monotonic() < deadline, node.logs()
            time.sleep(0.05)
    node.send(paths[3:])

    study = node.wait_for_state("1.2.3.1.1", "DELIVERED")
    assert {one["code"] for one in study["instances"]} == {"USED"}
    assert _kinds(orthanc.instances("1.2.3.1.1")) == FULL_SET


def test_no_result_in_the_pacs_has_an_error_by_dciodvfy(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    node.send(write_exam(tmp_path, study_uid="1.2.3.2"))
    node.wait_for_state("1.2.3.2", "DELIVERED")
    checker = find_program("dciodvfy")

    for instance in orthanc.instances("1.2.3.2"):
        path = tmp_path / "received.dcm"
        instance.save_as(path)
        checked = subprocess.run([checker, "-new", path], capture_output=True, text=True, check=False)

        told = checked.stdout + checked.stderr
        assert [line for line in told.splitlines() if line.startswith("Error")] == []


def test_a_duplicate_changes_nothing_and_sends_nothing(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    paths = write_exam(tmp_path, study_uid="1.2.3.3")
    node.send(paths)
    before = node.wait_for_state("1.2.3.3", "DELIVERED")

    node.send(paths)

    after = node.views.study("1.2.3.3")
    assert after == before


def test_a_late_view_is_read_with_the_others_and_its_report_names_its_predecessor(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    paths = write_exam(tmp_path, study_uid="1.2.3.4")
    node.send(paths[:3])
    first = node.wait("1.2.3.4", lambda s: s["state"] == "DELIVERED" and s["revision"] == 3)

    node.send(paths[3:])

    second = node.wait("1.2.3.4", lambda s: s["state"] == "DELIVERED" and s["revision"] == 4)
    assert first["reason"].startswith("missing views: ")
    assert second["reason"] == ""
    reports = [i for i in orthanc.instances("1.2.3.4") if i.SOPClassUID == facts.MAMMOGRAPHY_CAD_SR]
    (old,) = [r["sop_uid"] for r in first["results"] if r["kind"] == "cad-sr"]
    (new,) = [r for r in reports if r.SOPInstanceUID != old]
    (predecessor,) = new.PredecessorDocumentsSequence
    named = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == old
    assert new.SeriesInstanceUID == next(r for r in reports if r.SOPInstanceUID == old).SeriesInstanceUID


@pytest.mark.parametrize(
    ("number", "header", "code"),
    [
        (5, {"BreastImplantPresent": "YES"}, "IMPLANT"),
        (
            6,
            {"SOPClassUID": facts.MG_FOR_PROCESSING, "PresentationIntentType": "FOR PROCESSING"},
            "FOR_PROCESSING",
        ),
        (7, {"SOPClassUID": facts.TOMOSYNTHESIS}, "TOMOSYNTHESIS"),
    ],
)
def test_a_study_that_cannot_be_read_says_why_in_explain_and_in_the_pacs(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path, number: int, header: dict[str, str], code: str
) -> None:
    study_uid = f"1.2.3.{number}"
    node.send(write_exam(tmp_path, study_uid=study_uid, **header))
    node.wait(study_uid, lambda s: s["state"] == "EXCLUDED" and _all_stored(s))

    explained = node.cli_json("explain", study_uid)

    assert {i["code"] for i in explained["instances"]} == {code}
    sentence = explained["instances"][0]["sentence"]
    assert sentence in explained["reason"]
    (report,) = orthanc.instances(study_uid)
    assert report.SOPClassUID == facts.MAMMOGRAPHY_CAD_SR
    assert any(sentence in text for text in _texts(report))


def test_a_study_without_a_whole_breast_is_excluded_with_what_is_missing(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    paths = write_exam(tmp_path, study_uid="1.2.3.8")
    node.send([path for path in paths if "CC" in path.name])

    study = node.wait("1.2.3.8", lambda s: s["state"] == "EXCLUDED" and _all_stored(s))

    assert study["reason"] == "missing views: R-MLO, L-MLO"
    assert len(orthanc.instances("1.2.3.8")) == 1


def test_what_the_node_keeps_is_for_its_user_alone(node: RunningNode) -> None:
    var = node.folder / "var"

    modes = [one.stat().st_mode & 0o777 for one in (var, var / "ledger.sqlite", var / "logs")]

    assert (modes[0], [mode & 0o007 for mode in modes]) == (0o700, [0, 0, 0])


def test_status_of_a_node_that_works_is_healthy(node: RunningNode) -> None:
    answer = node.cli("status")

    assert (answer.returncode, answer.stdout.split()[0]) == (0, "healthy")


def test_a_study_is_read_again_to_the_same_bytes_and_to_others_with_another_overlay(
    node: RunningNode, tmp_path: Path
) -> None:
    node.send(write_exam(tmp_path, study_uid="1.2.3.10"))
    before = node.wait_for_state("1.2.3.10", "DELIVERED")

    same = node.cli("replay", "1.2.3.10")
    other = tmp_path / "other.toml"
    other.write_text(
        f"[node]\ndata_dir = '{node.folder / 'var'}'\n[overlay]\nstyle = 'contour'\n"
        "[model]\nweights = 'default'\n"
    )
    node.config, config = other, node.config
    differing = node.cli_json("replay", "1.2.3.10")
    node.config = config

    assert (same.returncode, "same bytes again" in same.stdout) == (0, True)
    assert {one["kind"] for one in differing["results"] if one["same"]} == {"cad-sr"}
    assert {one["kind"] for one in differing["results"] if not one["same"]} == {"overlay"}
    assert (differing["same"], differing["causes"], differing["reading"]) == (False, [], [])
    assert node.views.study("1.2.3.10") == before


def test_echo_tells_whether_destinations_answer(node: RunningNode) -> None:
    answer = node.cli_json("echo")

    assert [(one["destination"], one["answers"]) for one in answer] == [("pacs", True)]


def test_the_name_of_a_patient_is_in_no_log_no_ledger_and_no_output(
    node: RunningNode, tmp_path: Path
) -> None:
    identity = {"PatientName": f"{CANARY}^ANNE", "PatientID": f"{CANARY}1", "PatientBirthDate": "19440102"}
    node.send(write_exam(tmp_path, study_uid="1.2.3.9", **identity))
    node.wait_for_state("1.2.3.9", "DELIVERED")
    commands = (("status",), ("studies",), *((name, "1.2.3.9") for name in ("study", "explain", "replay")))

    told = "".join(node.cli(*c).stdout + node.cli(*c, "--json").stdout for c in commands)

    files = [p for p in (node.folder / "var").rglob("*") if p.is_file() and "archive" not in p.parts]
    assert any(path.name == "intake.log" for path in files)
    for word in (CANARY, "19440102"):
        assert word not in told
        assert [path for path in files if word.encode() in path.read_bytes()] == []


def _texts(report: FileDataset) -> list[str]:
    return [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]


def _all_stored(study: dict) -> bool:
    return bool(study["deliveries"]) and all(d["state"] == "STORED" for d in study["deliveries"])
