"""The made-up mammograms that the specimens of results are made from.

No person is behind them. Every attribute that a result may take over is there with two values, so that a
comparison shows where each value of a result comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr_content import code_sequence
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View, ViewKey, ViewModifier

_SIZES: Final = ((512, 400), (480, 384))
"""(rows, columns) in the exam, and in the other one."""
_VALUES: Final[Mapping[str, tuple[object, object]]] = {
    # keyword: (in the exam, in the other one)
    "SpecificCharacterSet": ("ISO_IR 100", "ISO_IR 192"),
    "StudyInstanceUID": ("2.25.1001", "2.25.2001"),
    "SeriesInstanceUID": ("2.25.1002", "2.25.2002"),
    "StudyDate": ("20260101", "20250201"),
    "StudyTime": ("101112", "121112"),
    "SeriesDate": ("20260102", "20250202"),
    "SeriesTime": ("101113", "121113"),
    "AcquisitionDate": ("20260103", "20250203"),
    "AcquisitionTime": ("101114", "121114"),
    "AcquisitionDateTime": ("20260103101114", "20250203121114"),
    "ContentDate": ("20260104", "20250204"),
    "ContentTime": ("101115", "121115"),
    "TimezoneOffsetFromUTC": ("+0100", "-0500"),
    "StudyID": ("S1", "S2"),
    "StudyDescription": ("Screening", "Diagnostic"),
    "AccessionNumber": ("A1", "A2"),
    "ReferringPhysicianName": ("Referrer^One", "Referrer^Two"),
    "PatientName": ("Specimen^One", "Specimen^Two"),
    "PatientID": ("P1", "P2"),
    "IssuerOfPatientID": ("I1", "I2"),
    "TypeOfPatientID": ("TEXT", "RFID"),
    "PatientBirthDate": ("19600101", "19500202"),
    "PatientSex": ("F", "O"),
    "PatientAge": ("066Y", "075Y"),
    "PatientIdentityRemoved": ("NO", "YES"),
    "DeidentificationMethod": ("none", "other"),
    "Manufacturer": ("Maker One", "Maker Two"),
    "InstitutionName": ("Clinic One", "Clinic Two"),
    "InstitutionAddress": ("Street 1", "Street 2"),
    "StationName": ("MG1", "MG2"),
    "InstitutionalDepartmentName": ("Imaging 1", "Imaging 2"),
    "ManufacturerModelName": ("Unit 1", "Unit 2"),
    "DeviceSerialNumber": ("41", "42"),
    "SoftwareVersions": ("1.0", "2.0"),
    "ImagerPixelSpacing": ([0.08, 0.1], [0.07, 0.05]),
    "EstimatedRadiographicMagnificationFactor": ("1.025", "1.03"),
    "PositionerSecondaryAngle": ("1", "2"),
    "LossyImageCompression": ("01", "01"),
    "LossyImageCompressionRatio": ("10", "20"),
    "LossyImageCompressionMethod": ("ISO_10918_1", "ISO_15444_1"),
    "PhotometricInterpretation": ("MONOCHROME2", "MONOCHROME1"),
    "PresentationLUTShape": ("IDENTITY", "INVERSE"),
    "WindowCenter": ("2000", "1900"),
    "WindowWidth": ("4000", "3000"),
    "VOILUTFunction": ("LINEAR", "LINEAR_EXACT"),
    "RescaleSlope": ("1", "2"),
    "RescaleIntercept": ("0", "-10"),
    "RescaleType": ("US", "US"),
}
_NEEDED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "PhotometricInterpretation")
"""What even the sparse exam has of these."""


def full_exam(*, other: bool = False) -> dict[ViewKey, FileDataset]:
    """Four standard views with everything that a header may say.

    Args:
        other: Of another woman, on another day, from another unit: every free value differs.
    """
    values = {name: pair[other] for name, pair in _VALUES.items()}
    exam = {view: _mammogram(view, values, other=other) for view in STANDARD_VIEWS}
    for view, dataset in exam.items():
        _describe(dataset, view, "2" if other else "1")
    return exam


def table_exam(*, other: bool = False) -> dict[ViewKey, FileDataset]:
    """The full exam, or the other one, with a VOI LUT of 16 or 12 bits instead of a window."""
    exam = full_exam(other=other)
    for dataset in exam.values():
        del dataset.WindowCenter, dataset.WindowWidth
        item = Dataset()
        first, bits = (-10, 12) if other else (0, 16)
        item.add_new("LUTDescriptor", "SS" if other else "US", [4096, first, bits])
        item.add_new("LUTData", "OW", np.arange(0, 1 << bits, 1 << bits - 12, dtype="<u2").tobytes())
        dataset.VOILUTSequence = DicomSequence([item])
    return exam


def sparse_exam() -> dict[ViewKey, FileDataset]:
    """The four standard views of the first exam with nothing but what an image must have to be read."""
    return {view: _mammogram(view, {name: _VALUES[name][0] for name in _NEEDED}) for view in STANDARD_VIEWS}


def _mammogram(view: ViewKey, values: Mapping[str, object], *, other: bool = False) -> FileDataset:
    dataset = Dataset()
    dataset.SOPClassUID = facts.MG_FOR_PRESENTATION
    dataset.SOPInstanceUID = f"{values['StudyInstanceUID']}.{STANDARD_VIEWS.index(view) + 1}"
    dataset.Modality = "MG"
    dataset.ImageLaterality = view.laterality.value
    dataset.ViewCodeSequence = code_sequence(codes.VIEWS[view.view])
    for name, value in values.items():
        setattr(dataset, name, value)
    _paint(dataset, view, _SIZES[other])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(facts.EXPLICIT_LE)
    return FileDataset("", dataset, preamble=b"\0" * 128, file_meta=meta)


def _describe(dataset: Dataset, view: ViewKey, mark: str) -> None:
    """Set what varies from view to view, and sequences; `mark` tells the texts of two exams apart."""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.InstanceNumber = str(STANDARD_VIEWS.index(view) + 11)
    dataset.Laterality = view.laterality.value
    dataset.ViewPosition = view.view.value
    dataset.PatientOrientation = list(facts.standard_orientation(*view) or ())
    dataset.PositionerPrimaryAngle = ("45" if view.view is View.MLO else "0") if mark == "1" else "3"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing
    dataset.PixelSpacingCalibrationType = "FIDUCIAL"
    dataset.PixelSpacingCalibrationDescription = f"calibration {mark}"
    dataset.NumberOfFrames = "1"
    dataset.PartialView = dataset.BreastImplantPresent = dataset.QualityControlImage = "NO"
    dataset.BurnedInAnnotation = "NO"
    dataset.AnatomicRegionSequence = code_sequence(codes.BREAST)
    # one that does not keep a view from being read
    modifier = codes.MODIFIERS[ViewModifier.NIPPLE_IN_PROFILE]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = code_sequence(modifier)
    local = Code(f"C{mark}", "99SPECIMEN", f"meaning {mark}")
    dataset.DeidentificationMethodCodeSequence = code_sequence(local)
    for name in ("IssuerOfAccessionNumberSequence", "IssuerOfPatientIDQualifiersSequence"):
        item = Dataset()
        item.UniversalEntityID = f"2.25.{mark}"
        item.UniversalEntityIDType = "ISO" if mark == "1" else "DNS"
        setattr(dataset, name, DicomSequence([item]))
    request = Dataset()
    request.AccessionNumber = f"A{mark}"
    request.RequestedProcedureID = f"R{mark}"
    request.RequestedProcedureDescription = f"procedure {mark}"
    request.FillerOrderNumberImagingServiceRequest = f"F{mark}"
    request.PlacerOrderNumberImagingServiceRequest = f"O{mark}"
    request.RequestedProcedureCodeSequence = code_sequence(local)
    request.ReferencedStudySequence = DicomSequence()
    dataset.RequestAttributesSequence = DicomSequence([request])
    earlier = Dataset()
    earlier.PurposeOfReferenceCodeSequence = code_sequence(local)
    earlier.Manufacturer = f"Gateway {mark}"
    dataset.ContributingEquipmentSequence = DicomSequence([earlier])


def _paint(dataset: Dataset, view: ViewKey, size: tuple[int, int]) -> None:
    """A small half disk at the chest wall; much air, which the words of an overlay find room in at once."""
    rows, columns = size
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    if view.laterality is Laterality.RIGHT:
        column = columns - 1 - column
    distance = np.hypot((row - rows / 2) / (0.2 * rows), column / (0.25 * columns))
    pixels = np.where(distance < 1.0, 3500 - 2000 * distance, 0).astype("<u2")
    dataset.SamplesPerPixel = 1
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OW", pixels.tobytes())
