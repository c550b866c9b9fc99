"""Layouts whose files have to be found by their headers or folders: CBIS-DDSM, INbreast, CMMD."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.data.importers.collect import FILE_MISSING
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.registry import import_layout
from dibmg.data.manifest import Density, Feature, Label, read_manifest, write_manifest
from dibmg_node.domain.study import Laterality, View
from tests.model.data.layouts import write_csv, write_dicom, write_regions, write_workbook

CBIS_MASS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,"
    "mass margins,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
CBIS_CALC = (
    CBIS_MASS.replace("breast_density", "breast density")
    .replace("mass shape", "calc type")
    .replace("mass margins", "calc distribution")
)
GRID, CROP, LARGE_CROP = (60, 40), (5, 5), (9, 9)


def cbis_line(
    set_name: str,
    woman: str,
    side: str,
    view: str,
    number: int,
    pathology: str,
    shape: str = "OVAL",
    density: int = 2,
) -> list[object]:
    film = f"{set_name}_{woman}_{side}_{view}"
    kind = "mass" if set_name.startswith("Mass") else "calcification"
    image = f"{film}/1.1/{uid(film)}/000000.dcm"
    crop = f"{film}_{number}/1.2/{uid(film, number)}/000001.dcm"
    mask = f"{film}_{number}/1.2/{uid(film, number)}/000000.dcm\n"
    return [
        woman, density, side, view, number, kind, shape, "CIRCUMSCRIBED", 4, pathology, 3, image, crop, mask
    ]  # fmt: skip


def uid(*parts: object) -> str:
    return "1.3." + str(sum(place * ord(sign) for place, sign in enumerate(repr(parts), start=1)))


def cbis_film(folder: Path, film: str, lesions: dict[int, tuple[int, int]]) -> None:
    """A film as the tables name it, with mask and crop of each abnormality in one series."""
    write_dicom(folder / film / "1.1" / uid(film) / "1-1.dcm", film, series_uid=uid(film), size=GRID)
    for number, size in lesions.items():
        series = folder / f"{film}_{number}" / "1.2" / uid(film, number)
        write_dicom(series / "1-1.dcm", film, series_uid=uid(film, number), size=size)
        write_dicom(series / "1-2.dcm", film, series_uid=uid(film, number), size=GRID)


@pytest.fixture
def cbis(tmp_path):
    write_csv(
        tmp_path / "mass_case_description_train_set.csv",
        CBIS_MASS,
        [
            cbis_line("Mass-Training", "P_00001", "LEFT", "CC", 1, "BENIGN"),
            cbis_line(
                "Mass-Training", "P_00001", "LEFT", "CC", 2, "MALIGNANT", "IRREGULAR-ARCHITECTURAL_DISTORTION"
            ),
            cbis_line("Mass-Training", "P_00001", "LEFT", "CC", 3, "MALIGNANT"),
            cbis_line("Mass-Training", "P_00001", "LEFT", "MLO", 1, "BENIGN"),
            cbis_line("Mass-Training", "P_00002", "RIGHT", "CC", 1, "BENIGN_WITHOUT_CALLBACK", density=0),
            cbis_line("Mass-Training", "P_00003", "RIGHT", "CC", 1, "UNPROVEN"),
        ],
    )
    write_csv(
        tmp_path / "calc_case_description_test_set.csv",
        CBIS_CALC,
        [
            cbis_line("Calc-Test", "P_00002", "RIGHT", "CC", 1, "BENIGN", "PUNCTATE", density=3),
            cbis_line("Calc-Test", "P_00004", "RIGHT", "MLO", 1, "MALIGNANT", "PUNCTATE"),
        ],
    )
    images = tmp_path / "CBIS-DDSM"
    cbis_film(images, "Mass-Training_P_00001_LEFT_CC", {1: LARGE_CROP, 2: CROP, 3: LARGE_CROP})
    cbis_film(images, "Mass-Training_P_00001_LEFT_MLO", {1: CROP})
    cbis_film(images, "Mass-Training_P_00002_RIGHT_CC", {})
    return tmp_path


def test_cbis_gives_one_row_a_film_with_the_labels_of_its_pathology(cbis):
    report = import_layout("cbis-ddsm", cbis)

    assert [(row.patient, row.view, row.breast_label, row.label) for row in report.rows] == [
        ("P_00001", View.CC, Label.CANCER, Label.CANCER),
        ("P_00001", View.MLO, Label.CANCER, Label.CANCER),
        ("P_00002", View.CC, Label.BENIGN, Label.BENIGN),
    ]
    assert report.license == "CC BY 3.0"


def test_cbis_takes_the_malignant_abnormality_with_the_largest_crop_and_the_mask_on_the_films_grid(cbis):
    first = import_layout("cbis-ddsm", cbis).rows[0]

    film = "Mass-Training_P_00001_LEFT_CC"
    assert first.mask == cbis / "CBIS-DDSM" / f"{film}_3" / "1.2" / uid(film, 3) / "1-2.dcm"
    assert first.path.parent.name == uid(film)
    assert first.features == {Feature.MASS, Feature.DISTORTION}
    assert first.other["abnormalities"] == "3"


def test_cbis_says_what_was_not_downloaded_not_known_or_has_no_mask(cbis):
    report = import_layout("cbis-ddsm", cbis)

    assert report.skipped == {FILE_MISSING: 1, "side, view or pathology not known": 1}
    assert report.rows[2].mask is None
    assert any(note.startswith("1 images: mask") for note in report.notes)


def test_cbis_joins_a_film_of_both_tables_and_names_the_split_of_its_woman(cbis):
    rows = import_layout("cbis-ddsm", cbis).rows

    assert rows[2].features == {Feature.MASS, Feature.CALCIFICATION}
    assert [row.other["split"] for row in rows] == ["train", "train", "both"]
    assert (rows[0].density, rows[2].density) == (Density.B, None)


def test_cbis_finds_a_series_by_the_downloaders_table_where_folders_have_no_uids(tmp_path):
    film = "Mass-Training_P_00001_LEFT_CC"
    write_csv(
        tmp_path / "mass_case_description_train_set.csv",
        CBIS_MASS,
        [cbis_line("Mass-Training", "P_00001", "LEFT", "CC", 1, "BENIGN")],
    )
    place = Path("CBIS-DDSM") / film / "07-20-2016-DDSM-NA-74994" / "1.000000-full mammogram images-24515"
    image = write_dicom(tmp_path / "m" / place / "1-1.dcm", film, series_uid="1.9.9", size=GRID)
    write_csv(
        tmp_path / "m" / "metadata.csv",
        "Series UID,Collection,File Location",
        [[uid(film), "CBIS-DDSM", ".\\" + str(place).replace("/", "\\")]],
    )

    assert [row.path for row in import_layout("cbis-ddsm", tmp_path).rows] == [image]


def test_cbis_finds_a_series_by_the_headers_where_nothing_else_tells(tmp_path):
    film = "Mass-Training_P_00001_LEFT_CC"
    write_csv(
        tmp_path / "mass_case_description_train_set.csv",
        CBIS_MASS,
        [cbis_line("Mass-Training", "P_00001", "LEFT", "CC", 1, "BENIGN")],
    )
    write_dicom(tmp_path / film / "a" / "1-1.dcm", film, series_uid="1.9.9", size=GRID)
    image = write_dicom(tmp_path / film / "b" / "1-1.dcm", film, series_uid=uid(film), size=GRID)

    assert [row.path for row in import_layout("cbis-ddsm", tmp_path).rows] == [image]


def test_cbis_counts_a_damaged_file_and_leaves_its_film_out(cbis):
    film = "Mass-Training_P_00002_RIGHT_CC"
    (cbis / "CBIS-DDSM" / film / "1.1" / uid(film) / "1-1.dcm").write_bytes(b"cut off")

    report = import_layout("cbis-ddsm", cbis)

    assert len(report.rows) == 2
    assert report.skipped["damaged DICOM file"] == 1


def test_a_report_can_be_written_as_a_manifest_and_read_again(cbis):
    report = import_layout("cbis-ddsm", cbis)

    write_manifest(report.rows, cbis / "manifest.csv")
    again = read_manifest(cbis / "manifest.csv").rows

    assert [(row.path, row.mask, row.label, row.features, row.other) for row in again] == [
        (row.path, row.mask, row.label, row.features, row.other) for row in report.rows
    ]


INBREAST = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"


@pytest.fixture
def inbreast(tmp_path):
    folder = tmp_path / "INbreast Release 1.0"
    lines = [
        ["removed", "removed", "R", "CC", "201001", "101", "2", "4c"],
        ["removed", "removed", "R", "MLO", "201001", "102", "2", "2"],
        ["removed", "removed", "L", "MLO", "201001", "103", "     ", "1"],
        ["removed", "removed", "R", "CC", "200901", "104", "3", "2"],
        ["removed", "removed", "R", "CC", "200901", "105", "3", "5"],
        ["removed", "removed", "R", "CC", "200901", "106", "3", "0"],
    ]
    write_csv(folder / "INbreast.csv", INBREAST, lines, ";")
    for image, side, view in (("101", "R", "CC"), ("102", "R", "ML"), ("103", "L", "ML"), ("104", "R", "CC")):
        write_dicom(folder / "AllDICOMs" / f"{image}_6c613a14b80a8591_MG_{side}_{view}_ANON.dcm")
    write_regions(
        folder / "AllXML" / "101.xml",
        [
            ("Mass", [(10, 10), (20, 10), (15, 14)]),
            ("Espiculated Region", [(100, 50), (140, 50), (120, 60)]),
            ("Calcification", [(300, 300)]),
            ("Point 1", [(0, 0), (500, 500)]),
            ("Unnamed", []),
        ],
    )
    write_regions(
        folder / "AllXML" / "102.xml", [("Calcifications", [(3, 3)]), ("Assymetry", [(4, 4), (8, 4)])]
    )
    return tmp_path


def test_inbreast_labels_by_birads_and_says_that_this_is_not_pathology(inbreast):
    report = import_layout("inbreast", inbreast)

    assert [(row.path.name[:3], row.breast_label, row.label) for row in report.rows] == [
        ("101", Label.CANCER, Label.CANCER),
        ("102", Label.CANCER, Label.CANCER),
        ("103", Label.NORMAL, Label.CANCER),
        ("104", Label.BENIGN, Label.BENIGN),
    ]
    assert any("BI-RADS 4 and above counts as cancer" in note for note in report.notes)
    assert {row.other["pathology_proven"] for row in report.rows} == {"no"}


def test_inbreast_tells_the_woman_by_the_file_and_the_exam_by_its_date(inbreast):
    rows = import_layout("inbreast", inbreast).rows

    assert {row.patient for row in rows} == {"6c613a14b80a8591"}
    assert [row.exam for row in rows] == ["6c613a14b80a8591-201001"] * 3 + ["6c613a14b80a8591-200901"]
    assert [row.view for row in rows] == [View.CC, View.MLO, View.MLO, View.CC]


def test_inbreast_places_the_largest_region_and_no_single_calcification(inbreast):
    first, second, third, _ = import_layout("inbreast", inbreast).rows

    assert first.lesion is not None
    assert (first.lesion.column, first.lesion.row, first.lesion.radius) == pytest.approx(
        (120, 50, 20), abs=0.01
    )
    assert first.features == {Feature.MASS, Feature.CALCIFICATION}
    assert second.features == {Feature.ASYMMETRY, Feature.CALCIFICATION}
    assert (third.lesion, third.density) == (None, None)


def test_inbreast_counts_missing_files_and_categories_that_say_nothing(inbreast):
    assert import_layout("inbreast", inbreast).skipped == {
        FILE_MISSING: 1,
        "side, view or BI-RADS category not known": 1,
    }


def test_inbreast_refuses_a_damaged_annotation_and_names_it(inbreast):
    (inbreast / "INbreast Release 1.0" / "AllXML" / "101.xml").write_text("<plist><dict>")

    with pytest.raises(LayoutError, match=r"101\.xml: expected an OsiriX property list"):
        import_layout("inbreast", inbreast)


@pytest.fixture
def cmmd(tmp_path):
    write_workbook(
        tmp_path / "CMMD_clinicaldata_revision.xlsx",
        {
            "Sheet1": [
                ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"],
                ["D1-0001", "R", 44, 2, "calcification", "Benign", ""],
                ["D1-0001", "L", 44, 2, "both", "Malignant", ""],
                ["D2-0002", "L", 64, 4, "mass", "Malignant", "Luminal B"],
                ["D1-0003", "L", 51, 2, "mass", "Benign", ""],
                ["D1-0004", "L", 51, 2, "mass", "", ""],
            ]
        },
    )
    images = tmp_path / "CMMD"
    write_dicom(images / "D1-0001" / "s" / "1-1.dcm", "D1-0001", "R", "CC")
    write_dicom(images / "D2-0002" / "s" / "1-1.dcm", "D2-0002", "L", "MLO")
    write_dicom(images / "D2-0002" / "s" / "1-2.dcm", "D2-0002", "R", "MLO")
    write_dicom(images / "D9-0009" / "s" / "1-1.dcm", "D9-0009", "R", "MLO")
    write_dicom(images / "D2-0002" / "s" / "1-3.dcm", "D2-0002", "R")
    (images / "D2-0002" / "s" / "1-4.dcm").write_bytes(b"cut off")
    return tmp_path


def test_cmmd_joins_files_to_the_line_of_their_breast(cmmd):
    benign, malignant, other = import_layout("cmmd", cmmd).rows

    assert (benign.laterality, benign.view, benign.age) == (Laterality.RIGHT, View.CC, 44)
    assert benign.features == {Feature.CALCIFICATION}
    assert (malignant.breast_label, malignant.other["subtype"]) == (Label.CANCER, "Luminal B")
    assert (other.laterality, other.breast_label, other.label) == (Laterality.RIGHT, None, Label.CANCER)
    assert (other.age, other.features, other.other) == (64, frozenset(), {})


def test_cmmd_gives_an_exam_the_label_of_a_breast_that_was_not_downloaded(cmmd):
    benign = import_layout("cmmd", cmmd).rows[0]

    assert (benign.breast_label, benign.label) == (Label.BENIGN, Label.CANCER)


def test_cmmd_counts_what_it_leaves_out(cmmd):
    assert import_layout("cmmd", cmmd).skipped == {
        "file that is not whole DICOM": 1,
        "line without side or classification": 1,
        FILE_MISSING + " (breasts)": 2,
        "side or view not in the header": 1,
        "woman not in the clinical table": 1,
    }


def test_cmmd_reads_the_table_saved_as_csv_too(cmmd):
    (cmmd / "CMMD_clinicaldata_revision.xlsx").unlink()
    write_csv(
        cmmd / "CMMD_clinicaldata_revision_CSV.csv",
        "ID1;LeftRight;Age;number;abnormality;classification;subtype",
        [["D1-0001", "R", 44, 2, "mass", "Benign", ""]],
        ";",
    )

    assert [row.label for row in import_layout("cmmd", cmmd).rows] == [Label.BENIGN]
