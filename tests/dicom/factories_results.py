"""Headers, exams and analyses that the tests of the result objects start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from dibmg.operating_points import PlattCalibration
from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.header import read_header
from dibmg_node.dicom.sr_content import code_sequence
from dibmg_node.domain.device import Device
from dibmg_node.domain.image import Heatmap, Image
from dibmg_node.domain.result import (
    ExamResult,
    Finding,
    ModelIdentity,
    OperatingPoint,
    Scores,
)
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    USED,
    Exclusion,
    ExclusionCode,
    Laterality,
    Verdict,
    View,
    ViewKey,
)

NOW = datetime(2026, 3, 4, 5, 6, 7)
STUDY_UID = "1.2.826.0.1.3680043.10.1.1"
R_CC, L_CC, R_MLO, L_MLO = STANDARD_VIEWS
MODEL = ModelIdentity(
    name="synthetic",
    version="0.1.0",
    sha256="0123456789abcdef" * 4,
    runtime="openvino",
    precision="f32",
    preprocessing_version="1",
    input_size=1600,
    trained_on="synthetic mammograms alone",
)
POINT = OperatingPoint(
    "default", 0.37, "1", sensitivity=0.8, specificity=0.85, chosen_on="400 synthetic exams"
)
CALIBRATED = replace(
    POINT,
    version="2026-03-01-0123456789ab",
    device=Device("Maker"),
    calibration=PlattCalibration(
        slope=0.9, intercept=-1.0, population="1000 screening exams", prevalence=0.25, brier=0.1, n=1000
    ),
)


def sop_uid(view: ViewKey) -> str:
    """SOP Instance UID of the factory's image of that view."""
    return f"{STUDY_UID}.{STANDARD_VIEWS.index(view) + 1}" if view in STANDARD_VIEWS else f"{STUDY_UID}.99"


def header(view: ViewKey, *, rows: int = 400, columns: int = 320, **changes: object) -> FileDataset:
    """A conformant Digital Mammography X-Ray Image, read back without its pixels.

    Args:
        changes: Attributes to set after all others; None deletes one.
    """
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = facts.MG_FOR_PRESENTATION
    dataset.SOPInstanceUID = sop_uid(view)
    dataset.StudyInstanceUID = STUDY_UID
    dataset.SeriesInstanceUID = f"{STUDY_UID}.100"
    dataset.StudyDate = dataset.ContentDate = dataset.AcquisitionDate = "20260303"
    dataset.StudyTime = dataset.ContentTime = dataset.AcquisitionTime = "101112"
    dataset.StudyID = "S1"
    dataset.StudyDescription = "Mammography screening"
    dataset.AccessionNumber = "A123"
    dataset.ReferringPhysicianName = "Referring^Physician"
    dataset.PatientName = "Müller^Anna"
    dataset.PatientID = "P123"
    dataset.IssuerOfPatientID = "HOSPITAL"
    dataset.PatientBirthDate = "19600102"
    dataset.PatientSex = "F"
    dataset.PatientAge = "066Y"
    dataset.Modality = "MG"
    dataset.SeriesNumber = "1"
    dataset.InstanceNumber = "1"
    dataset.Manufacturer = "Maker"
    dataset.ManufacturerModelName = "Unit 1"
    dataset.DeviceSerialNumber = "42"
    dataset.SoftwareVersions = ["1.0", "2.0"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = view.laterality.value
    orientation = facts.standard_orientation(*view)
    if orientation is not None:
        dataset.PatientOrientation = list(orientation)
    code = code_sequence(codes.VIEWS[view.view])
    code[0].ViewModifierCodeSequence = DicomSequence()
    dataset.ViewCodeSequence = code
    dataset.AnatomicRegionSequence = code_sequence(codes.BREAST)
    dataset.ImagerPixelSpacing = [0.08, 0.1]
    dataset.EstimatedRadiographicMagnificationFactor = "1.025"
    dataset.PositionerPrimaryAngle = "-45" if view.view is View.MLO else "0"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return read_back(dataset)


def read_back(dataset: Dataset, transfer_syntax_uid: str = facts.EXPLICIT_LE) -> FileDataset:
    """A header as the node reads it: from the bytes of a Part 10 file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    file.seek(0)
    return read_header(file)


def headers(views: Sequence[ViewKey] = STANDARD_VIEWS) -> dict[str, FileDataset]:
    return {sop_uid(view): header(view) for view in views}


def images(views: Sequence[ViewKey] = STANDARD_VIEWS) -> dict[ViewKey, FileDataset]:
    return {view: header(view) for view in views}


def used(view: ViewKey) -> Verdict:
    return Verdict(sop_uid(view), True, USED, f"{view} is read", *view)


def unread(view: ViewKey, code: ExclusionCode, sentence: str) -> Verdict:
    return Verdict(sop_uid(view), False, code, sentence, *view)


def verdicts(views: Sequence[ViewKey] = STANDARD_VIEWS) -> list[Verdict]:
    return [used(view) for view in views]


def square(column: float, row: float, side: float) -> tuple[tuple[float, float], ...]:
    """Closed outline of a square around a point."""
    half = side / 2
    corners = ((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))
    return tuple((column + x, row + y) for x, y in corners)


def finding(
    view: ViewKey, number: int = 1, score: float = 0.83, center: tuple[float, float] = (200.5, 150.5)
) -> Finding:
    return Finding(number, view, sop_uid(view), score, center, square(*center, 40.0))


def exam(
    *findings: Finding,
    views: Sequence[ViewKey] = STANDARD_VIEWS,
    model: ModelIdentity = MODEL,
    point: OperatingPoint = POINT,
) -> ExamResult:
    """What the model says of an exam; a view's score is that of its best finding, else 0.125."""
    by_view = {
        view: max([one.score for one in findings if one.view == view], default=0.125) for view in views
    }
    breasts = {
        laterality: max(score for view, score in by_view.items() if view.laterality is laterality)
        for laterality in (Laterality.RIGHT, Laterality.LEFT)
        if any(view.laterality is laterality for view in views)
    }
    scores = Scores(max(breasts.values()), breasts, by_view)
    return ExamResult(STUDY_UID, model, point, scores, tuple(findings))


def breast_image(view: ViewKey, rows: int, columns: int) -> Image:
    """A half disk of tissue at the chest wall: right breasts at the right edge, left ones at the left."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    if view.laterality is Laterality.RIGHT:
        column = columns - 1 - column
    distance = np.hypot((row - rows / 2) / (0.42 * rows), column / (0.62 * columns))
    tissue = 0.35 + 0.3 * np.cos(distance * 9.0) ** 2
    return np.where(distance < 1.0, tissue, 0.0).astype(np.float32)


def heatmap(rows: int, columns: int, center: tuple[float, float], sigma: float) -> Heatmap:
    """One smooth peak of 0.95 at a place (column, row)."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32) + 0.5
    square_distance = (column - center[0]) ** 2 + (row - center[1]) ** 2
    return (0.95 * np.exp(-square_distance / (2 * sigma**2))).astype(np.float32)


def states() -> dict[str, dict[str, object]]:
    """Arguments of `cad_report` for every state of a study."""
    findings = (finding(R_CC), finding(R_MLO, 2, 0.61, (120.25, 300.0)), finding(L_CC, 3, 0.4))
    right = (R_CC, R_MLO)
    missing = Exclusion(
        ExclusionCode.BREAST_INCOMPLETE, "left breast: L-MLO is missing", laterality=Laterality.LEFT
    )
    incomplete = unread(L_CC, ExclusionCode.BREAST_INCOMPLETE, "L-CC: not read, for L-MLO is missing")
    damaged = unread(L_MLO, ExclusionCode.PIXELS_UNREADABLE, "L-MLO: pixel data ends after 100 bytes")
    implant = [unread(view, ExclusionCode.IMPLANT, f"{view}: breast implant") for view in STANDARD_VIEWS]
    everything: dict[str, object] = {"headers": headers(), "verdicts": verdicts(), "now": NOW}
    return {
        "findings": {**everything, "result": exam(*findings)},
        "calibrated": {**everything, "result": exam(*findings, point=CALIBRATED)},
        "no finding": {**everything, "result": exam()},
        "missing view": {
            "headers": headers((R_CC, L_CC, R_MLO)),
            "verdicts": [*verdicts(right), incomplete],
            "exclusions": [missing],
            "now": NOW,
            "result": exam(finding(R_CC), views=right),
        },
        "failed view": {
            **everything,
            "verdicts": [*verdicts((R_CC, L_CC, R_MLO)), damaged],
            "result": exam(views=(R_CC, L_CC, R_MLO)),
        },
        "failed view with finding": {
            **everything,
            "verdicts": [*verdicts((R_CC, L_CC, R_MLO)), damaged],
            "result": exam(finding(R_CC), views=(R_CC, L_CC, R_MLO)),
        },
        "excluded": {
            **everything,
            "verdicts": implant,
            "exclusions": [Exclusion(ExclusionCode.NO_MAMMOGRAM, "no mammogram that the model may read")],
        },
        "failed": {**everything, "failure": "the model did not answer within 120 s", "model": MODEL},
        "failed without model": {**everything, "verdicts": [], "failure": "attempts used up"},
    }


def read_states() -> dict[str, dict[str, Any]]:
    """Of those states, the ones of an exam that was read: arguments of `measurement_report`."""
    read = {}
    for name, state in states().items():
        result = state.get("result")
        if isinstance(result, ExamResult):
            exclusions = state.get("exclusions", ())
            read[name] = {
                "images": images(list(result.scores.views)),
                "result": result,
                "now": NOW,
                "exclusions": exclusions,
            }
    return read
