"""The exam of a self-test: always the same pixels and lesion, each time UIDs of its own, and no patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from dibmg.synthesis.dicom_export import dicom_of
from dibmg.synthesis.exam import SYNTHESIS_VERSION, synthesize_exam
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey

SPECIMEN_VERSION: Final = f"1, synthesis {SYNTHESIS_VERSION}"
"""Changes whenever the pixels do."""
PATIENT_ID: Final = "DIBMG-SELFTEST"

_SEED: Final = 20261128
_INDEX: Final = 2
_ROWS: Final = 1024
_VISIBILITY: Final = 2.5
"""Both released sets of weights are hottest inside this lesion, in both views of the breast."""


@dataclass(frozen=True)
class SpecimenImage:
    """One view as a Part 10 file."""

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    content: bytes


@dataclass(frozen=True)
class LesionCircle:
    """Where the lesion is: pixels from the top left of the stored image."""

    column: float
    row: float
    radius: float

    def holds(self, column: float, row: float) -> bool:
        """Whether a place is inside."""
        return (column - self.column) ** 2 + (row - self.row) ** 2 <= self.radius**2


@dataclass(frozen=True)
class Specimen:
    """Four standard views, and where the lesion is in two of them."""

    study_uid: str
    images: Mapping[ViewKey, SpecimenImage]
    lesions: Mapping[ViewKey, LesionCircle]


def make_specimen(study_uid: str) -> Specimen:
    """The exam under a study's UID; instances and series have UIDs below it.

    Args:
        study_uid: At most 62 characters.
    """
    exam = synthesize_exam(_SEED, _INDEX, _ROWS, True, _VISIBILITY)
    images = {}
    for number, key in enumerate(STANDARD_VIEWS, start=1):
        image = dicom_of(exam, PATIENT_ID, key)
        _identify(image, study_uid, f"{study_uid}.{number}")
        images[key] = SpecimenImage(
            str(image.SOPInstanceUID),
            str(image.SOPClassUID),
            str(image.file_meta.TransferSyntaxUID),
            _part10(image),
        )
    circles = {
        key: LesionCircle(lesion.center[0], lesion.center[1], lesion.radius)
        for key, lesion in exam.lesions.items()
    }
    return Specimen(study_uid, images, circles)


def _identify(image: FileDataset, study_uid: str, sop_uid: str) -> None:
    """UIDs of this run, and a patient whom nobody takes for one."""
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = UID(sop_uid)
    image.StudyInstanceUID, image.SeriesInstanceUID = UID(study_uid), UID(f"{study_uid}.9")
    image.PatientName, image.PatientID = "SELF-TEST^DIB-MG^NO PATIENT", PATIENT_ID
    image.StudyDescription = image.SeriesDescription = "DIB-MG self-test, no patient"
    image.QualityControlSubject = "YES"


def _part10(image: FileDataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()
