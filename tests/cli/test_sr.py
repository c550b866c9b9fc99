"""`dibmg sr`: reports checked and shown from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dibmg_node.cli.main import cli
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from tests.dicom.factories_results import states
from tests.dicom.sr.factories_vendor import L_CC, L_MLO, R_CC, R_MLO, part10, vendor_bytes, vendor_report
from tests.factories import STANDARD_VIEWS, breast_pixels, mammogram
from tests.factories import part10 as image_part10

UIDS = (R_CC, L_CC, R_MLO, L_MLO)


def sr(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["sr", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.dcm"
    path.write_bytes(encode(cad_report(**states()["findings"])))
    return path


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    path = tmp_path / "vendor.dcm"
    path.write_bytes(vendor_bytes())
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The four views of the vendor's report, the last one cut off."""
    folder = tmp_path / "images" / "deep"
    folder.mkdir(parents=True)
    for view, uid in zip(STANDARD_VIEWS, UIDS, strict=True):
        image = mammogram(view, pixels=breast_pixels(view, 400, 320), SOPInstanceUID=uid)
        image.file_meta.MediaStorageSOPInstanceUID = uid
        (folder / f"{view}.dcm").write_bytes(image_part10(image))
    cut = folder / "L-MLO.dcm"
    cut.write_bytes(cut.read_bytes()[:-1000])
    (folder / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_a_right_report_is_checked_with_exit_code_0(good: Path) -> None:
    ended = sr("check", good)

    assert (ended.exit_code, ended.stdout) == (0, f"{good}: 0 errors, 0 warnings\n")


def test_errors_of_a_report_end_with_exit_code_1_and_say_where(vendor: Path) -> None:
    ended = sr("check", vendor)

    assert ended.exit_code == 1
    assert f"{vendor}: 2 errors" in ended.stdout
    expected = "found an item by value, expected a reference to one that stands elsewhere"
    assert f"error 1.3.1.2.10.4.1: TID 4021 row 2: {expected}" in ended.stdout


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "strict.dcm"
    path.write_bytes(vendor_bytes(conforming=True))

    ended = sr("check", path)

    assert ended.exit_code == 0
    assert "0 errors, 12 warnings" in ended.stdout


def test_a_file_that_is_no_cad_report_ends_with_exit_code_2_and_the_others_are_checked(
    tmp_path: Path, good: Path
) -> None:
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"no report")

    ended = sr("check", bad, good, "--json")

    told = json.loads(ended.stdout)
    assert ended.exit_code == 2
    assert [(one["readable"], one.get("errors")) for one in told] == [(False, None), (True, 0)]
    assert "not a DICOM file" in told[0]["reason"]


def test_complaints_as_json_have_their_parts(vendor: Path) -> None:
    (told,) = json.loads(sr("check", vendor, "--json").stdout)

    first = next(one for one in told["complaints"] if one["severity"] == "error")
    assert (first["path"], first["rule"]) == ("1.3.1.2.10.4.1", "TID 4021 row 2")
    assert set(first) == {"severity", "path", "rule", "found", "expected"}


def test_a_report_is_shown_without_the_patient(vendor: Path) -> None:
    ended = sr("show", vendor)
    as_json = sr("show", vendor, "--json")

    assert ended.exit_code == as_json.exit_code == 0
    assert "Calcification Cluster; of 5, 6, 7" in ended.stdout
    assert "detection FAILED: Calcification Cluster by CalcFinder 8.3 on L-MLO" in ended.stdout
    for words in (ended.output, as_json.output):
        assert "Sally" not in words
        assert "ID-SECRET-1" not in words
        assert "19600102" not in words


def test_a_report_as_json_has_every_finding_with_its_place(vendor: Path) -> None:
    told = json.loads(sr("show", vendor, "--json").stdout)

    mass, in_cc = told["findings"][:2]
    assert (mass["views"], mass["laterality"], mass["parts"]) == (
        ["R-CC", "R-MLO"],
        "R",
        ["1.3.1.2.9", "1.3.1.2.10"],
    )
    assert (in_cc["center"], in_cc["sop_uids"]) == ([120.0, 150.0], [R_CC])
    assert in_cc["shapes"][1]["kind"] == "ELLIPSE"
    assert told["summary"]["value"] == "111244"
    assert len(told["findings"]) == 10


def test_the_findings_are_drawn_on_the_images_at_hand_and_the_others_are_told(
    tmp_path: Path, vendor: Path, images: Path
) -> None:
    (images / "deep" / "R-MLO.dcm").unlink()

    ended = sr("show", vendor, "--images", images, "--out", tmp_path / "out")

    assert ended.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["01-R-CC.png", "02-L-CC.png"]
    with Image.open(tmp_path / "out" / "01-R-CC.png") as picture:
        assert picture.size == (320, 400)
    assert f"image R-MLO {R_MLO} is not in {images}" in ended.stderr
    assert f"image L-MLO {L_MLO}: pixel data has" in ended.stderr


def test_images_without_a_place_for_pictures_are_a_wrong_command_line(vendor: Path, images: Path) -> None:
    ended = sr("show", vendor, "--images", images)

    assert ended.exit_code == 2
    assert "--images and --out go together" in ended.stderr


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_report_that_is_cut_off_is_refused_with_exit_code_2(tmp_path: Path, command: str) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(vendor_bytes()[:-50])

    ended = sr(command, path)

    assert ended.exit_code == 2
    assert "cut off" in ended.stderr


def test_words_of_a_report_cannot_steer_the_terminal(tmp_path: Path) -> None:
    report = vendor_report()
    report.Manufacturer = "Ven\x1b[2Jdor"
    path = tmp_path / "steering.dcm"
    path.write_bytes(part10(report))

    ended = sr("show", path)

    assert "\x1b" not in ended.stdout
    assert "Ven [2Jdor" in ended.stdout
