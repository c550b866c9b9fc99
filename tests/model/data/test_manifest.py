"""Manifests: what they accept, and that they name everything that is wrong with them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dibmg.data.columns import COLUMNS, columns_table
from dibmg.data.manifest import (
    CancerType,
    Circle,
    Density,
    Feature,
    ImageRow,
    Label,
    ManifestError,
    check_files,
    read_manifest,
    write_manifest,
)
from dibmg_node.domain.study import Laterality, View
from tests.model.data.factories_data import HEADER, row, write_csv

FULL = row(
    breast_label=Label.CANCER,
    label=Label.CANCER,
    age=51,
    manufacturer="Maker, Inc.",
    model="Unit 1",
    density=Density.C,
    cancer_type=CancerType.INVASIVE,
    features=frozenset({Feature.MASS, Feature.CALCIFICATION}),
    size_mm=22.5,
    lesion=Circle(100.5, 20, 7.25),
    mask=Path("/images/mask.png"),
    window=(2047.5, 4096),
    other={"birads": "5", "fold": "3"},
)


def complaints(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as refused:
        read_manifest(path)
    return [complaint.removeprefix(f"{path}: ") for complaint in refused.value.complaints]


def without_line(rows: tuple[ImageRow, ...]) -> list[ImageRow]:
    return [replace(one, line=0) for one in rows]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    rows = [FULL, row(exam="e2", patient="p2", path=tmp_path / "sub" / "b.dcm")]

    write_manifest(rows, tmp_path / name)

    assert without_line(read_manifest(tmp_path / name).rows) == without_line(tuple(rows))


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_signs_that_part_lines_elsewhere_part_none_in_a_table(tmp_path: Path, sign: str) -> None:
    rows = [row(manufacturer=f"Maker{sign}Inc.", other={"remark": f"a, b{sign}c"})]

    write_manifest(rows, tmp_path / "m.csv")

    assert without_line(read_manifest(tmp_path / "m.csv").rows) == without_line(tuple(rows))


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_file_whose_name_no_table_can_hold_is_named_and_the_manifest_before_stays(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_manifest([row()], path)
    before = path.read_bytes()

    with pytest.raises(ManifestError) as refused:
        write_manifest([row(path=tmp_path / os.fsdecode(b"M\xfcller") / "a.dcm")], path)

    assert refused.value.complaints == (
        f"{path}: row 1, column path: found 'M\\udcfcller/a.dcm', expected a name in UTF-8",
    )
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == before


def test_a_manifest_is_written_over_no_device() -> None:
    with pytest.raises(ManifestError, match="/dev/null: expected a file"):
        write_manifest([row()], Path("/dev/null"))


def test_paths_are_written_relative_to_the_manifest(tmp_path: Path) -> None:
    write_manifest([row(path=tmp_path / "images" / "a.png")], tmp_path / "m.csv")

    assert ",images/a.png," in (tmp_path / "m.csv").read_text()


def test_paths_are_read_relative_to_the_manifest(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,R,CC,../images/a.png,normal")

    assert read_manifest(path).rows[0].path == tmp_path.parent / "images" / "a.png"


def test_case_and_words_for_sides_do_not_matter(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,right,mlo,a.png,CANCER", "e1,p1,l,Cc,b.png,Cancer")

    first, second = read_manifest(path).rows

    assert (first.laterality, first.view, first.label) == (Laterality.RIGHT, View.MLO, Label.CANCER)
    assert (second.laterality, second.view, second.label) == (Laterality.LEFT, View.CC, Label.CANCER)


@pytest.mark.parametrize("cell", ["mass;calcification", "Calcification+Mass", "mass | calcification"])
def test_features_are_separated_by_any_of_three_signs(tmp_path: Path, cell: str) -> None:
    path = write_csv(tmp_path, f"e1,p1,R,CC,a.png,cancer,{cell}", header=f"{HEADER},features")

    assert read_manifest(path).rows[0].features == {Feature.MASS, Feature.CALCIFICATION}


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_does_not_matter(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(start + f"{HEADER}\r\né,p1,R,CC,a.png,normal\r\n".encode())

    assert read_manifest(path).rows[0].exam == "é"


def test_a_table_separated_by_semicolons_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1;p1;R;CC;a.png;normal", header=HEADER.replace(",", ";"))

    assert read_manifest(path).rows[0].patient == "p1"


def test_further_columns_are_kept_as_text(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,R,CC,a.png,normal, left arm ,", header=f"{HEADER},remark,fold")

    assert read_manifest(path).rows[0].other == {"remark": "left arm"}


def test_an_absent_value_may_be_written_na(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,R,CC,a.png,normal,NA,nan", header=f"{HEADER},density,age")

    read = read_manifest(path).rows[0]

    assert (read.density, read.age) == (None, None)


def test_every_complaint_is_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path,
        "e1,p1,X,CC,a.png,malignant,E,fifty,-1,3,,",
        "e2,p2,R,CC,,normal,A,121,0,,,",
        header=f"{HEADER},density,age,size_mm,lesion_x,lesion_y,lesion_radius",
    )

    assert complaints(path) == [
        "line 2, column laterality: found 'X', expected R or L",
        "line 2, column label: found 'malignant', expected cancer, normal or benign",
        "line 2, column density: found 'E', expected A, B, C or D",
        "line 2, column age: found 'fifty', expected an integer of at least 0 and at most 120",
        "line 2, column size_mm: found '-1', expected a number above 0",
        "line 2, column lesion_y: empty, but lesion_x is filled: expected all or none",
        "line 3, column path: empty, expected a path",
        "line 3, column age: found '121', expected an integer of at least 0 and at most 120",
        "line 3, column size_mm: found '0', expected a number above 0",
    ]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path,
        'e1,p1,R,CC,a.png,normal,"two\nlines"',
        "",
        "e2,p2,R,CC,b.png,odd,",
        header=f"{HEADER},remark",
    )

    assert complaints(path) == ["line 5, column label: found 'odd', expected cancer, normal or benign"]


def test_missing_columns_are_all_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,R", header="exam,laterality")

    assert [complaint.split()[3] for complaint in complaints(path)] == ["patient", "view", "path", "label"]


def test_rows_of_one_exam_agree_on_patient_and_label_and_complaints_name_no_patient(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path, "e1,Jane,R,CC,a.png,normal", "e1,Mary,L,CC,b.png,normal", "e1,Jane,L,MLO,c.png,cancer"
    )

    told = complaints(path)

    assert told == [
        "line 3, column patient: another one than in line 2 of the same exam, expected one",
        "line 4, column label: found cancer, but normal in line 2 of the same exam",
    ]


def test_a_breast_with_cancer_makes_an_exam_with_cancer(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,R,CC,a.png,normal,cancer", header=f"{HEADER},breast_label")

    assert complaints(path) == [
        "line 2, column label: found normal, but the breast_label is cancer: expected cancer"
    ]


def test_one_breast_has_one_label(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path, "e,p,R,CC,a,cancer,cancer", "e,p,R,MLO,b,cancer,normal", header=f"{HEADER},breast_label"
    )

    assert complaints(path) == [
        "line 3, column breast_label: found normal, but cancer in line 2 of the same breast"
    ]


def test_the_label_of_a_breast_told_in_one_row_holds_for_its_others(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path,
        "e,p,R,CC,a,cancer,",
        "e,p,R,MLO,b,cancer,normal",
        "e,p,L,CC,c,cancer,",
        "e2,p,R,CC,d,cancer,",
        header=f"{HEADER},breast_label",
    )

    read = read_manifest(path).rows

    assert [one.breast_label for one in read] == [Label.NORMAL, Label.NORMAL, None, None]
    assert [one.shows_cancer for one in read] == [False, False, True, True]


def test_the_same_file_twice_is_an_error(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "e1,p1,R,CC,a.png,normal", "e2,p2,R,CC,x/../a.png,normal")

    assert complaints(path) == [f"line 3, column path: {tmp_path / 'a.png'} is in line 2 already"]


def test_files_are_looked_for_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    manifest = read_manifest(
        write_csv(
            tmp_path, "e1,p1,R,CC,a.png,normal,", "e2,p2,R,CC,b.png,normal,m.png", header=f"{HEADER},mask"
        )
    )

    with pytest.raises(ManifestError) as refused:
        check_files(manifest)

    assert [complaint.rpartition(": ")[2] for complaint in refused.value.complaints] == [
        f"no file {tmp_path / 'b.png'}",
        f"no file {tmp_path / 'm.png'}",
    ]


def test_a_thousand_complaints_are_kept_but_not_all_printed(tmp_path: Path) -> None:
    path = write_csv(tmp_path, *(f"e{n},p{n},R,CC,{n}.png,odd" for n in range(1000)))

    with pytest.raises(ManifestError) as refused:
        read_manifest(path)

    assert len(refused.value.complaints) == 1000
    assert str(refused.value).endswith("and 950 more")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "line 1: no names of columns, expected a header"),
        (HEADER.encode(), "no row, expected one for each image"),
        (HEADER.encode() + b"\n\xff\xfe", "line 2: not UTF-8, expected a CSV file in UTF-8"),
        (b"exam,label,exam\n", "line 1: column exam is there twice"),
        (HEADER.encode() + b"\ne1,p1,R,CC,a,normal,more", "line 2: 7 cells, expected 6"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)

    assert complaints(path) == [complaint]


def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert complaints(tmp_path / "none.csv") == ["No such file or directory"]


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"exam,patient")

    assert complaints(tmp_path / "m.parquet") == ["not a Parquet file"]


def test_the_table_of_columns_has_a_row_for_each() -> None:
    assert [line.split("`")[1] for line in columns_table().splitlines()[2:]] == [c.name for c in COLUMNS]
