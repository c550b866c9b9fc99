"""`dibmg analyze`: files in, a folder for each study out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pydicom import dcmread

from dibmg.operating_points import ChosenFor, Threshold
from dibmg.weights import load_weights
from dibmg_node.cli.main import cli
from dibmg_node.dicom import facts
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality
from dibmg_node.errors import ConfigError
from tests.factories import sop_uid, write_exam
from tests.model.factories_points import PLATT, RATE, points_for, write_points

UIDS = ("1.2.5.5", "1.2.5.6")
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
    assert {"read", "prepare", "network", "localize"} <= set(result["seconds"])


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


def test_a_file_of_operating_points_decides_on_the_threshold_by_device_and_gives_a_probability(
    tmp_path: Path,
) -> None:
    weights = load_weights("default")
    own = Threshold("Maker", 0.75, RATE, RATE, 60, 50, "Unit 1", "1.0 2.0")
    points = write_points(tmp_path, weights, points=(*points_for(weights).points, own))
    for study_uid, manufacturer in (("1.2.5.5", "Maker "), ("1.2.5.6", "Another")):
        write_exam(tmp_path / "in" / study_uid, study_uid=study_uid, Manufacturer=manufacturer)

    ended = analyze(tmp_path / "in", "--out", tmp_path / "out", "--operating-point", points)

    results = {uid: json.loads((tmp_path / "out" / uid / "result.json").read_text()) for uid in UIDS}
    points_used = [results[uid]["operating_point"] for uid in UIDS]
    assert ended.exit_code == 0
    keys = ("manufacturer", "model", "software", "threshold", "label")
    assert [tuple(one[key] for key in keys) for one in points_used] == [
        ("Maker", "Unit 1", "1.0 2.0", 0.75, "specificity-0.90 for Maker Unit 1, software 1.0 2.0"),
        (None, None, None, 0.5, "specificity-0.90"),
    ]
    named = [
        b"specificity-0.90 for Maker Unit 1, software 1.0 2.0" in path.read_bytes()
        for uid in UIDS
        for path in [tmp_path / "out" / uid / "cad-sr.dcm"]
    ]
    assert named == [True, False]
    for uid, result in results.items():
        scores = result["scores"]
        assert scores["probability"] == pytest.approx(PLATT.probability(scores["exam"]))
        assert b"Probability of cancer of the exam" in (tmp_path / "out" / uid / "cad-sr.dcm").read_bytes()


def test_without_a_calibration_nothing_that_is_written_knows_the_word_probability(analyzed: Path) -> None:
    written = [path for path in analyzed.iterdir() if path.suffix in (".json", ".dcm")]

    assert [path.name for path in written if b"probabilit" in path.read_bytes().lower()] == []


def test_operating_points_of_other_weights_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    weights = load_weights("default")
    points = write_points(tmp_path, weights, weights=ChosenFor("other", "7", "a" * 64))

    with pytest.raises(ConfigError, match=f"model.operating_point: .*{'a' * 64}, expected {weights.sha256}"):
        analyze(tmp_path, "--out", tmp_path / "out", "--operating-point", points)


def test_results_names_the_kinds_that_are_written(tmp_path: Path) -> None:
    write_exam(tmp_path / "in", study_uid="1.2.5.7")

    ended = analyze(tmp_path / "in", "--out", tmp_path / "out", "--results", "measurement-sr, presentation")

    folder = tmp_path / "out" / "1.2.5.7"
    assert ended.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "measurement-sr.dcm",
        "presentation.dcm",
        "result.json",
    ]
    assert dcmread(folder / "measurement-sr.dcm").SOPClassUID == facts.COMPREHENSIVE_SR
    assert dcmread(folder / "presentation.dcm").SOPClassUID == facts.GRAYSCALE_PRESENTATION_STATE


def test_images_of_two_polarities_are_two_files_of_presentation_states(tmp_path: Path) -> None:
    write_exam(tmp_path / "in", study_uid="1.2.5.8", views=STANDARD_VIEWS[:1], PresentationLUTShape="INVERSE")
    write_exam(tmp_path / "in", study_uid="1.2.5.8", views=STANDARD_VIEWS[1:])

    analyze(tmp_path / "in", "--out", tmp_path / "out", "--results", "presentation")

    written = sorted((tmp_path / "out" / "1.2.5.8").glob("*.dcm"))
    assert [path.name for path in written] == ["presentation-2.dcm", "presentation.dcm"]
    assert {dcmread(path).PresentationLUTShape for path in written} == {"IDENTITY", "INVERSE"}


def test_a_kind_of_result_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    ended = analyze(tmp_path, "--out", tmp_path / "out", "--results", "cad-sr,heatmap")

    assert ended.exit_code == 2
    assert "expected some of cad-sr, measurement-sr, overlay, presentation" in " ".join(ended.stderr.split())


def test_nothing_of_an_earlier_run_stays_among_the_new_results_but_what_is_not_of_analyze(
    tmp_path: Path,
) -> None:
    everything = "cad-sr,measurement-sr,overlay,presentation"
    write_exam(tmp_path / "in", study_uid="1.2.5.9", views=STANDARD_VIEWS[:1], PresentationLUTShape="INVERSE")
    write_exam(tmp_path / "in", study_uid="1.2.5.9", views=STANDARD_VIEWS[1:])
    analyze(tmp_path / "in", "--out", tmp_path / "out", "--results", everything)
    folder = tmp_path / "out" / "1.2.5.9"
    assert {"R-CC.dcm", "measurement-sr.dcm", "presentation-2.dcm"} <= {p.name for p in folder.iterdir()}
    own = ("notes.txt", "R-CC-annotated.png", "R-CC.txt", "my-cad-sr.dcm")
    for name in own:
        (folder / name).write_text("somebody's own")

    left = [tmp_path / "in" / f"{view}.dcm" for view in STANDARD_VIEWS if view.laterality is Laterality.LEFT]
    analyze(*left, "--out", tmp_path / "out", "--results", "cad-sr")

    assert sorted(path.name for path in folder.iterdir()) == sorted([*own, "cad-sr.dcm", "result.json"])


def test_results_below_the_folder_that_is_read_are_no_images_and_make_room_for_the_next_ones(
    tmp_path: Path,
) -> None:
    write_exam(tmp_path / "in", study_uid="1.2.5.9")
    first = analyze(tmp_path, "--out", tmp_path / "out")
    folder = tmp_path / "out" / "1.2.5.9"
    before = digests(folder)

    again = analyze(tmp_path, "--out", tmp_path / "out")
    fewer = analyze(tmp_path, "--out", tmp_path / "out", "--results", "cad-sr")

    assert (first.exit_code, again.exit_code, fewer.exit_code) == (0, 0, 0)
    assert "R-CC.dcm" in before
    assert "passed over" not in again.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["cad-sr.dcm", "result.json"]
    told = json.loads((folder / "result.json").read_text())
    assert len(told["exclusions"]) == 0


def test_files_that_are_given_are_not_removed_whatever_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "1.2.5.10"
    write_exam(folder, study_uid="1.2.5.10")
    before = digests(folder)

    for _ in range(2):
        ended = analyze(folder, "--out", tmp_path, "--results", "cad-sr")

    assert ended.exit_code == 0
    assert before.items() <= digests(folder).items()


def test_another_file_under_the_uid_of_an_instance_is_named_and_the_same_one_again_is_not(
    tmp_path: Path,
) -> None:
    write_exam(tmp_path / "in" / "a", study_uid="1.2.5.11")
    write_exam(tmp_path / "in" / "b", study_uid="1.2.5.11")
    write_exam(tmp_path / "in" / "c", study_uid="1.2.5.11", views=STANDARD_VIEWS[:1], rows=128)

    ended = analyze(tmp_path / "in", "--out", tmp_path / "out")

    assert ended.exit_code == 0
    told = [line for line in ended.stderr.splitlines() if "passed over" in line]
    name = f"{STANDARD_VIEWS[0]}.dcm"
    assert told == [
        f"{tmp_path / 'in' / 'c' / name}: passed over: other bytes under SOP Instance UID "
        f"{sop_uid(STANDARD_VIEWS[0], '1.2.5.11')}, which {tmp_path / 'in' / 'a' / name} has"
    ]
