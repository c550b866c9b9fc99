"""Keys that a study is found by without the ledger holding who it is of."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import texts_of

_NUMBERS: Final = ("AccessionNumber", "PatientID")


def search_key(number: str) -> str:
    """Digest of an accession number or a patient ID, however it is typed.

    It finds a study for who knows the number, and keeps the number out of tables and their backups. It
    does not keep a secret from who has the ledger: short numbers can be tried out.
    """
    return blake2b("".join(number.split()).upper().encode(), digest_size=16, person=b"dibmg").hexdigest()


def search_keys(header: Dataset) -> tuple[str, ...]:
    """Keys of the study that an instance belongs to; numbers that the header lacks give none."""
    numbers = {number for name in _NUMBERS for number in texts_of(header, name) if number}
    return tuple(sorted({search_key(number) for number in numbers}))
