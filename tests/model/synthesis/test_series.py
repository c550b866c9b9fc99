from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from dibmg.data.images import lesion_area, load_image
from dibmg.data.kinds import Label
from dibmg.data.manifest import check_files, read_manifest
from dibmg.synthesis.exam import ORIENTATIONS, synthesize_exam
from dibmg.synthesis.series import is_cancer, synthesize_series
from dibmg_node.dicom.header import instance_of, read_header
from dibmg_node.domain.eligibility import exclude
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.programs import find_program

ROWS = 128
EXAMS = 4


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_series(tmp_path_factory.mktemp("series"), EXAMS, 17, rows=ROWS, processes=1)


@pytest.fixture(scope="module")
def dicom_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom")
    return synthesize_series(folder, EXAMS, 17, rows=ROWS, dicom=True, processes=1)


def test_the_manifest_is_valid_and_has_the_four_views_of_every_exam(series) -> None:
    manifest = read_manifest(series)

    check_files(manifest)
    views = [(row.exam, row.view_key) for row in manifest.rows]
    exams = list(dict.fromkeys(exam for exam, _ in views))
    assert len(exams) == EXAMS
    assert views == [(exam, key) for exam in exams for key in STANDARD_VIEWS]


def test_lesions_are_stated_for_both_views_of_the_breast_with_cancer_and_for_no_other(series) -> None:
    rows = read_manifest(series).rows

    assert sum(row.label is Label.CANCER for row in rows) == EXAMS // 2 * 4
    for row in rows:
        sick = row.breast_label is Label.CANCER
        assert (row.lesion is not None) == sick
        assert bool(row.features) == sick
        assert (row.size_mm is not None) == sick
        if sick:
            assert lesion_area(row, load_image(row).mammogram.shape).any()


@pytest.mark.parametrize("kind", ["series", "dicom_series"])
def test_files_read_back_show_what_the_generator_made(kind, request) -> None:
    rows = read_manifest(request.getfixturevalue(kind)).rows

    for row in rows:
        index = int(row.exam.rsplit("-", 1)[1])
        made = synthesize_exam(17, index, ROWS, is_cancer(index, 0.5)).mammograms[row.view_key]
        np.testing.assert_allclose(load_image(row).mammogram.image(), made.image(), atol=1e-3)


def test_more_processes_write_the_same_bytes(series, tmp_path) -> None:
    again = synthesize_series(tmp_path, EXAMS, 17, rows=ROWS, processes=2)

    assert again.read_bytes() == series.read_bytes()
    for row in read_manifest(series).rows:
        assert (tmp_path / "images" / row.path.name).read_bytes() == row.path.read_bytes()


def test_a_series_goes_on_where_another_ended(series, tmp_path) -> None:
    rest = synthesize_series(tmp_path, 1, 17, first=EXAMS - 1, rows=ROWS, processes=1)

    whole = {row.path.name: row.path for row in read_manifest(series).rows}
    for row in read_manifest(rest).rows:
        assert row.path.read_bytes() == whole[row.path.name].read_bytes()


@pytest.mark.parametrize(("share", "cancers"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_cancers_are_spread_over_a_series_with_their_share(share, cancers) -> None:
    assert sum(is_cancer(index, share) for index in range(20)) == cancers


def test_progress_counts_exams(tmp_path) -> None:
    told: list[int] = []

    synthesize_series(tmp_path, 2, 17, rows=64, processes=1, progress=told.append)

    assert told == [1, 2]


def test_the_node_takes_dicom_instances_as_eligible_standard_views(dicom_series) -> None:
    for row in read_manifest(dicom_series).rows:
        with row.path.open("rb") as file:
            instance = instance_of(read_header(file))

        assert exclude(instance, ExamPolicy()) is None
        key = ViewKey(instance.laterality, instance.view)
        assert key == row.view_key
        assert instance.orientation == ORIENTATIONS[key]
        assert instance.manufacturer == row.manufacturer


def test_the_instances_of_an_exam_are_one_study_and_have_uids_of_their_own(dicom_series) -> None:
    studies: dict[str, set[str]] = {}
    uids = []
    for row in read_manifest(dicom_series).rows:
        with row.path.open("rb") as file:
            instance = instance_of(read_header(file))
        studies.setdefault(row.exam, set()).add(instance.study_uid)
        uids.append(instance.sop_uid)

    assert all(len(found) == 1 for found in studies.values())
    assert len(set(uids)) == len(uids)
    assert len(set.union(*studies.values())) == EXAMS


def test_dciodvfy_has_nothing_against_an_instance(dicom_series) -> None:
    for row in read_manifest(dicom_series).rows[:8]:
        run = subprocess.run([find_program("dciodvfy"), "-new", row.path], capture_output=True, check=False)

        words = (run.stdout + run.stderr).decode()
        assert [line for line in words.splitlines() if line.startswith("Error")] == []
