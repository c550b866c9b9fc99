"""Scanning a folder of DICOM: what headers say, what is passed over, and labels from a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from dibmg.data.label_join import Joined, join_labels
from dibmg.data.label_template import write_template
from dibmg.data.labels import read_labels, stated_views
from dibmg.data.manifest import Label, ManifestError
from dibmg.data.scan import ScannedImage, scan_folder
from dibmg_node.domain.study import ExclusionCode, Laterality, View, ViewKey
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, mammogram, part10, write_exam


def one_image(folder: Path, view: ViewKey = R_CC, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "image.dcm"
    path.write_bytes(part10(mammogram(view, **changes)))
    return path


def scanned(folder: Path, **changes: Any) -> ScannedImage:
    one_image(folder, **changes)
    (image,) = scan_folder(folder).images
    return image


def reasons(folder: Path) -> list[str]:
    return [one.code for one in scan_folder(folder).passed_over]


def table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def joined(folder: Path, *lines: str) -> Joined:
    labels = read_labels(table(folder.parent, *lines), folder)
    return join_labels(scan_folder(folder, stated=stated_views(labels)).images, labels)


def refused(folder: Path, *lines: str) -> list[str]:
    with pytest.raises(ManifestError) as error:
        joined(folder, *lines)
    return [complaint.partition("labels.csv: ")[2] for complaint in error.value.complaints]


@pytest.fixture
def exams(tmp_path: Path) -> Path:
    """Two women's exams of four views."""
    folder = tmp_path / "dicom"
    write_exam(folder / "1", study_uid="1.2.3.1", PatientID="P1", AccessionNumber="A1")
    write_exam(folder / "2", study_uid="1.2.3.2", PatientID="P2", AccessionNumber="A2")
    return folder


def test_headers_fill_what_a_manifest_asks_for(tmp_path: Path) -> None:
    image = scanned(tmp_path, view=L_MLO, study_uid="1.2.3.9")

    assert image == ScannedImage(
        path=tmp_path / "image.dcm",
        exam="1.2.3.9",
        accession="A123",
        patient="P123",
        study_date="20260303",
        laterality=Laterality.LEFT,
        view=View.MLO,
        manufacturer="Maker",
        model="Unit 1",
        software="1.0 2.0",
        age=66,
        implant=False,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Laterality": "L"}, L_CC),
        ({"Laterality": "L", "ViewCodeSequence": None, "ViewPosition": "MLO"}, L_MLO),
        (
            {"Laterality": "R", "ViewCodeSequence": None, "ViewPosition": "", "PatientOrientation": "MLO"},
            R_MLO,
        ),
        ({"ViewCodeSequence": None, "ViewPosition": "LCC"}, L_CC),
        ({"ViewCodeSequence": None, "ViewPosition": None, "SeriesDescription": "Left MLO processed"}, L_MLO),
        ({"ViewCodeSequence": None, "ViewPosition": None, "ProtocolName": "R-MLO"}, R_MLO),
    ],
)
def test_side_and_view_are_found_where_archives_put_them(
    tmp_path: Path, changes: dict[str, Any], expected: ViewKey
) -> None:
    image = scanned(tmp_path, ImageLaterality=None, **changes)

    assert (image.laterality, image.view) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SeriesDescription": "RCC LCC RMLO LMLO", "ImageLaterality": None}, "LATERALITY_UNKNOWN"),
        ({"ViewCodeSequence": None, "ViewPosition": None, "SeriesDescription": "ACCESSORY"}, "VIEW_UNKNOWN"),
        ({"ViewCodeSequence": None, "ViewPosition": "ML"}, "VIEW_NOT_STANDARD"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR_PROCESSING"),
        ({"Modality": "CT"}, "NOT_MAMMOGRAPHY"),
        ({"PatientID": "PHANTOM"}, "QUALITY_CONTROL"),
        ({"StudyInstanceUID": None}, "UNREADABLE"),
    ],
)
def test_what_is_no_mammogram_is_passed_over_with_its_reason(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    one_image(tmp_path, **changes)

    assert reasons(tmp_path) == [code]


def test_files_that_are_no_dicom_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "cut.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0")

    assert reasons(tmp_path) == ["UNREADABLE", "NOT_DICOM"]


def test_a_file_that_the_disk_does_not_give_ends_no_scan(tmp_path: Path) -> None:
    one_image(tmp_path)
    (tmp_path / "broken.dcm").symlink_to("/proc/self/mem")  # nothing is mapped at its begin: EIO

    found = scan_folder(tmp_path)

    assert len(found.images) == 1
    assert [(one.code, one.reason) for one in found.passed_over] == [
        ("UNREADABLE", "cannot be read: Input/output error")
    ]


def test_a_second_copy_of_an_image_is_passed_over(tmp_path: Path) -> None:
    one_image(tmp_path / "a")
    one_image(tmp_path / "b")

    assert reasons(tmp_path) == ["DUPLICATE"]


def test_a_whole_file_is_taken_and_not_the_copy_of_it_that_breaks_off(tmp_path: Path) -> None:
    whole = one_image(tmp_path)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole.read_bytes()[:-1000])

    found = scan_folder(tmp_path)

    assert [one.path for one in found.images] == [whole]
    assert [(one.path, one.reason) for one in found.passed_over] == [
        (cut, f"the same SOP Instance UID as {whole}, which is no smaller")
    ]


def test_images_are_in_the_order_of_their_paths_whatever_their_size(tmp_path: Path) -> None:
    small, large = one_image(tmp_path / "a"), one_image(tmp_path / "b", SOPInstanceUID="1.2.3.77")
    large.write_bytes(large.read_bytes() + bytes(100))

    assert [one.path for one in scan_folder(tmp_path).images] == [small, large]


@pytest.mark.parametrize(
    ("changes", "age"),
    [
        ({"PatientAge": "047Y"}, 47),
        ({"PatientAge": "47"}, 47),
        ({"PatientAge": None, "PatientBirthDate": "19600304", "StudyDate": "20260303"}, 65),
        ({"PatientAge": "007M", "PatientBirthDate": None}, None),
        ({"PatientAge": "999Y", "PatientBirthDate": "19600304", "StudyDate": "20260303"}, 65),
        ({"PatientAge": "999Y", "PatientBirthDate": None}, None),
        ({"PatientAge": None, "PatientBirthDate": "1960"}, None),
    ],
)
def test_age_is_that_of_the_header_or_of_its_dates(
    tmp_path: Path, changes: dict[str, Any], age: int | None
) -> None:
    assert scanned(tmp_path, **changes).age == age


@pytest.mark.parametrize(("stated", "implant"), [("YES", True), ("NO", False), (None, None)])
def test_images_with_implants_are_taken_and_marked(
    tmp_path: Path, stated: str | None, implant: bool | None
) -> None:
    assert scanned(tmp_path, BreastImplantPresent=stated).implant is implant


def test_a_reason_can_be_waived_where_an_archive_is_wrong(tmp_path: Path) -> None:
    one_image(tmp_path, SOPClassUID=SecondaryCaptureImageStorage, BurnedInAnnotation="YES")

    waived = frozenset({ExclusionCode.SECONDARY_CAPTURE, ExclusionCode.BURNED_IN})

    assert reasons(tmp_path) == ["SECONDARY_CAPTURE"]
    assert len(scan_folder(tmp_path, waived).images) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ("exam,label", "1.2.3.1,cancer", "1.2.3.2,normal"),
        ("StudyInstanceUID,Label", "1.2.3.1,Cancer", "1.2.3.2,Normal"),
        ("accession,label", "A1,cancer", "A2,normal"),
        ("PatientID,label", "P1,cancer", "P2,normal"),
        ("exam,view,label", "1.2.3.1,CC,cancer", "1.2.3.1,MLO,cancer", "1.2.3.2,,normal"),
    ],
)
def test_labels_are_joined_by_whatever_names_an_exam(exams: Path, lines: tuple[str, ...]) -> None:
    rows = joined(exams, *lines).rows

    assert {row.exam: row.label for row in rows} == {"1.2.3.1": Label.CANCER, "1.2.3.2": Label.NORMAL}
    assert len(rows) == 8


def test_labels_of_breasts_give_the_exam_the_worse_one(exams: Path) -> None:
    lines = ("accession,laterality,label", "A1,right,normal", "A1,left,cancer", "A2,R,benign", "A2,L,normal")

    rows = joined(exams, *lines).rows

    told = {(row.exam[-1], row.laterality.value): (row.label.value, row.breast_label) for row in rows}
    assert told == {
        ("1", "R"): ("cancer", Label.NORMAL),
        ("1", "L"): ("cancer", Label.CANCER),
        ("2", "R"): ("benign", Label.BENIGN),
        ("2", "L"): ("benign", Label.NORMAL),
    }


@pytest.mark.parametrize("column", ["label", "breast_label"])
@pytest.mark.parametrize("told", ["normal", "cancer"])
def test_a_breast_that_nobody_labeled_is_left_out_and_told(exams: Path, column: str, told: str) -> None:
    report = joined(exams, f"exam,laterality,{column}", f"1.2.3.1,R,{told}", "1.2.3.1,L,")

    assert {(row.laterality, row.breast_label) for row in report.rows} == {(Laterality.RIGHT, Label(told))}
    assert report.empty_lines == (3,)


def test_other_columns_go_to_the_manifest_over_what_the_header_says(exams: Path) -> None:
    lines = ("exam,label,age,features,birads,ward", "1.2.3.1,cancer,51,mass;distortion,5,north")

    row = joined(exams, *lines).rows[0]

    assert (row.age, len(row.features), row.other["birads"], row.other["ward"]) == (51, 2, "5", "north")
    assert row.manufacturer == "Maker"


def test_files_are_labeled_by_path_and_their_view_may_be_stated(tmp_path: Path) -> None:
    path = one_image(tmp_path / "dicom" / "x", ImageLaterality=None, ViewCodeSequence=None, ViewPosition=None)

    (row,) = joined(tmp_path / "dicom", "path,label,laterality,view", "x/image.dcm,normal,L,MLO").rows

    assert (row.path, row.view_key, row.label) == (path, L_MLO, Label.NORMAL)


def test_what_does_not_fit_together_is_counted_on_both_sides(exams: Path) -> None:
    write_exam(exams / "3", study_uid="1.2.3.3", PatientID=None)
    lines = ("exam,label", "1.2.3.1,", "9.9,cancer", "1.2.3.3,normal")

    report = joined(exams, *lines)

    assert report.rows == ()
    assert (report.empty_lines, report.unused_lines) == ((2,), (3,))
    assert [path.parent.name for path in report.unlabeled] == ["2"] * 4
    assert [path.parent.name for path in report.no_patient] == ["3"] * 4


def test_a_woman_with_several_exams_cannot_be_labeled_by_name(exams: Path) -> None:
    write_exam(exams / "3", study_uid="1.2.3.3", PatientID="P1")

    assert refused(exams, "patient,label", "P2,normal", "P1,cancer") == [
        "line 3, column patient: has 2 exams in the folder, expected one: label by exam or accession"
    ]


def test_images_of_one_exam_with_different_patients_are_refused(exams: Path) -> None:
    write_exam(exams / "3", study_uid="1.2.3.1", PatientID="P9", views=[R_CC], number=1)

    with pytest.raises(ManifestError) as error:
        joined(exams, "exam,label", "1.2.3.1,cancer", "1.2.3.2,normal")

    first, other = exams / "1" / "L-CC.dcm", exams / "3" / "R-CC-1.dcm"
    assert str(error.value) == f"{other}: another patient than in {first} of the same exam, expected one"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("label", "cancer"), "line 1: no column path, exam, accession or patient"),
        (("exam", "1.2.3.1"), "line 1: column label is missing"),
        (
            ("exam,label", "1.2.3.1,bad"),
            "line 2, column label: found 'bad', expected cancer, normal or benign",
        ),
        (("exam,label", ",cancer"), "line 2, column exam: empty"),
        (
            ("exam,label,window_width", "1.2.3.1,cancer,9"),
            "line 2, column window_center: empty, but window_width is filled: expected all or none",
        ),
        (("exam,label", "1.2,cancer", "1.2,cancer"), "line 3, column exam: labels the same as line 2"),
        (
            ("exam,laterality,label", "1.2,,cancer"),
            "line 2, column laterality: empty, expected R or L",
        ),
        (
            ("exam,laterality,label,breast_label", "1.2,R,cancer,cancer", "1.2,L,normal,normal"),
            "line 3, column label: found normal, but cancer in line 2 of the same exam; "
            "labels of breasts are in breast_label",
        ),
    ],
)
def test_a_table_of_labels_that_cannot_be_used_says_why(
    exams: Path, lines: tuple[str, ...], complaint: str
) -> None:
    assert refused(exams, *lines) == [complaint]


def test_a_template_that_was_filled_in_labels_every_image(exams: Path, tmp_path: Path) -> None:
    path = tmp_path / "template.csv"
    images = scan_folder(exams).images

    breasts = write_template(images, path)

    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["label"] = "normal"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    report = join_labels(images, read_labels(path, exams))
    assert breasts == len(lines) == 4
    assert len(report.rows) == 8
    assert {row.breast_label for row in report.rows} == {Label.NORMAL}
    assert report.rows[0].other == {"implant": "no", "accession": "A1", "study_date": "20260303"}
