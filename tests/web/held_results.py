"""Results of several women in archive and ledger, as analyses leave them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.domain.result import Result, ResultKind
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from tests.factories import LEASE, PATIENCE, R_CC, instance, received, used
from tests.web.conftest import WebSide


def report(study_uid: str, **changes: str) -> Dataset:
    """A small SR document."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = facts.MAMMOGRAPHY_CAD_SR
    dataset.SOPInstanceUID = f"{study_uid}.9001.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, f"{study_uid}.9001"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "SR", "9001", "1"
    dataset.StudyDate, dataset.StudyTime = "20260303", "101112"
    dataset.AccessionNumber, dataset.StudyID = "A1", "S1"
    dataset.PatientName, dataset.PatientID = "Müller^Anna", "P1"
    dataset.PatientBirthDate, dataset.PatientSex = "19600102", "F"
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def capture(study_uid: str, number: int, **changes: str) -> Dataset:
    """A small color image."""
    dataset = report(study_uid, **changes)
    dataset.SOPClassUID = facts.SECONDARY_CAPTURE
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"{study_uid}.9101.{number}", f"{study_uid}.9101"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", "9101", str(number)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 8, 8, 3
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = np.arange(192, dtype=np.uint8).tobytes()
    return dataset


def hold(web: WebSide, study_uid: str, captures: int = 1, **changes: str) -> list[Dataset]:
    """Receive a study, and enter its report and its captures; returns these."""
    one = instance(R_CC, study_uid=study_uid, sop_uid=f"{study_uid}.1")
    now = web.clock.advance(1)
    web.ledger.receipts.store(received(one), PATIENCE, now)
    web.ledger.receipts.complete_due(web.clock.advance(PATIENCE.longest.total_seconds()))
    claim = web.ledger.claims.claim(study_uid, 1, "worker", web.clock(), LEASE)
    made = [(report(study_uid, **changes), ResultKind.CAD_SR, facts.EXPLICIT_LE)]
    made += [
        (capture(study_uid, number, **changes), ResultKind.OVERLAY, facts.RLE_LOSSLESS)
        for number in range(1, captures + 1)
    ]
    results = []
    for dataset, kind, syntax in made:
        content = encode(dataset, syntax)
        sha256 = web.archive.put_result(dataset.SOPInstanceUID, content)
        result = Result(dataset.SOPInstanceUID, dataset.SOPClassUID, syntax, kind, sha256, len(content))
        results.append((result, str(dataset.SeriesInstanceUID)))
    found = Analysis(Outcome.ANALYZED, "", [used(one)], {}, results=results)
    web.ledger.claims.commit(claim, found, web.clock.advance(1))
    web.clock.time += timedelta(seconds=1)
    return [dataset for dataset, _, _ in made]
