"""Specimens: results really written from made-up exams, each time with one circumstance changed.

What differs between two of them depends on what was changed: so the statement knows the source of each value,
and does not have to be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from dibmg.operating_points import PlattCalibration
from dibmg_node.conformance.specimen_images import full_exam, sparse_exam, table_exam
from dibmg_node.conformance.watched import AttributePath, watched
from dibmg_node.dicom import facts
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.mammogram import read_mammogram
from dibmg_node.domain.device import Device
from dibmg_node.domain.exam import select_exam
from dibmg_node.domain.image import Heatmap, Mammogram, Point
from dibmg_node.domain.result import (
    REPORTS,
    Delivered,
    ExamResult,
    Finding,
    FindingCode,
    ModelIdentity,
    OperatingPoint,
    OverlayStyle,
    Predecessor,
    Result,
    ResultKind,
    Scores,
)
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, ExclusionCode, ViewKey
from dibmg_node.services.reading import Reading
from dibmg_node.services.writing import Wish, Writing, write_results


class Cause(StrEnum):
    """What a value of a result may depend on."""

    IMAGES = "received images"
    TIME = "time of the analysis"
    ANALYSIS = "analysis"
    CONFIGURATION = "configuration"
    EARLIER = "earlier report"


@dataclass(frozen=True)
class Specimen:
    """All results of one exam.

    Attributes:
        changed: What is different from the first specimen, and which of several differences it is.
        sources: Headers of the images.
        results: What was written, read back from its bytes, by its entry for the ledger.
    """

    changed: Mapping[Cause, int]
    sources: tuple[Dataset, ...]
    results: tuple[tuple[Result, FileDataset], ...]

    def of_kind(self, kind: ResultKind) -> list[FileDataset]:
        """Its results of one kind."""
        return [dataset for result, dataset in self.results if result.kind is kind]

    def differs_in(self, other: Specimen) -> Set[Cause]:
        """What is not the same with another specimen."""
        return {cause for cause, _ in self.changed.items() ^ other.changed.items()}


@dataclass(frozen=True)
class Looked:
    """Attributes of received images that the node looks at.

    Attributes:
        at_the_door: For the facts of an image, which decide whether it is read and stand in results.
        for_pixels: To decode and to window an image.
        for_results: To write results, beside those facts.
    """

    at_the_door: frozenset[AttributePath]
    for_pixels: frozenset[AttributePath]
    for_results: frozenset[AttributePath]


@dataclass(frozen=True)
class Specimens:
    """Everything that was made; the first is what the others are compared with."""

    all: tuple[Specimen, ...]
    looked: Looked


_MODEL: Final = ModelIdentity("specimen", "1", "1" * 64, "openvino", "f32", "1", 1600, "nothing")
_POINT: Final = OperatingPoint("default", 0.37, "1")
_OTHER_MODEL: Final = replace(_MODEL, name="other", version="2", sha256="2" * 64)
_CALIBRATION: Final = PlattCalibration(
    slope=1.0, intercept=0.0, population="specimens", prevalence=0.5, brier=0.1, n=100
)
_OTHER_POINT: Final = OperatingPoint(
    "other", 0.5, "2", 0.8, 0.9, "specimens", calibration=_CALIBRATION, device=Device("Maker One")
)
_SQUARE: Final = ((300.5, 200.5), (340.5, 200.5), (340.5, 240.5), (300.5, 240.5), (300.5, 200.5))
_TRIANGLE: Final = ((20.5, 200.5), (60.5, 200.5), (20.5, 260.5), (20.5, 200.5))
_IDENTITY: Final = frozenset({"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"})
"""Without these there is no instance."""
_WISHES: Final = tuple(Wish(kind) for kind in ResultKind)
_WRITING: Final = Writing(_WISHES, datetime(2026, 3, 4, 5, 6, 7), max_side=0)
_EARLIER: Final = (
    Predecessor(facts.MAMMOGRAPHY_CAD_SR, "2.25.9001", "2.25.9002"),
    Predecessor(facts.COMPREHENSIVE_SR, "2.25.9003", "2.25.9004"),
)


@dataclass(frozen=True)
class _Analysis:
    """What a model might have said.

    Attributes:
        findings: View, score and outline of each.
        barred: Views that could not be read, and why.
        failure: Why the analysis broke off.
    """

    model: ModelIdentity = _MODEL
    point: OperatingPoint = _POINT
    findings: tuple[tuple[ViewKey, float, tuple[Point, ...]], ...] = ()
    barred: Mapping[ViewKey, ExclusionCode] = field(default_factory=dict)
    failure: str = ""


_STATES: Final = (
    _Analysis(),
    _Analysis(barred={STANDARD_VIEWS[-1]: ExclusionCode.PIXELS_UNREADABLE}),
    _Analysis(barred=dict.fromkeys(STANDARD_VIEWS, ExclusionCode.IMPLANT)),
    _Analysis(failure="the model did not answer"),
)
"""Nothing found; a view that could not be decoded; nothing that may be read; a failure."""


@dataclass
class _Log:
    door: set[AttributePath] = field(default_factory=set)
    pixels: set[AttributePath] = field(default_factory=set)
    results: set[AttributePath] = field(default_factory=set)


@cache
def specimens() -> Specimens:
    """Make all specimens: a few seconds the first time."""
    log = _Log()
    images = full_exam()
    usual = _Analysis(findings=((STANDARD_VIEWS[0], 0.8, _SQUARE),))
    otherwise = _Analysis(_OTHER_MODEL, _OTHER_POINT, findings=((STANDARD_VIEWS[1], 0.6, _TRIANGLE),))
    wanted_otherwise = replace(
        _WRITING,
        wishes=tuple(Wish(kind, FindingCode.SELECTED_REGION) for kind in ResultKind),
        max_side=400,
        style=OverlayStyle.CONTOUR,
    )
    later = replace(_WRITING, now=datetime(2026, 5, 6, 7, 8, 9))
    exams = (full_exam(other=True), sparse_exam(), table_exam(), table_exam(other=True))
    first, second = (_replacing(earlier) for earlier in _EARLIER)
    made = (
        _specimen({}, images, usual, _WRITING, log),
        *(_specimen({Cause.IMAGES: n}, exam, usual, _WRITING, log) for n, exam in enumerate(exams)),
        _specimen({Cause.TIME: 0}, images, usual, later, log),
        *(
            _specimen({Cause.ANALYSIS: n}, images, analysis, _WRITING, log)
            for n, analysis in enumerate((otherwise, *_STATES))
        ),
        _specimen({Cause.CONFIGURATION: 0}, images, usual, wanted_otherwise, log),
        _specimen({Cause.EARLIER: 0}, images, usual, first, log),
        _specimen({Cause.EARLIER: 1}, images, usual, second, log),
        _specimen({Cause.EARLIER: 0, Cause.IMAGES: 0}, exams[0], usual, first, log),
    )
    _look_behind(next(iter(images.values())), log.door)
    looked = Looked(frozenset(log.door), frozenset(log.pixels), frozenset(log.results))
    return Specimens(made, looked)


def _look_behind(image: FileDataset, seen: set[AttributePath]) -> None:
    """Look at an image that loses what is looked at, until nothing is left: what counts then is seen too."""
    left = deepcopy(image)
    del left.PixelData
    while True:
        found: set[AttributePath] = set()
        instance_of(watched(left, found))
        seen |= found
        lost = {keyword for keyword, *_ in found if keyword in left} - _IDENTITY
        if not lost:
            return
        for keyword in lost:
            delattr(left, keyword)


def _specimen(
    changed: Mapping[Cause, int],
    images: Mapping[ViewKey, FileDataset],
    analysis: _Analysis,
    writing: Writing,
    log: _Log,
) -> Specimen:
    door: set[AttributePath] = set()
    instances = [instance_of(watched(image, door)) for image in images.values()]
    study_uid = instances[0].study_uid
    uids = {view: str(image.SOPInstanceUID) for view, image in images.items()}
    barred = {
        uids[view]: Exclusion(code, f"{view}: {code}", uids[view], view.laterality)
        for view, code in analysis.barred.items()
    }
    selection = select_exam(study_uid, instances, unreadable=barred)
    views = [] if analysis.failure or selection.exam is None else list(selection.exam.views)
    mammograms = {view: read_mammogram(watched(images[view], log.pixels)) for view in views}
    headers, results_look = {}, set[AttributePath]()
    for image in images.values():
        header = watched(image, results_look)
        del header.PixelData
        headers[str(image.SOPInstanceUID)] = header
    result = _result(study_uid, uids, mammograms, analysis) if views else None
    reading = Reading(study_uid, selection, headers, mammograms, result, {})
    results = [
        (written.result, dcmread(BytesIO(written.content)))
        for written in write_results(reading, writing, analysis.failure)
    ]
    log.door |= door
    log.results |= results_look - door  # writing asks for the facts of an image anew
    return Specimen(changed, tuple(images.values()), tuple(results))


def _replacing(earlier: Predecessor) -> Writing:
    reference = (earlier.sop_class_uid, earlier.sop_uid, earlier.series_uid)
    delivered = [Delivered(*reference, kind, Wish(kind).variant, None, 1, "specimens") for kind in REPORTS]
    return replace(_WRITING, delivered=delivered)


def _result(
    study_uid: str, uids: Mapping[ViewKey, str], mammograms: Mapping[ViewKey, Mammogram], analysis: _Analysis
) -> ExamResult:
    findings = tuple(
        Finding(number, view, uids[view], score, outline[0], outline)
        for number, (view, score, outline) in enumerate(analysis.findings, start=1)
    )
    views = dict.fromkeys(mammograms, 0.1) | {one.view: one.score for one in findings}
    sides = dict.fromkeys(view.laterality for view in views)
    breasts = {side: max(views[view] for view in views if view.laterality is side) for side in sides}
    return ExamResult(
        study_uid,
        analysis.model,
        analysis.point,
        Scores(max(breasts.values()), breasts, views),
        findings,
        heatmaps={view: _EvenHeat(score) for view, score in views.items()},
    )


@dataclass(frozen=True)
class _EvenHeat:
    """The same heat everywhere; satisfies `Heat`."""

    score: float

    def on(self, shape: tuple[int, int]) -> Heatmap:
        """That heat on a grid (rows, columns)."""
        return np.full(shape, self.score, np.float32)
