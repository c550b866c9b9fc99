"""A synthetic view as a Digital Mammography X-Ray Image For Presentation."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID

from dibmg.synthesis.exam import SYNTHESIS_VERSION, SyntheticExam
from dibmg_node.dicom import facts
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.study import STANDARD_VIEWS, View, ViewKey

_NAMESPACE: Final = UUID("5c0c2f3e-6f0a-5d5b-9a0e-5b5d0c1f7a44")
_YEAR: Final = 2020
"""All exams are of the same day: nothing of a file depends on when it was written."""


def window_of(mammogram: Mammogram) -> tuple[float, float]:
    """Window Center and Width of a mammogram's lowest and highest value. Source: PS3.3 C.11.2.1.2.1."""
    width = mammogram.high - mammogram.low + 1.0
    return mammogram.low + width / 2.0, width


def dicom_of(exam: SyntheticExam, name: str, key: ViewKey) -> FileDataset:
    """One view of an exam as an instance that passes for one of a mammography unit.

    Args:
        exam: With its pixels.
        name: Identifies the exam: its instances share study, series and patient.
        key: Which view.

    Source: Digital Mammography X-Ray Image IOD, PS3.3 A.26, C.8.11.7.
    """
    mammogram, number = exam.mammograms[key], STANDARD_VIEWS.index(key) + 1
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(facts.EXPLICIT_LE)
    meta.MediaStorageSOPClassUID = UID(facts.MG_FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = _uid(name, str(key))
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SpecificCharacterSet = "ISO_IR 100"
    image.ImageType = ["ORIGINAL", "PRIMARY", ""]
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID = _uid(name, "study"), _uid(name, "series")
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = f"{_YEAR}0301"
    image.StudyTime = image.SeriesTime = "100000"
    image.AcquisitionTime = image.ContentTime = f"1000{number * 10:02d}"
    image.StudyID, image.SeriesNumber, image.InstanceNumber = "1", "1", str(number)
    image.AccessionNumber, image.ReferringPhysicianName = "", ""
    image.StudyDescription = "Synthetic mammography screening"
    image.PatientName, image.PatientID = f"Synthetic^{name}", name
    image.PatientBirthDate, image.PatientSex = f"{_YEAR - exam.age}0101", "F"
    image.PatientAge = f"{exam.age:03d}Y"
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.Manufacturer, image.ManufacturerModelName = exam.detector.manufacturer, exam.detector.model
    image.DeviceSerialNumber, image.SoftwareVersions = "1", f"synthesis {SYNTHESIS_VERSION}"
    image.BodyPartExamined = image.OrganExposed = "BREAST"
    image.ImageLaterality, image.ViewPosition = key.laterality.value, key.view.value
    image.PatientOrientation = list(exam.orientations[key])
    image.ViewCodeSequence = [_view_code(key.view)]
    image.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
    image.AcquisitionContextSequence = []
    image.PositionerType, image.PositionerPrimaryAngle = "MAMMOGRAPHIC", "0" if key.view is View.CC else "45"
    image.DetectorType = "FILM" if exam.detector.film else "DIRECT"
    image.ImagerPixelSpacing = [f"{exam.pixel_mm:.6f}"] * 2
    image.BurnedInAnnotation, image.BreastImplantPresent, image.PartialView = "NO", "NO", "NO"
    _put_pixels(image, mammogram, exam.detector.span.bit_length())
    return image


def _put_pixels(image: FileDataset, mammogram: Mammogram, bits: int) -> None:
    """Pixel data and how it is shown."""
    inverted = mammogram.inverted
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", 1 if inverted else -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "US"
    image.LossyImageCompression = "00"
    image.WindowCenter, image.WindowWidth = (f"{value:g}" for value in window_of(mammogram))
    image.Rows, image.Columns = mammogram.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, bits, bits - 1, 0
    image.add_new("PixelData", "OW", mammogram.pixels.astype(np.dtype("<u2")).tobytes())


def _view_code(view: View) -> Dataset:
    value, meaning = next((code, entry[2]) for code, entry in facts.VIEW_CODES.items() if entry[0] is view)
    code = _code(value, "SCT", meaning)
    code.ViewModifierCodeSequence = []
    return code


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _uid(*parts: str) -> UID:
    return UID(f"2.25.{uuid5(_NAMESPACE, '|'.join((SYNTHESIS_VERSION, *parts))).int}")
