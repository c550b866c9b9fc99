"""Keys that a study is found by without the ledger holding who it is of."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import texts_of


class NumberKind(StrEnum):
    """Whose number it is: a study's, or a woman's. Both may be the same text, of different women."""

    ACCESSION = "AccessionNumber"
    PATIENT = "PatientID"


def search_key(number: str, kind: NumberKind) -> str:
    """Digest of an accession number or a patient ID, however it is typed.

    It finds a study for who knows the number, and keeps the number out of tables and their backups. It
    does not keep a secret from who has the ledger: short numbers can be tried out.
    """
    return _digest(number, kind.value)


def untold_key(number: str) -> str:
    """Key of a number in ledgers of earlier versions: it does not tell which kind the number is of."""
    return _digest(number, "")


def any_keys(number: str) -> tuple[str, ...]:
    """Every key that a number of either kind may be in a ledger by."""
    return (*(search_key(number, kind) for kind in NumberKind), untold_key(number))


def search_keys(header: Dataset) -> tuple[str, ...]:
    """Keys of the study that an instance belongs to; numbers that the header lacks give none."""
    numbers = {(number, kind) for kind in NumberKind for number in texts_of(header, kind.value) if number}
    return tuple(sorted({search_key(number, kind) for number, kind in numbers}))


def _digest(number: str, kind: str) -> str:
    typed = "".join(number.split()).upper().encode()
    return blake2b(typed, digest_size=16, person=b"dibmg", salt=kind.encode()).hexdigest()
