"""Writing results: from a reading to the DICOM instances that tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.cad_library import is_image
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.measurement_report import measurement_report
from dibmg_node.dicom.overlay import overlay
from dibmg_node.dicom.presentation import presentation_states
from dibmg_node.dicom.rendering import render_overlay
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.result import (
    Calibration,
    ExamResult,
    FindingCode,
    OverlayStyle,
    Predecessor,
    Result,
    ResultKind,
)
from dibmg_node.domain.study import ExclusionCode, ImageKind, Laterality, ViewKey
from dibmg_node.services.reading import Reading

_NO_SCORES: Final[Mapping[str, object]] = {"exam": None, "R": None, "L": None, "views": {}}


@dataclass(frozen=True)
class Wish:
    """A kind of result in the form that some destination wants."""

    kind: ResultKind
    finding_code: FindingCode = FindingCode.DENSITY

    @property
    def variant(self) -> str:
        """Tells apart results of one kind; empty for kinds that have one form only."""
        return self.finding_code.value if self.kind is ResultKind.CAD_SR else ""


@dataclass(frozen=True)
class Writing:
    """What a reading is written as.

    Attributes:
        now: Date and time of the analysis, in every result.
        max_side: Longer side of an overlay, pixels; 0: the grid of the mammogram.
        style: What an overlay shows.
        predecessors: The report that a new one replaces, by kind and variant.
    """

    wishes: Collection[Wish]
    now: datetime
    max_side: int
    style: OverlayStyle = OverlayStyle.COLOR
    predecessors: Mapping[tuple[ResultKind, str], Predecessor] = field(default_factory=dict)

    def wants(self, kind: ResultKind) -> bool:
        """Whether any wish is for this kind."""
        return any(wish.kind is kind for wish in self.wishes)

    def replaced(self, kind: ResultKind, variant: str = "") -> list[Predecessor]:
        """The report that one of this kind and variant replaces, if any."""
        earlier = self.predecessors.get((kind, variant))
        return [] if earlier is None else [earlier]


@dataclass(frozen=True)
class Written:
    """One result with its bytes.

    Attributes:
        picture: What an overlay shows: uint8 (rows, columns, 3), RGB.
    """

    result: Result
    series_uid: str
    content: bytes
    picture: NDArray[np.uint8] | None = None


def write_results(reading: Reading, writing: Writing, failure: str = "") -> Iterator[Written]:
    """Write a reading as the kinds of result that are wanted.

    A study that was not read (or, with `failure`, whose analysis broke off) gets a CAD report that says
    so, if it holds any mammogram, and no other kind: there is nothing that they could show. A study of
    other objects gets nothing. Nor does one whose images name different patients: whatever is written
    would lie in the folder of one of them.
    """
    if any(verdict.code == ExclusionCode.PATIENT_DIFFERS for verdict in reading.selection.verdicts):
        return
    if reading.result is not None and reading.selection.exam is not None:
        yield from _of_exam(reading, reading.result, reading.selection.exam, writing)
    mammograms = {uid: header for uid, header in reading.headers.items() if _is_mammogram(header)}
    # measurements of a study that is no longer read are replaced by the report that says why
    unread = writing.replaced(ResultKind.MEASUREMENT_SR) if reading.result is None else []
    for wish in sorted(writing.wishes, key=lambda w: w.finding_code):
        if wish.kind is ResultKind.CAD_SR and mammograms:
            report = cad_report(
                mammograms,
                [v for v in reading.selection.verdicts if v.sop_uid in mammograms],
                writing.now,
                result=reading.result,
                exclusions=reading.selection.exclusions,
                failure=failure,
                finding_code=wish.finding_code,
                predecessors=writing.replaced(wish.kind, wish.variant) + unread,
            )
            yield _written(report, ResultKind.CAD_SR, facts.EXPLICIT_LE, wish.variant)


def reading_json(reading: Reading) -> dict[str, Any]:
    """A reading for programs: the content of `result.json`."""
    study: dict[str, Any] = {"study_uid": reading.study_uid}
    result = reading.result
    if result is None:
        study |= {"model": None, "operating_point": None, "scores": _NO_SCORES, "findings": [], "seconds": {}}
    else:
        point = result.operating_point
        study |= {
            "model": {
                "name": result.model.name,
                "version": result.model.version,
                "sha256": result.model.sha256,
                "runtime": result.model.runtime,
                "precision": result.model.precision,
                "preprocessing_version": result.model.preprocessing_version,
                "trained_on": result.model.trained_on,
            },
            "operating_point": {
                "name": point.name,
                "manufacturer": point.manufacturer or None,
                "threshold": point.threshold,
                "version": point.version,
                "sensitivity": point.sensitivity,
                "specificity": point.specificity,
                "chosen_on": point.chosen_on,
                "calibration": _calibration(point.calibration),
            },
            "scores": {
                "exam": result.scores.exam,
                "R": result.scores.breasts.get(Laterality.RIGHT),
                "L": result.scores.breasts.get(Laterality.LEFT),
                "views": {str(key): score for key, score in result.scores.views.items()},
                # without a calibration not even the word stands there
                **({} if result.probability is None else {"probability": result.probability}),
            },
            "findings": [
                {
                    "number": finding.number,
                    "view": str(finding.view),
                    "score": finding.score,
                    "center": list(finding.center),
                    "outline": [list(point) for point in finding.outline],
                    "sop_uid": finding.sop_uid,
                }
                for finding in result.findings
            ],
            "seconds": dict(result.seconds),
            "notes": {str(key): list(notes) for key, notes in result.notes.items()},
        }
    excluded = [
        {"sop_uid": verdict.sop_uid, "code": verdict.code, "sentence": verdict.sentence}
        for verdict in reading.selection.verdicts
        if not verdict.used
    ]
    study["exclusions"] = excluded + [
        {"sop_uid": exclusion.sop_uid, "code": exclusion.code.value, "sentence": exclusion.sentence}
        for exclusion in reading.selection.exclusions
    ]
    return study


def _calibration(calibration: Calibration | None) -> dict[str, object] | None:
    if calibration is None:
        return None
    return {
        "kind": calibration.kind,
        "population": calibration.population,
        "prevalence": calibration.prevalence,
        "brier": calibration.brier,
        "n": calibration.n,
    }


def _of_exam(reading: Reading, result: ExamResult, exam: Exam, writing: Writing) -> Iterator[Written]:
    """What is written of an exam that was read, but for its CAD report."""
    images = {key: reading.headers[instance.sop_uid] for key, instance in exam.views.items()}
    if writing.wants(ResultKind.OVERLAY):
        yield from _overlays(reading, result, images, writing)
    if writing.wants(ResultKind.PRESENTATION):
        for state in presentation_states(images, reading.mammograms, result, writing.now):
            yield _written(state, ResultKind.PRESENTATION, facts.EXPLICIT_LE)
    if writing.wants(ResultKind.MEASUREMENT_SR):
        report = measurement_report(
            images,
            result,
            writing.now,
            exclusions=reading.selection.exclusions,
            predecessors=writing.replaced(ResultKind.MEASUREMENT_SR),
        )
        yield _written(report, ResultKind.MEASUREMENT_SR, facts.EXPLICIT_LE)


def _overlays(
    reading: Reading, result: ExamResult, images: Mapping[ViewKey, FileDataset], writing: Writing
) -> Iterator[Written]:
    sources = [str(header.SOPInstanceUID) for header in images.values()]
    style = writing.style
    for key, header in images.items():
        image, heatmap = reading.mammograms[key].image(), result.heatmaps[key]
        picture = render_overlay(image, heatmap, key, result, max_side=writing.max_side, style=style)
        capture = overlay(header, picture, key, result, sources, writing.now, style=style)
        yield _written(capture, ResultKind.OVERLAY, facts.RLE_LOSSLESS, view=key, picture=picture)


def _written(
    dataset: Dataset,
    kind: ResultKind,
    transfer_syntax_uid: str,
    variant: str = "",
    view: ViewKey | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> Written:
    content = encode(dataset, transfer_syntax_uid)
    result = Result(
        sop_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=transfer_syntax_uid,
        kind=kind,
        sha256=sha256(content).hexdigest(),
        size=len(content),
        variant=variant,
        view=view,
    )
    return Written(result, str(dataset.SeriesInstanceUID), content, picture)


def _is_mammogram(header: Dataset) -> bool:
    """Whether a CAD report can speak of an instance; of a film scanned as Secondary Capture, too."""
    sop_class_uid = str(header.get("SOPClassUID", ""))
    is_capture = facts.IMAGE_KINDS.get(sop_class_uid) is ImageKind.SECONDARY_CAPTURE
    is_film = is_capture and str(header.get("Modality", "")) == "MG"
    return is_image(header) and (is_film or sop_class_uid in facts.MAMMOGRAM_CLASSES)
