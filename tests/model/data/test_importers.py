"""What the importers share: their registry, words, tables, circles, and the labels of exam and breast."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dibmg.data.importers.cesm_words import features_of
from dibmg.data.importers.circles import around_box, around_points
from dibmg.data.importers.collect import FILE_MISSING, Collection, settle
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.registry import KINDS, import_layout
from dibmg.data.importers.tables import read_table
from dibmg.data.importers.values import age_of, birads_of, density_of, label_of_birads, laterality_of, view_of
from dibmg.data.manifest import Circle, Density, Feature, ImageRow, Label
from dibmg_node.domain.study import Laterality, View
from tests.model.data.layouts import write_csv, write_picture, write_workbook

RIGHT, LEFT = Laterality.RIGHT, Laterality.LEFT


def row(side: Laterality, breast: Label | None, path: Path = Path("a.png"), exam: str = "e1") -> ImageRow:
    return ImageRow(exam, "p1", side, View.CC, path, breast or Label.NORMAL, breast_label=breast)


def test_every_published_layout_has_a_reader():
    assert set(KINDS) == {layout.value for layout in Layout}
    assert {type(kind) for kind in KINDS} == {str}, "click takes an enum's members by other names"


def test_an_unknown_layout_is_refused_with_the_names_of_the_known_ones(tmp_path):
    with pytest.raises(LayoutError, match="'ddsm': expected one of cbis-ddsm, inbreast"):
        import_layout("ddsm", tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LayoutError, match="expected a folder"):
        import_layout("mias", tmp_path / "absent")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_folder_is_refused_by_every_layout_with_what_it_expects(kind, tmp_path):
    with pytest.raises(LayoutError, match=r"expected .*found none"):
        import_layout(kind, tmp_path)


def test_one_image_of_a_cancer_makes_its_breast_and_its_exam_a_cancer():
    settled = settle([row(LEFT, Label.BENIGN), row(LEFT, Label.CANCER), row(RIGHT, Label.NORMAL)])

    assert [one.breast_label for one in settled] == [Label.CANCER, Label.CANCER, Label.NORMAL]
    assert {one.label for one in settled} == {Label.CANCER}


def test_a_breast_that_nothing_is_known_of_stays_unknown_beside_a_known_one():
    settled = settle([row(LEFT, None), row(RIGHT, Label.BENIGN)])

    assert [one.breast_label for one in settled] == [None, Label.BENIGN]
    assert {one.label for one in settled} == {Label.BENIGN}


def test_two_exams_of_one_woman_have_labels_of_their_own():
    settled = settle([row(LEFT, Label.CANCER), row(LEFT, Label.NORMAL, exam="e2")])

    assert [one.label for one in settled] == [Label.CANCER, Label.NORMAL]


def test_a_cancer_whose_file_is_missing_still_gives_its_exam_the_label(tmp_path):
    collection = Collection()
    collection.add(row(LEFT, Label.CANCER, tmp_path / "absent.png"))
    collection.add(row(RIGHT, Label.NORMAL, write_picture(tmp_path / "there.png")))

    report = collection.report(Layout.MIAS, ["note"], "source", "license")

    assert [(one.label, one.breast_label) for one in report.rows] == [(Label.CANCER, Label.NORMAL)]
    assert report.skipped == {FILE_MISSING: 1}


@pytest.mark.parametrize(
    ("text", "years"), [("53", 53), ("053Y", 53), ("61.0", 61), ("", None), ("000Y", None), ("011M", None)]
)
def test_ages_are_read_as_published_and_as_dicom_writes_them(text, years):
    assert age_of(text) == years


@pytest.mark.parametrize(
    ("text", "density"),
    [
        ("C", Density.C),
        ("DENSITY B", Density.B),
        ("4", Density.D),
        ("2.0", Density.B),
        ("0", None),
        ("_", None),
        ("B-C", None),
        ("", None),
    ],
)
def test_densities_are_read_in_letters_and_numbers_and_never_guessed(text, density):
    assert density_of(text) == density


@pytest.mark.parametrize(
    ("text", "category", "label"),
    [
        ("1", 1, Label.NORMAL),
        ("2", 2, Label.BENIGN),
        ("3", 3, Label.BENIGN),
        ("4a", 4, Label.CANCER),
        ("BI-RADS 5", 5, Label.CANCER),
        ("6", 6, Label.CANCER),
        ("3$2$2", 3, Label.BENIGN),
        ("0", 0, None),
        ("", None, None),
        ("17", None, None),
    ],
)
def test_birads_categories_from_4_on_count_as_cancer_and_0_says_nothing(text, category, label):
    assert birads_of(text) == category
    assert label_of_birads(birads_of(text)) == label


def test_sides_and_views_are_read_in_any_case_and_unknown_ones_are_none():
    assert (laterality_of("LEFT"), laterality_of("r"), laterality_of("both")) == (LEFT, RIGHT, None)
    assert (view_of("mlo"), view_of("AT")) == (View.MLO, None)


def test_findings_in_free_text_become_features_through_their_misspellings():
    text = "High density mass with architectural distorton and assymetrical density$Benign macrocalcification"

    assert features_of(text) == {Feature.MASS, Feature.DISTORTION, Feature.ASYMMETRY}
    assert features_of("Clusters of pleomorphic microcalcification") == {Feature.CALCIFICATION}
    assert features_of("Normal") == frozenset()


def test_the_circle_around_an_outline_holds_its_outermost_points():
    circle = around_points([(10.0, 20.0), (30.0, 20.0), (20.0, 25.0)])

    assert (circle.column, circle.row, circle.radius) == pytest.approx((20.0, 20.0, 10.0), abs=0.01)


def test_the_circle_of_a_box_has_half_the_geometric_mean_of_its_sides():
    assert around_box(10, 20, 50, 30) == Circle(30.0, 25.0, 10.0)


def test_a_single_point_has_a_circle_with_a_radius():
    assert around_points([(3.0, 4.0)]).radius > 0


def test_a_missing_column_is_named_with_those_that_were_found(tmp_path):
    path = write_csv(tmp_path / "t.csv", "Patient_ID,View", [["1", "CC"]])

    with pytest.raises(
        LayoutError, match=r"expected columns \['pathology'\], found \['patient id', 'view'\]"
    ):
        read_table(path, ("view", "pathology"))


def test_a_line_says_where_it_stands_behind_a_cell_of_two_lines(tmp_path):
    path = write_csv(tmp_path / "t.csv", "a;b", [["one\n", "1"], ["", ""], ["two", "x"]], ";")

    first, second = read_table(path, ("a", "b"))

    assert (first.text("a"), first.number, second.number) == ("one", 2, 5)
    with pytest.raises(LayoutError, match=r"t\.csv, line 5, column 'b': expected a number, found 'x'"):
        second.number_in("b")


def test_a_sheet_is_found_by_its_name_and_read_with_its_gaps(tmp_path):
    sheets = {"first": [["c"], [1]], "All": [["ID 1", "Age", "Type"], ["a & b", "", "DM"], ["c", 47.5, ""]]}
    path = write_workbook(tmp_path / "t.xlsx", sheets)

    lines = read_table(path, ("id 1",), "all")

    assert [dict(line.cells) for line in lines] == [
        {"id 1": "a & b", "age": "", "type": "DM"},
        {"id 1": "c", "age": "47.5"},
    ]
    assert [line.number for line in lines] == [2, 3]
    assert read_table(path, ("c",), "absent")[0].text("c") == "1"


def test_a_file_that_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "t.xlsx").write_text("Patient,Side")
    with zipfile.ZipFile(tmp_path / "u.xlsx", "w") as parts:
        parts.writestr("xl/workbook.xml", "<workbook/>")

    for name in ("t.xlsx", "u.xlsx"):
        with pytest.raises(LayoutError, match=f"{name}: cannot be read as an Excel workbook"):
            read_table(tmp_path / name, ())
