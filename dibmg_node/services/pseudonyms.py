"""Pseudonyms of patients: the audit trail tells of the same woman by the same word, and never who she is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import texts_of


@dataclass(frozen=True)
class Pseudonyms:
    """Names for patients that only the holder of the key can make again.

    HMAC-SHA-256 of the Patient ID, cut to 128 bits. Source: RFC 2104.
    """

    key: bytes

    def of(self, patient_id: str) -> str:
        """The pseudonym; empty for a patient without an ID."""
        if not patient_id:
            return ""
        encoded = patient_id.encode("utf-8", "surrogateescape")
        return hmac.new(self.key, encoded, sha256).hexdigest()[:32]

    def of_header(self, header: Dataset) -> str:
        """The same, of the patient that a header names."""
        return self.of("\\".join(texts_of(header, "PatientID")))
