"""Who a study is of: read from a header in the archive when a page shows it, kept nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import read_received_header, texts_of
from dibmg_node.errors import InstanceRejectedError, RetryableError
from dibmg_node.storage.archive import Archive

_HEADERS: Final = 2048


@dataclass(frozen=True)
class Patient:
    """Who a study is of, as an image's header has it; what it lacks is empty.

    Attributes:
        pseudonym: That the audit trail has for them.
    """

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    accession_number: str = ""
    study_date: str = ""
    pseudonym: str = ""


class Patients:
    """Reads headers."""

    def __init__(self, archive: Archive, pseudonym: Callable[[Dataset], str]) -> None:
        """Read nothing yet.

        Args:
            archive: Where images lie.
            pseudonym: Of the patient of a header.
        """
        self._archive = archive
        self._pseudonym = pseudonym
        # what is archived under a UID never changes
        self._read = lru_cache(_HEADERS)(self._from_header)

    def of_images(self, sop_uids: Mapping[str, str]) -> dict[str, Patient]:
        """Patients of studies.

        Args:
            sop_uids: An image's UID for each study's.

        Returns:
            For each study; an empty one where the header cannot be read.
        """
        return {study_uid: self.of_image(sop_uid) for study_uid, sop_uid in sop_uids.items()}

    def of_image(self, sop_uid: str) -> Patient:
        """The patient of an image; an empty one where its header cannot be read."""
        try:
            return self._read(sop_uid)
        except (InstanceRejectedError, OSError):
            return Patient()

    def _from_header(self, sop_uid: str) -> Patient:
        with self._archive.instance(sop_uid).open("rb") as file:
            header = read_received_header(file)

        return Patient(
            # family, given, … stand between carets; ideographic groups between equals signs
            name=_text(header, "PatientName").partition("=")[0].replace("^", " ").strip(),
            patient_id=_text(header, "PatientID"),
            birth_date=_date(_text(header, "PatientBirthDate")),
            accession_number=_text(header, "AccessionNumber"),
            study_date=_date(_text(header, "StudyDate")),
            pseudonym=self._pseudonym(header),
        )


def accession_number(archive: Archive, sop_uid: str) -> str:
    """Accession number of the study that an image is of; empty where it is purged, or has no readable header.

    Raises:
        RetryableError: The archive does not answer.
    """
    header = archived_header(archive, sop_uid)
    return "" if header is None else _text(header, "AccessionNumber")


def archived_header(archive: Archive, sop_uid: str) -> Dataset | None:
    """Header of an image; None where it is purged, or has no readable one.

    Raises:
        RetryableError: The archive does not answer.
    """
    try:
        with archive.instance(sop_uid).open("rb") as file:
            return read_received_header(file)
    except (InstanceRejectedError, FileNotFoundError):
        return None
    except OSError as error:
        raise RetryableError(f"the archive cannot be read: {error.strerror}") from error


def _text(header: Dataset, name: str) -> str:
    return "".join(letter for letter in " ".join(texts_of(header, name)) if letter.isprintable())


def _date(text: str) -> str:
    """A DICOM date as people write it (ISO 8601); any other text as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text
