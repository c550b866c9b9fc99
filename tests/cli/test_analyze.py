"""`dibmg analyze`: files in, a folder for each study out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pydicom import dcmread

from dibmg_node.cli.main import cli
from dibmg_node.dicom import facts
from tests.factories import write_exam

VIEWS = ("L-CC", "L-MLO", "R-CC", "R-MLO")


def analyze(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)], catch_exceptions=False)


def digests(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.suffix == ".dcm"
    }


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one exam."""
    folder = tmp_path_factory.mktemp("analyzed")
    write_exam(folder / "in", study_uid="1.2.5.1")
    assert analyze(folder / "in", "--out", folder / "out").exit_code == 0
    return folder / "out" / "1.2.5.1"


def test_an_exam_gives_result_json_a_cad_sr_and_an_overlay_as_dicom_and_png_for_each_view(
    analyzed: Path,
) -> None:
    names = sorted(path.name for path in analyzed.iterdir())

    expected = [f"{view}.{kind}" for view in VIEWS for kind in ("dcm", "png")]
    assert names == sorted([*expected, "cad-sr.dcm", "result.json"])


def test_result_json_has_the_fields_of_its_contract(analyzed: Path) -> None:
    result = json.loads((analyzed / "result.json").read_text())

    assert result["study_uid"] == "1.2.5.1"
    assert {"version", "sha256", "runtime", "precision"} <= set(result["model"])
    assert sorted(result["scores"]["views"]) == sorted(VIEWS)
    assert result["scores"]["exam"] == max(result["scores"]["R"], result["scores"]["L"])
    assert result["exclusions"] == []
    assert {"read", "decode", "preprocess", "network", "localize"} <= set(result["seconds"])


def test_the_overlay_as_png_shows_what_the_overlay_as_dicom_shows(analyzed: Path) -> None:
    instance = dcmread(analyzed / "R-CC.dcm")

    picture = Image.open(analyzed / "R-CC.png")

    assert instance.file_meta.TransferSyntaxUID == facts.RLE_LOSSLESS
    assert instance.pixel_array.tobytes() == picture.tobytes()


def test_the_same_files_give_the_same_bytes_again(analyzed: Path, tmp_path: Path) -> None:
    write_exam(tmp_path / "in", study_uid="1.2.5.1")

    analyze(tmp_path / "in", "--out", tmp_path / "out")

    assert digests(tmp_path / "out" / "1.2.5.1") == digests(analyzed)


def test_two_studies_in_one_folder_give_two_folders_and_strange_files_are_named(tmp_path: Path) -> None:
    write_exam(tmp_path / "in" / "a", study_uid="1.2.5.2")
    write_exam(tmp_path / "in" / "b", study_uid="1.2.5.3")
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")

    ended = analyze(tmp_path / "in", "--out", tmp_path / "out", "--json")

    assert ended.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.2.5.2", "1.2.5.3"]
    assert "notes.txt: passed over" in ended.stderr
    assert [study["study_uid"] for study in json.loads(ended.stdout)] == ["1.2.5.2", "1.2.5.3"]


def test_a_study_that_cannot_be_read_gives_its_reasons_and_a_report_that_says_so(tmp_path: Path) -> None:
    write_exam(tmp_path / "in", study_uid="1.2.5.4", BreastImplantPresent="YES")

    ended = analyze(tmp_path / "in", "--out", tmp_path / "out")

    result = json.loads((tmp_path / "out" / "1.2.5.4" / "result.json").read_text())
    assert ended.exit_code == 0
    assert result["scores"]["exam"] is None
    assert {e["code"] for e in result["exclusions"] if e["sop_uid"]} == {"IMPLANT"}
    assert dcmread(tmp_path / "out" / "1.2.5.4" / "cad-sr.dcm").SOPClassUID == facts.MAMMOGRAPHY_CAD_SR


def test_a_folder_without_dicom_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")

    ended = analyze(tmp_path, "--out", tmp_path / "out")

    assert ended.exit_code == 1
    assert "no DICOM instance found" in ended.stderr
