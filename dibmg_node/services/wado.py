"""A study by QIDO-RS and WADO-RS: searched for, then retrieved instance by instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dibmg_node.dicom.part10 import read_meta, whole_meta
from dibmg_node.errors import InstanceRejectedError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.multipart import MalformedBodyError, first_part
from dibmg_node.services.qido import get, search_instances
from dibmg_node.services.web_service import WebService
from dibmg_node.services.wire import StoreAnswer

RETRIEVE_SECONDS: Final = 600.0
"""Of one instance: a PACS may have to fetch it from tape."""
_ENVELOPE: Final = 64 << 10
"""Bytes of a body around its DICOM file, file meta information included."""
_FILE: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
"""As the PACS has it: without `*` it would have to decompress. Source: PS3.18 8.7.3.5.2."""


@dataclass(frozen=True)
class WadoSource:
    """A PACS that answers QIDO-RS and WADO-RS. Source: PS3.18 10.4, 10.6."""

    service: WebService

    def fetch(self, study_uid: str, wants: Wants, landing: Landing) -> Haul:
        """Bring what is wanted of a study ashore; as `StudySource` has it."""
        offers = list(search_instances(self.service, f"studies/{study_uid}"))
        if not offers:
            raise NoSuchStudyError(f"{self.service.url} has no study {study_uid}")
        wanted = [offer for offer in offers if wants(offer)]
        answers: dict[str, StoreAnswer] = {}
        missing: dict[str, str] = {}
        broken = ""
        for offer in wanted:
            try:
                if not broken:
                    answers[offer.sop_uid] = self._retrieve(study_uid, offer, landing)
            except PeerUnavailableError as error:
                broken = str(error)
            except (PeerRefusedError, InstanceRejectedError, MalformedBodyError) as error:
                missing[offer.sop_uid] = str(error)
        return haul_of(study_uid, offers, wanted, answers, lambda offer: missing.get(offer.sop_uid, broken))

    def _retrieve(self, study_uid: str, offer: Offer, landing: Landing) -> StoreAnswer:
        """One instance.

        Raises:
            PeerUnavailableError: No answer, or one that may pass.
            PeerRefusedError: The PACS does not hand it over.
            InstanceRejectedError: What came cannot be parsed.
            MalformedBodyError: What came is no DICOM file.
        """
        url = f"{self.service.url}/studies/{study_uid}/series/{offer.series_uid}/instances/{offer.sop_uid}"
        answer = get(self.service, url, _FILE, RETRIEVE_SECONDS, landing.longest_instance + _ENVELOPE)
        if answer.body is None:
            raise PeerRefusedError("the answer is longer than an instance may be, or encoded")
        file = first_part(answer.content_type, answer.body)
        offset = whole_meta(file)
        if offset is None:
            raise MalformedBodyError("no whole DICOM file")
        # by this alone: whoever reads the data set of a deflated file inflates it
        meta = read_meta(file[:offset])
        return landing.store(
            offer.sop_uid, meta.sop_class_uid, meta.transfer_syntax_uid, memoryview(file)[offset:]
        )
