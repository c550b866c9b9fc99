"""Exams with all their results, for the viewer to show."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import read_header, read_instance
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram, Point
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ExamResult, Finding, ResultKind, Scores
from dibmg_node.domain.study import STANDARD_VIEWS, Instance, Laterality, Study, View, ViewKey
from dibmg_node.services.images import Images, StudyFiles
from dibmg_node.services.reading import read_study
from dibmg_node.services.writing import Wish, Writing, write_results
from tests.factories import L_CC, L_MLO, MODEL, POINT, R_CC, R_MLO, DrawnHeat, ReadsMammograms, write_exam

GRID = (1024, 768)
PLACES: Mapping[ViewKey, Point] = {
    R_CC: (520.5, 400.5),
    L_CC: (220.5, 640.5),
    R_MLO: (600.5, 620.5),
    L_MLO: (150.5, 330.5),
}
"""(column, row) of the one hot place of each view of a planted exam."""
RADIUS = 45.0
_OTHERS = {
    facts.MAMMOGRAPHY_CAD_SR: ResultKind.CAD_SR,
    facts.COMPREHENSIVE_SR: ResultKind.MEASUREMENT_SR,
    facts.GRAYSCALE_PRESENTATION_STATE: ResultKind.PRESENTATION,
}
_NOW = datetime(2026, 3, 4, 5, 6, 7)
_HEAT_SIGMA = 35.0


@dataclass(frozen=True)
class ShownExam:
    """A study as the PACS has it.

    Attributes:
        files: Images and results.
        images: SOP Instance UID of the image of each view.
        overlays: SOP Instance UID of the overlay of each view.
        others: SOP Instance UID of each result that is not an overlay.
        findings: What the model found; the outlines of all results.
    """

    study_uid: str
    files: Sequence[Path]
    images: Mapping[ViewKey, str]
    overlays: Mapping[ViewKey, str]
    others: Mapping[ResultKind, str]
    findings: Sequence[Finding]

    def read(self, sop_uid: str) -> FileDataset:
        """One of its instances, by SOP Instance UID."""
        return next(one for path in self.files if (one := dcmread(path)).SOPInstanceUID == sop_uid)


@dataclass(frozen=True)
class PlantedPredictor(ReadsMammograms):
    """Satisfies `Predictor`: in each view one hot place, that of `first` with the highest score.

    Attributes:
        first: None: nothing is hot anywhere.
    """

    first: ViewKey | None

    def predict(self, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
        scores = dict.fromkeys(mammograms, 0.05)
        heatmaps = {view: np.zeros(GRID, np.float32) for view in mammograms}
        findings = []
        if self.first is not None:
            order = sorted(mammograms, key=lambda view: (view != self.first, STANDARD_VIEWS.index(view)))
            scores = {view: 0.95 - 0.1 * position for position, view in enumerate(order)}
            heatmaps = {view: _peak(PLACES[view], scores[view]) for view in order}
            for number, view in enumerate(order, start=1):
                outline = _circle(PLACES[view])
                sop_uid = exam.views[view].sop_uid
                findings.append(Finding(number, view, sop_uid, scores[view], PLACES[view], outline))
        breasts = {
            side: max(score for view, score in scores.items() if view.laterality is side)
            for side in {view.laterality for view in scores}
        }
        result = Scores(max(breasts.values()), breasts, scores)
        heat = {view: DrawnHeat(one) for view, one in heatmaps.items()}
        return ExamResult(exam.study_uid, MODEL, POINT, result, tuple(findings), heatmaps=heat)


def _peak(place: Point, height: float) -> np.ndarray:
    row, column = np.mgrid[0 : GRID[0], 0 : GRID[1]] + 0.5
    distance = np.hypot(column - place[0], row - place[1])
    return (height * np.exp(-(distance**2) / (2 * _HEAT_SIGMA**2))).astype(np.float32)


def _circle(place: Point) -> tuple[Point, ...]:
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    points = [(place[0] + RADIUS * np.cos(a), place[1] + RADIUS * np.sin(a)) for a in angles]
    return (*points, points[0])


def planted_exam(folder: Path, study_uid: str, first: ViewKey | None) -> ShownExam:
    """An exam with hot places where they were put, and all four kinds of result, through the node's code."""
    files = write_exam(folder, study_uid, rows=GRID[0], columns=GRID[1], PatientID=study_uid)
    instances = {path: _instance(path) for path in files}
    study = Study(study_uid, 1, tuple(instances.values()))
    paths = {instance.sop_uid: path for path, instance in instances.items()}
    writing = Writing([Wish(kind) for kind in ResultKind], _NOW, max_side=2048)
    images = Images(PlantedPredictor(first), writing.shown)
    reading = read_study(StudyFiles(study, paths), ExamPolicy(), images)
    assert reading.result is not None
    for number, written in enumerate(write_results(reading, writing)):
        files.append(folder / f"result-{number}.dcm")
        files[-1].write_bytes(written.content)
    return _shown(files, reading.result.findings)


def analyzed_exam(folder: Path, seed: int, index: int) -> tuple[ShownExam, Mapping[ViewKey, Point]]:
    """A synthetic exam with a cancer, read by the released `synthetic` weights as a user reads it.

    Returns:
        The exam, and the place of the lesion in each view that shows it.
    """
    manifest = synthesize_cancer(folder / "synthetic", seed, index)
    config = folder / "config.toml"
    config.write_text("")
    kinds = ",".join(ResultKind)
    _dibmg(
        *("analyze", str(manifest.parent / "images"), "--out", str(folder / "results")),
        *("--config", str(config), "--weights", "synthetic", "--results", kinds),
    )
    (told,) = (folder / "results").glob("*/result.json")
    found = json.loads(told.read_text())["findings"]
    findings = [
        Finding(
            one["number"],
            _view(one["view"]),
            one["sop_uid"],
            one["score"],
            tuple(one["center"]),
            tuple(map(tuple, one["outline"])),
        )
        for one in found
    ]
    with manifest.open() as file:
        lesions = {
            _view(f"{row['laterality']}-{row['view']}"): (float(row["lesion_x"]), float(row["lesion_y"]))
            for row in csv.DictReader(file)
            if row["lesion_x"]
        }
    return _shown(sorted(folder.rglob("*.dcm")), findings), lesions


def synthesize_cancer(folder: Path, seed: int, index: int) -> Path:
    """One synthetic exam with a cancer as DICOM, below `images`; returns its manifest."""
    _dibmg(
        *("dataset", "synthesize", "--exams", "1", "--first", str(index), "--seed", str(seed)),
        *("--cancer-share", "1", "--rows", str(GRID[0]), "--dicom", "--out", str(folder)),
    )
    return folder / "manifest.csv"


def _dibmg(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dibmg_node", *arguments], check=True, timeout=240)


def _view(words: str) -> ViewKey:
    laterality, _, view = words.partition("-")
    return ViewKey(Laterality(laterality), View(view))


def _shown(files: Sequence[Path], findings: Sequence[Finding]) -> ShownExam:
    """Sort the instances of one study by what they are."""
    images: dict[ViewKey, str] = {}
    overlays: dict[ViewKey, str] = {}
    others: dict[ResultKind, str] = {}
    for path in files:
        instance = _instance(path)
        if instance.sop_class_uid == facts.MG_FOR_PRESENTATION and instance.view_key:
            images[instance.view_key] = instance.sop_uid
        elif instance.sop_class_uid == facts.SECONDARY_CAPTURE and instance.view_key:
            overlays[instance.view_key] = instance.sop_uid
        else:
            others[_OTHERS[instance.sop_class_uid]] = instance.sop_uid
    return ShownExam(instance.study_uid, files, images, overlays, others, findings)


def _instance(path: Path) -> Instance:
    with path.open("rb") as file:
        header = read_header(file)
    return read_instance(header, str(header.file_meta.TransferSyntaxUID))
