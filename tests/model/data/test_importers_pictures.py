"""Layouts whose tables name their files: VinDr-Mammo, RSNA 2023, both forms of CDD-CESM and mini-MIAS."""

from __future__ import annotations

import pytest

from dibmg.data.importers.collect import FILE_MISSING
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.registry import import_layout
from dibmg.data.manifest import CancerType, Circle, Density, Feature, Label
from dibmg_node.domain.study import Laterality, View
from tests.model.data.layouts import outline, write_csv, write_picture, write_workbook

VINDR_IMAGE = (
    "study_id,series_id,laterality,view_position,image_id,height,width,breast_birads,breast_density,split"
)
VINDR_FINDING = (
    "image_id,study_id,series_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"
)


def vindr_finding(image: str, categories: str, birads: str, *box: float) -> list[object]:
    sides: tuple[object, ...] = box or ("", "", "", "")
    return [
        image,
        "s1",
        "x",
        "L",
        "CC",
        80,
        60,
        "BI-RADS 4",
        "DENSITY C",
        categories,
        birads,
        *sides,
        "training",
    ]


@pytest.fixture
def vindr(tmp_path):
    lines = [
        ["s1", "x", "L", "CC", "i1", 80, 60, "BI-RADS 4", "DENSITY C", "training"],
        ["s1", "x", "R", "CC", "i2", 80, 60, "BI-RADS 2", "DENSITY B", "training"],
        ["s1", "x", "R", "MLO", "i3", 80, 60, "BI-RADS 2", "DENSITY B", "training"],
        ["s2", "x", "R", "MLO", "i4", 80, 60, "BI-RADS 1", "", "test"],
        ["s2", "x", "", "MLO", "i5", 80, 60, "BI-RADS 1", "DENSITY B", "test"],
    ]
    write_csv(tmp_path / "breast-level_annotations.csv", VINDR_IMAGE, lines)
    write_csv(
        tmp_path / "finding_annotations.csv",
        VINDR_FINDING,
        [
            vindr_finding("i1", "['Mass', 'Skin Retraction']", "BI-RADS 4", 10, 20, 50, 30),
            vindr_finding("i1", "['Suspicious Calcification']", "BI-RADS 3", 0, 0, 60, 60),
            vindr_finding("i1", "['Focal Asymmetry']", "BI-RADS 4", 10, 20, 12, 22),
            vindr_finding("i4", "['No Finding']", ""),
        ],
    )
    write_csv(
        tmp_path / "metadata.csv",
        "SOP Instance UID,Patient's Age,Manufacturer,Manufacturer's Model Name",
        [["i1", "053Y", "SIEMENS", "Mammomat Inspiration"], ["i4", "", "", ""]],
    )
    for study, image in (("s1", "i1"), ("s1", "i2"), ("s2", "i4")):
        write_picture(tmp_path / "images" / study / "x.png").rename(
            tmp_path / "images" / study / f"{image}.dicom"
        )
    return tmp_path


def test_vindr_takes_the_most_suspicious_box_of_an_image_and_the_features_of_all(vindr):
    first = import_layout("vindr-mammo", vindr).rows[0]

    assert first.lesion == Circle(30.0, 25.0, 10.0)
    assert first.features == {Feature.MASS, Feature.CALCIFICATION, Feature.ASYMMETRY}
    assert (first.age, first.manufacturer, first.model) == (53, "SIEMENS", "Mammomat Inspiration")
    assert (first.density, first.other["split"], first.other["birads"]) == (Density.C, "training", "4")


def test_vindr_labels_by_birads_and_counts_what_is_missing(vindr):
    report = import_layout("vindr-mammo", vindr)

    assert [(row.exam, row.breast_label, row.label) for row in report.rows] == [
        ("s1", Label.CANCER, Label.CANCER),
        ("s1", Label.BENIGN, Label.CANCER),
        ("s2", Label.NORMAL, Label.NORMAL),
    ]
    assert report.skipped == {FILE_MISSING: 1, "side, view or BI-RADS category not known": 1}
    assert any("BI-RADS 4 and above counts as cancer" in note for note in report.notes)
    assert (report.rows[2].age, report.rows[2].manufacturer, report.rows[2].density) == (None, None, None)


def test_vindr_without_its_headers_is_read_and_says_so(vindr):
    (vindr / "metadata.csv").unlink()

    report = import_layout("vindr-mammo", vindr)

    assert report.rows[0].age is None
    assert report.notes[-1].startswith("metadata.csv was not found")


def test_vindr_refuses_a_list_of_findings_that_is_none(vindr):
    write_csv(vindr / "finding_annotations.csv", VINDR_FINDING, [vindr_finding("i1", "Mass", "BI-RADS 4")])

    with pytest.raises(LayoutError, match="line 2, column 'finding categories': expected a list"):
        import_layout("vindr-mammo", vindr)


RSNA = (
    "site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,machine_id,"
    "difficult_negative_case"
)


@pytest.fixture
def rsna(tmp_path):
    lines = [
        [2, 10006, 1, "L", "CC", "61.0", 1, 1, 1, "", 0, "", 29, "False"],
        [2, 10006, 2, "R", "CC", "61.0", 0, 1, 0, "0.0", 0, "B", 29, "True"],
        [2, 10006, 3, "R", "MLO", "61.0", 0, 1, 0, "0.0", 0, "B", 29, "True"],
        [1, 10011, 4, "L", "MLO", "", 1, 1, 0, "", 1, "D", 49, "False"],
        [1, 10012, 5, "L", "MLO", "50", 0, 0, 0, "1", 0, "", 49, "False"],
        [1, 10012, 6, "L", "AT", "50", 0, 0, 0, "1", 0, "", 49, "False"],
        [1, 10013, 7, "L", "MLO", "50", "", 0, 0, "1", 0, "", 49, "False"],
    ]
    write_csv(tmp_path / "train.csv", RSNA, lines)
    for patient, image in ((10006, 1), (10006, 2), (10011, 4), (10012, 5), (10012, 6)):
        folder = tmp_path / "train_images" / str(patient)
        write_picture(folder / "x.png").rename(folder / f"{image}.dcm")
    return tmp_path


def test_rsna_labels_each_breast_by_cancer_and_biopsy(rsna):
    rows = import_layout("rsna-2023", rsna).rows

    assert [(row.laterality, row.breast_label, row.label, row.cancer_type) for row in rows] == [
        (Laterality.LEFT, Label.CANCER, Label.CANCER, CancerType.INVASIVE),
        (Laterality.RIGHT, Label.BENIGN, Label.CANCER, None),
        (Laterality.LEFT, Label.CANCER, Label.CANCER, CancerType.NONINVASIVE),
        (Laterality.LEFT, Label.NORMAL, Label.NORMAL, None),
    ]


def test_rsna_keeps_age_density_machine_and_implant_where_they_are_known(rsna):
    first, second, third, _ = import_layout("rsna-2023", rsna).rows

    assert (first.age, first.model, second.density, third.age) == (61, "machine 29", Density.B, None)
    assert (first.other["implant"], third.other["implant"]) == ("no", "yes")
    assert (second.other["birads"], second.other["difficult"]) == ("0", "yes")
    assert "birads" not in first.other


def test_rsna_counts_views_that_view_position_lacks_missing_files_and_unknown_breasts(rsna):
    assert import_layout("rsna-2023", rsna).skipped == {
        FILE_MISSING: 1,
        "side or cancer not known": 1,
        "view 'AT', which View Position does not have": 1,
    }


def cesm_sheet() -> list[list[object]]:
    columns: list[object] = [
        "Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "Findings",
        "View", "Tags", "Machine", "Pathology Classification/ Follow up",
    ]  # fmt: skip
    return [
        columns,
        ["P1_L_DM_CC", 1, "L", "DM", 47, "C", "5$2", "High density mass$Benign macrocalcification",
         "CC", "", 1, "Malignant"],
        ["P1_L_DM_MLO", 1, "L", "DM", 47, "C", "5$2", "High density mass", "MLO", "", 1, "Malignant"],
        ["P1_L_CM_CC", 1, "L", "CESM", 47, "_", "5", "Mass enhancement", "CC", "", 1, "Malignant"],
        ["P2_R_DM_CC", 2, "R", "DM", 52, "_", 1, "Normal", "CC", "", 2, "Normal"],
        ["P3_R_DM_CC", 3, "R", "DM", "", "B", 2, "Postoperative scar with surgical clips",
         "CC", "", 2, "Benign"],
        ["P4_R_DM_CC", 4, "R", "DM", 52, "B", 2, "Mass", "CC", "", 2, "Follow up"],
    ]  # fmt: skip


@pytest.fixture
def cesm(tmp_path):
    write_workbook(
        tmp_path / "Radiology-manual-annotations.xlsx", {"mass_description": [["x"]], "all": cesm_sheet()}
    )
    polygon = outline("polygon", all_points_x=[10, 30, 20], all_points_y=[20, 20, 25])
    write_csv(
        tmp_path / "Radiology_hand_drawn_segmentations_v2.csv",
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes",
        [
            ["P1_L_DM_CC.jpg", 1, "{}", 3, 0, polygon, "{}"],
            [
                "P1_L_DM_CC.jpg",
                1,
                "{}",
                3,
                1,
                outline("ellipse", cx=100, cy=50, rx=5, ry=40, theta=0.1),
                "{}",
            ],
            ["P1_L_DM_CC.jpg", 1, "{}", 3, 2, outline("point", cx=1, cy=2), "{}"],
            ["P2_R_DM_CC.jpg", 1, "{}", 0, 0, "{}", "{}"],
            ["P3_R_DM_CC.jpg", 1, "{}", 1, 0, outline("circle", cx=7, cy=8, r=9), "{}"],
        ],
    )
    images = tmp_path / "CDD-CESM" / "Low energy images of CDD-CESM"
    for name in ("P1_L_DM_CC", "P2_R_DM_CC ", "P3_R_DM_CC", "P4_R_DM_CC"):
        write_picture(images / f"{name}.jpg")
    return tmp_path


def test_cesm_as_published_gives_the_low_energy_images_with_their_pathology(cesm):
    report = import_layout("cdd-cesm", cesm)

    assert [(row.patient, row.laterality, row.label) for row in report.rows] == [
        ("P1", Laterality.LEFT, Label.CANCER),
        ("P2", Laterality.RIGHT, Label.NORMAL),
        ("P3", Laterality.RIGHT, Label.BENIGN),
    ]
    assert report.skipped == {
        FILE_MISSING: 1,
        "side, view or pathology not known": 1,
        "subtracted image": 1,
    }


def test_cesm_as_published_takes_the_largest_outline_of_any_shape(cesm):
    first, second, third = import_layout("cdd-cesm", cesm).rows

    assert first.lesion is not None and third.lesion is not None
    assert (first.lesion.column, first.lesion.row, first.lesion.radius) == pytest.approx(
        (100, 50, 40), abs=0.01
    )
    assert (third.lesion.column, third.lesion.row, third.lesion.radius) == pytest.approx((7, 8, 9), abs=0.01)
    assert second.lesion is None


def test_cesm_as_published_reads_density_birads_findings_and_surgery(cesm):
    first, second, third = import_layout("cdd-cesm", cesm).rows

    assert (first.age, first.density, first.other["birads"]) == (47, Density.C, "5")
    assert first.features == {Feature.MASS}
    assert (second.density, second.model) == (None, "machine 2")
    assert (third.other["surgery"], third.other["clip"], third.age) == ("yes", "yes", None)


def test_cesm_as_published_refuses_an_outline_of_an_unknown_shape(cesm):
    write_csv(
        cesm / "Radiology_hand_drawn_segmentations_v2.csv",
        "#filename,region_shape_attributes",
        [["P1_L_DM_CC.jpg", outline("spiral", cx=1)]],
    )

    with pytest.raises(LayoutError, match="line 2, column 'region shape attributes': expected an outline"):
        import_layout("cdd-cesm", cesm)


def cesm_line(
    image: str, label: str, density: str, birads: str, findings: str, mask: bool = False
) -> list[object]:
    woman, side, view = image.split("_")
    paths = [f"images/{image}.jpg", f"masks/{image}.png" if mask else ""]
    return [image, *paths, woman, side, view, label, 60, density, birads, findings, 1, "fold0"]


@pytest.fixture
def cesm_dev(tmp_path):
    write_csv(
        tmp_path / "labels.csv",
        "image,path,mask,patient,laterality,view,label,age,density,birads,findings,machine,fold",
        [
            cesm_line("P1_L_CC", "malignant", "C", "4$2", "Asymmetrical increased density", mask=True),
            cesm_line("P1_L_MLO", "malignant", "C", "4$2", "Asymmetrical increased density", mask=True),
            cesm_line("P1_R_CC", "normal", "_", "1", "Normal"),
            cesm_line("P2_R_CC", "benign", "B", "2", "IMLN"),
        ],
    )
    for name in ("images/P1_L_CC.jpg", "images/P1_L_MLO.jpg", "images/P1_R_CC.jpg", "masks/P1_L_CC.png"):
        write_picture(tmp_path / name)
    return tmp_path


def test_cesm_squares_are_labeled_by_breast_and_keep_their_mask_and_fold(cesm_dev):
    report = import_layout("cesm-dev", cesm_dev)

    first, _, third = report.rows
    assert [(row.view, row.breast_label, row.label) for row in report.rows] == [
        (View.CC, Label.CANCER, Label.CANCER),
        (View.MLO, Label.CANCER, Label.CANCER),
        (View.CC, Label.NORMAL, Label.CANCER),
    ]
    assert first.mask == cesm_dev / "masks" / "P1_L_CC.png"
    assert (first.other["fold"], first.other["birads"], third.density) == ("fold0", "4", None)
    assert any("MLO exists for malignant images only" in note for note in report.notes)


def test_cesm_squares_whose_mask_is_missing_are_kept_without_one_and_counted(cesm_dev):
    report = import_layout("cesm-dev", cesm_dev)

    assert report.rows[1].mask is None
    assert report.skipped[FILE_MISSING] == 1
    assert report.skipped["mask named by the table, file not found (its image is kept)"] == 1


INFO = """INFORMATION:
1st column: MIAS database reference number.

mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb004 D NORM
mdb005 F CIRC B 477 133 30
mdb005 F CIRC M 500 168 26
mdb059 F CIRC B
mdb216 D CALC M *NOTE 3*
mdb241 D CALC M 453 678 38
"""
FINDINGS = "image,patient,side,view,density,abnormality,severity,x,y,radius,fold,note"


def write_films(folder, suffix, *films):
    for film in films:
        write_picture(folder / f"{film}{suffix}")


def test_mias_as_published_turns_y_and_tells_woman_and_side_by_the_films_number(tmp_path):
    (tmp_path / "Info.txt").write_text(INFO)
    write_films(tmp_path / "all-mias", ".pgm", "mdb001", "mdb002", "mdb003", "mdb005", "mdb059", "mdb216")

    report = import_layout("mias", tmp_path)

    assert [(row.patient, row.laterality, row.breast_label) for row in report.rows] == [
        ("mias001", Laterality.RIGHT, Label.BENIGN),
        ("mias001", Laterality.LEFT, Label.BENIGN),
        ("mias002", Laterality.RIGHT, Label.NORMAL),
        ("mias003", Laterality.RIGHT, Label.CANCER),
        ("mias030", Laterality.RIGHT, Label.BENIGN),
        ("mias108", Laterality.LEFT, Label.CANCER),
    ]
    assert report.rows[0].lesion == Circle(535.5, 598.5, 197.0)
    assert report.skipped == {FILE_MISSING: 2}


def test_mias_takes_the_malignant_of_two_findings_and_no_place_where_none_is_given(tmp_path):
    (tmp_path / "Info.txt").write_text(INFO)
    write_films(tmp_path, ".pgm", "mdb005", "mdb059", "mdb216")

    two, without, scattered = import_layout("mias", tmp_path).rows

    assert two.lesion == Circle(500.5, 855.5, 26.0)
    assert (without.lesion, scattered.lesion) == (None, None)
    assert scattered.features == {Feature.CALCIFICATION}
    assert (two.density, two.other["tissue"]) == (None, "F")


def test_mias_as_a_table_gives_the_same_place_as_the_published_list(tmp_path):
    published, table = tmp_path / "published", tmp_path / "table"
    write_films(published, ".pgm", "mdb001")
    (published / "Info.txt").write_text(INFO)
    write_films(table / "images", ".png", "mdb001")
    write_csv(
        table / "findings.csv",
        FINDINGS,
        [["mdb001", "mias001", "R", "MLO", "G", "CIRC", "B", 535, 598, 197, "fold1", ""]],
    )

    (of_list,), (of_table,) = import_layout("mias", published).rows, import_layout("mias", table).rows

    assert of_table.lesion == of_list.lesion
    assert (of_table.patient, of_table.laterality) == (of_list.patient, of_list.laterality)
    assert of_table.other["fold"] == "fold1"


def test_mias_refuses_a_finding_without_severity_and_says_in_which_line(tmp_path):
    (tmp_path / "Info.txt").write_text("mdb001 G NORM\nmdb002 G CIRC\n")

    with pytest.raises(LayoutError, match=r"Info\.txt, line 2: expected a class and a severity"):
        import_layout("mias", tmp_path)
