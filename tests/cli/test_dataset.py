"""`dibmg dataset`: a folder of DICOM becomes a manifest, a manifest becomes splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dibmg.data.images import load_image
from dibmg.data.leakage import LeakageError, check_leakage
from dibmg.data.manifest import ImageRow, Label, ManifestError, read_manifest, write_manifest
from dibmg.data.splits import SplitError
from dibmg_node.cli.main import cli
from dibmg_node.errors import RejectedError
from tests.factories import R_CC, mammogram, part10, write_exam
from tests.model.data.factories_data import picture, screened


def dataset(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["dataset", *map(str, arguments)], catch_exceptions=False)


def as_json(*arguments: object) -> dict[str, Any]:
    ended = dataset(*arguments, "--json")
    assert ended.exit_code == 0, ended.output
    told = json.loads(ended.stdout)
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two women's exams, and a text file."""
    folder = tmp_path_factory.mktemp("dicom")
    for number in (1, 2):
        write_exam(folder / str(number), study_uid=f"1.2.3.{number}", PatientID=f"Jane{number}")
    (folder / "read me.txt").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 21 cancers, 40 normals and 7 benign exams, one view each, with small pictures."""
    folder = tmp_path_factory.mktemp("set")
    rows: list[ImageRow] = []
    for case in screened(21, 40, 7):
        path = picture(folder / f"{case.exam}.png", np.full((4, 4), len(rows), np.uint8))
        rows.append(ImageRow(**{**vars(case.rows[0]), "path": path}))
    write_manifest(rows, folder / "manifest.csv")
    return folder / "manifest.csv"


def test_a_folder_and_its_labels_become_a_manifest(exams: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("exam,label\n1.2.3.1,cancer\n1.2.3.7,normal\n")

    ended = dataset("scan", exams, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "new" / "m.csv")

    assert ended.exit_code == 0
    assert ended.stdout.strip().endswith("m.csv: 4 images, 1 exams (1 cancer, 0 normal, 0 benign), 1 women")
    assert ended.stderr.splitlines() == [
        "left out: 4 mammograms that no line of the labels names: "
        + ", ".join(str(exams / "2" / f"{view}.dcm") for view in ("L-CC", "L-MLO", "R-CC", "R-MLO")),
        "left out: 1 lines of the labels that name no mammogram: 3",
        "passed over: 1 files: not a DICOM file (Part 10)",
    ]
    assert {row.path.parent.name for row in read_manifest(tmp_path / "new" / "m.csv").rows} == {"1"}
    assert "Jane" not in ended.output


def test_a_scan_names_a_second_copy_and_the_file_that_it_took(exams: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "dicom" / "whole.dcm", tmp_path / "dicom" / "cut.dcm"
    whole.parent.mkdir()
    whole.write_bytes((exams / "1" / "L-CC.dcm").read_bytes())
    cut.write_bytes(whole.read_bytes()[:-1000])
    (tmp_path / "labels.csv").write_text("exam,label\n1.2.3.1,cancer\n")

    ended = dataset("scan", whole.parent, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "m.csv")

    assert ended.stderr.splitlines() == [
        f"passed over: 1 files: a second copy: {cut} "
        f"(the same SOP Instance UID as {whole}, which is no smaller)"
    ]


def test_a_scan_that_labels_nothing_fails_and_writes_nothing(exams: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("exam,label\n9.9,cancer\n")

    ended = dataset("scan", exams, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "m.csv")

    assert ended.exit_code == 1
    assert not (tmp_path / "m.csv").exists()


def test_a_folder_without_dicom_fails_and_says_what_is_there(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")

    ended = dataset("scan", tmp_path, "--template", tmp_path / "labels.csv")

    assert ended.exit_code == 1
    assert "1 passed over: not a DICOM file" in ended.stderr


@pytest.mark.parametrize("options", [[], ["--out", "m.csv"], ["--template", "a.csv", "--out", "m.csv"]])
def test_a_scan_without_labels_is_a_wrong_command_line(exams: Path, options: list[str]) -> None:
    ended = dataset("scan", exams, *options)

    assert ended.exit_code == 2
    assert "give --labels with --out, or --template" in ended.stderr


def test_a_template_names_every_breast(exams: Path, tmp_path: Path) -> None:
    told = as_json("scan", exams, "--template", tmp_path / "labels.csv")

    assert (told["breasts"], told["images"]) == (4, 8)
    assert (
        (tmp_path / "labels.csv").read_text().splitlines()[1].startswith("1.2.3.1,A123,Jane1,20260303,L,no,,")
    )


def test_labels_that_were_filled_in_are_not_written_over(exams: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("filled in")

    ended = dataset("scan", exams, "--template", tmp_path / "labels.csv")

    assert ended.exit_code == 1
    assert (tmp_path / "labels.csv").read_text() == "filled in"


def test_an_image_of_a_damaged_archive_is_taken_where_its_reason_is_waived(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(part10(mammogram(R_CC, BurnedInAnnotation="YES")))

    refused = dataset("scan", tmp_path, "--template", tmp_path / "labels.csv")
    taken = dataset("scan", tmp_path, "--template", tmp_path / "labels.csv", "--accept", "BURNED_IN")

    assert (refused.exit_code, taken.exit_code) == (1, 0)


def test_a_split_writes_three_manifests_without_leakage(manifest: Path, tmp_path: Path) -> None:
    told = as_json("split", manifest, "--views", "any", "--seed", 4, "--out", tmp_path)

    assert [Path(path).name for path in told["files"]] == [
        "train.csv",
        "validation.csv",
        "test.csv",
        "split.json",
    ]
    assert {name: part["cancer"] for name, part in told["parts"].items()} == {
        "train": 15,
        "validation": 3,
        "test": 3,
    }
    assert {name: part["normal"] for name, part in told["parts"].items()} == {
        "train": 34,
        "validation": 3,
        "test": 3,
    }
    check_leakage([read_manifest(Path(path)) for path in told["files"][:3]])


def test_split_json_is_what_the_command_tells(manifest: Path, tmp_path: Path) -> None:
    told = as_json("split", manifest, "--views", "any", "--out", tmp_path)

    del told["files"]
    assert json.loads((tmp_path / "split.json").read_text()) == told


def test_the_same_seed_writes_the_same_files(manifest: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        as_json("split", manifest, "--views", "any", "--seed", 4, "--out", tmp_path / name)

    for name in ("train.csv", "validation.csv", "test.csv", "split.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_folds_are_a_column_of_one_manifest(manifest: Path, tmp_path: Path) -> None:
    told = as_json("split", manifest, "--views", "any", "--keep-benign", "--folds", 4, "--out", tmp_path)

    rows = read_manifest(tmp_path / "folds.csv").rows
    assert [Path(path).name for path in told["files"]] == ["folds.csv", "split.json"]
    assert sorted({row.other["fold"] for row in rows}) == ["0", "1", "2", "3"]
    assert len(rows) == 68


def test_a_split_prints_the_flow_and_both_tables(manifest: Path, tmp_path: Path) -> None:
    ended = dataset("split", manifest, "--views", "any", "--out", tmp_path)

    assert ended.exit_code == 0
    for words in (
        "Inclusion",
        "not checkable",
        "Table 1. Demographics in cancer",
        "Table 2. Demographics in normal",
    ):
        assert words in ended.stdout


def test_a_split_that_leaves_nobody_shows_the_flow_and_fails(manifest: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli, ["dataset", "split", str(manifest), "--out", str(tmp_path / "out")])

    assert isinstance(ended.exception, SplitError)
    assert "four views: R-CC, L-CC, R-MLO and L-MLO" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_the_same_picture_under_two_women_is_an_error_unless_pixels_are_not_compared(tmp_path: Path) -> None:
    rows = [case.rows[0] for case in screened(7, 7)]
    copies = [
        picture(tmp_path / f"{row.exam}.png", np.full((4, 4), place, np.uint8))
        for place, row in enumerate(rows)
    ]
    picture(copies[-1], np.zeros((4, 4), np.uint8))
    write_manifest(
        [ImageRow(**{**vars(row), "path": path}) for row, path in zip(rows, copies, strict=True)],
        tmp_path / "m.csv",
    )

    with pytest.raises(LeakageError, match="lines 2, 15: the same pixels under different patients"):
        dataset("split", tmp_path / "m.csv", "--views", "any", "--out", tmp_path / "out")
    assert as_json("split", tmp_path / "m.csv", "--views", "any", "--no-pixels", "--out", tmp_path / "out")


def test_missing_images_are_named_before_anything_is_split(tmp_path: Path) -> None:
    write_manifest([case.rows[0] for case in screened(7, 7)], tmp_path / "m.csv")

    with pytest.raises(ManifestError, match="line 2, column path: no file"):
        dataset("split", tmp_path / "m.csv", "--views", "any", "--out", tmp_path / "out")


def test_a_published_data_set_becomes_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "image,path,mask,patient,laterality,view,label,age,density,birads,findings,machine,fold\n"
        "P1_L_CC,images/P1_L_CC.png,,P1,L,CC,malignant,47,C,5,mass,1,fold1\n"
    )
    picture(tmp_path / "images" / "P1_L_CC.png")

    told = as_json("import", "cesm-dev", tmp_path, "--out", tmp_path / "m.csv")

    assert (told["images"], told["cancer"]) == (1, 1)
    assert [row.age for row in read_manifest(tmp_path / "m.csv").rows] == [47]


def test_synthetic_exams_have_four_views_a_manifest_and_known_places(tmp_path: Path) -> None:
    told = as_json("synthesize", "--exams", 2, "--seed", 3, "--rows", 128, "--out", tmp_path)

    rows = read_manifest(tmp_path / "manifest.csv").rows
    assert (told["images"], told["cancer"], told["normal"]) == (8, 1, 1)
    assert all(load_image(row).mammogram.shape[0] == 128 for row in rows)
    assert {row.label for row in rows if row.lesion is not None} == {Label.CANCER}


def test_lesions_are_inserted_into_normal_films_and_told_with_their_places(tmp_path: Path) -> None:
    dataset("synthesize", "--exams", 4, "--seed", 3, "--rows", 256, "--out", tmp_path / "made")
    before = read_manifest(tmp_path / "made" / "manifest.csv").rows

    told = as_json("insert", tmp_path / "made" / "manifest.csv", "--seed", 1, "--out", tmp_path / "inserted")

    rows = read_manifest(tmp_path / "inserted" / "manifest.csv").rows
    normal = [row for row in before if row.label is Label.NORMAL]
    assert told["passed_over"] == {"exam not normal": 8}
    assert [(row.exam, row.view_key) for row in rows] == [(row.exam, row.view_key) for row in normal]
    changed = [row for row in rows if row.lesion is not None]
    assert told["changed"] == len(changed) == 2
    assert len({(row.exam, row.laterality) for row in changed}) == 1
    assert len({row.features for row in changed}) == 1
    for row, was in zip(rows, normal, strict=True):
        difference = np.abs(load_image(row).mammogram.image() - load_image(was).mammogram.image())
        if row.lesion is None:
            assert difference.max() < 0.001
            assert row.breast_label is Label.NORMAL
        else:
            assert row.breast_label is Label.CANCER
            v, u = np.unravel_index(int(np.argmax(difference)), difference.shape)
            away = np.hypot(u + 0.5 - row.lesion.column, v + 0.5 - row.lesion.row)
            assert difference.max() > 0.02
            assert away < 1.5 * row.lesion.radius
        assert (row.label is Label.CANCER) == (row.exam == changed[0].exam)


def test_a_manifest_without_a_normal_exam_gets_no_lesion(tmp_path: Path) -> None:
    dataset(
        "synthesize", "--exams", 1, "--seed", 3, "--rows", 128, "--cancer-share", 1, "--out", tmp_path / "m"
    )

    with pytest.raises(RejectedError, match="no normal exam"):
        dataset("insert", tmp_path / "m" / "manifest.csv", "--seed", 1, "--out", tmp_path / "inserted")
