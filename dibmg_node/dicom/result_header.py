"""What every result says about itself beside its content: whose it is, who made it, when."""

from __future__ import annotations

import re
import unicodedata
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.identity import SERIES_NUMBERS, Origin, series_uid
from dibmg_node.dicom.sr_content import code_sequence
from dibmg_node.domain.result import ModelIdentity, ResultKind

SERIES_DESCRIPTIONS: Final = {
    ResultKind.CAD_SR: "DIB-MG CAD report - research only, not for diagnosis",
    ResultKind.MEASUREMENT_SR: "DIB-MG measurements - research only, not for diagnosis",
    ResultKind.OVERLAY: "DIB-MG overlay - research only, not for diagnosis",
    ResultKind.PRESENTATION: "DIB-MG outlines - research only, not for diagnosis",
}
"""Series Description (LO, 64 characters at most)."""

_EMPTY_WHERE_MISSING: Final = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
"""Type 2 in Patient and General Study. Source: PS3.3 C.7.1.1, C.7.2.1."""

_WHERE_PRESENT: Final = (
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientAge",
    "PatientIdentityRemoved",
    "SpecificCharacterSet",
    "StudyDescription",
    "TimezoneOffsetFromUTC",
    "TypeOfPatientID",
)
_EQUIPMENT: Final = (
    "Manufacturer",
    "InstitutionName",
    "InstitutionAddress",
    "StationName",
    "InstitutionalDepartmentName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)
_TYPOGRAPHY: Final = str.maketrans(
    {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "≥": ">=", "≤": "<=", "×": "x"}
)


def result_header(
    source: FileDataset, origin: Origin, kind: ResultKind, sop_class_uid: str, sop_uid: str, now: datetime
) -> Dataset:
    """The modules that all results share; content and modality are the caller's.

    Args:
        source: Header of an image of the study: patient and study attributes are copied from it as they
            are; nothing is added but empty values where one is required.
        origin: What the result is made from.
        kind: Gives the series.
        sop_class_uid: What the result is for DICOM.
        sop_uid: Its SOP Instance UID.
        now: Time of the analysis. With a time zone it is written in that of the source, where the source
            states one, else in this machine's: the study's own times are local too. Without, as it is.

    Source: PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.5.1, C.12.1.
    """
    header = Dataset()
    copy_attributes(source, header, _WHERE_PRESENT)
    copy_attributes(source, header, _EMPTY_WHERE_MISSING)
    for name in _EMPTY_WHERE_MISSING:
        if name not in header:
            setattr(header, name, "")
    header.StudyInstanceUID = origin.study_uid

    header.SOPClassUID = sop_class_uid
    header.SOPInstanceUID = sop_uid
    header.InstanceCreatorUID = facts.IMPLEMENTATION_CLASS_UID
    header.SeriesInstanceUID = series_uid(origin.study_uid, kind, origin.model)
    header.SeriesNumber = SERIES_NUMBERS[kind]
    header.SeriesDescription = SERIES_DESCRIPTIONS[kind]
    header.ContentQualification = "RESEARCH"

    date, time = date_and_time(source, now)
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(header, f"{name}Date", date)
        setattr(header, f"{name}Time", time)

    header.Manufacturer = facts.MANUFACTURER
    header.ManufacturerModelName = facts.MODEL_NAME
    header.DeviceSerialNumber = facts.IMPLEMENTATION_VERSION_NAME
    header.SoftwareVersions = software_versions(origin.model)
    equipment = _contributing_equipment(source)
    if equipment:
        header.ContributingEquipmentSequence = DicomSequence(equipment)
    return header


def date_and_time(source: Dataset, now: datetime) -> tuple[str, str]:
    """A moment as DA and TM, in the time zone of an instance where it states one."""
    moment = _in_zone_of(source, now)
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")


def software_versions(model: ModelIdentity | None) -> list[str]:
    """Software Versions (LO): the node's, and the model's where one was at work."""
    versions = [facts.IMPLEMENTATION_VERSION_NAME]
    if model is not None:
        versions.append(plain_text(f"{facts.ALGORITHM_NAME} {model.name} {model.version}")[:64])
    return versions


def plain_text(words: str) -> str:
    """Words in ASCII without control characters, so that any Specific Character Set can hold them."""
    folded = unicodedata.normalize("NFKD", words.translate(_TYPOGRAPHY))
    kept = "".join(letter for letter in folded if not unicodedata.combining(letter))
    # A backslash separates values in LO.
    return re.sub(r"[\x00-\x1f\x7f]+", " ", kept.replace("\\", "/")).encode("ascii", "replace").decode()


def copy_attributes(source: Dataset, target: Dataset, names: tuple[str, ...]) -> None:
    """Copy attributes that the source has, values and all, as they are."""
    for name in names:
        if name in source:
            target[name] = deepcopy(source[name])


def _contributing_equipment(source: Dataset) -> list[Dataset]:
    """The modality, after the equipment that it named itself. Source: PS3.3 C.12.1.1.5."""
    equipment = [deepcopy(item) for item in source.get("ContributingEquipmentSequence") or []]
    if source.get("Manufacturer"):
        modality = Dataset()
        modality.PurposeOfReferenceCodeSequence = code_sequence(codes.ACQUISITION_EQUIPMENT)
        copy_attributes(source, modality, _EQUIPMENT)
        equipment.append(modality)
    return equipment


def _in_zone_of(source: Dataset, now: datetime) -> datetime:
    """Timezone Offset From UTC, -1200 to +1400, holds for every time of an instance.

    Source: PS3.3 C.12.1.1.
    """
    match = re.fullmatch(r"([+-])(\d\d)(\d\d)", str(source.get("TimezoneOffsetFromUTC", "")).strip())
    if now.tzinfo is None:
        return now
    if match is None:
        return now.astimezone()
    sign = -1 if match[1] == "-" else 1
    offset = sign * timedelta(hours=int(match[2]), minutes=int(match[3]))
    if int(match[3]) > 59 or not timedelta(hours=-12) <= offset <= timedelta(hours=14):
        return now.astimezone()
    return now.astimezone(timezone(offset))
