"""A study by QIDO-RS and WADO-RS: searched for, then retrieved instance by instance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from dibmg_node.dicom.part10 import read_meta, whole_meta
from dibmg_node.errors import InstanceRejectedError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Answer, Request
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.multipart import MalformedBodyError, first_part
from dibmg_node.services.web_service import WebService, told_of
from dibmg_node.services.wire import StoreAnswer

SEARCH_SECONDS: Final = 60.0
RETRIEVE_SECONDS: Final = 600.0
"""Of one instance: a PACS may have to fetch it from tape."""
_PAGE: Final = 500
"""Instances of one answer; a server may give fewer."""
_LONGEST_PAGE: Final = 16 << 20
_ENVELOPE: Final = 64 << 10
"""Bytes of a body around its DICOM file, file meta information included."""
_JSON: Final = {"Accept": "application/dicom+json"}
_FILE: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
"""As the PACS has it: without `*` it would have to decompress. Source: PS3.18 8.7.3.5.2."""
_SOP_UID, _SOP_CLASS, _SERIES_UID, _MODALITY = "00080018", "00080016", "0020000E", "00080060"


@dataclass(frozen=True)
class WadoSource:
    """A PACS that answers QIDO-RS and WADO-RS. Source: PS3.18 10.4, 10.6."""

    service: WebService

    def fetch(self, study_uid: str, wants: Wants, landing: Landing) -> Haul:
        """Bring what is wanted of a study ashore; as `StudySource` has it."""
        offers = list(self._search(study_uid))
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

    def _search(self, study_uid: str) -> Iterator[Offer]:
        """Every instance of a study, page by page until one brings nothing new.

        Raises:
            PeerUnavailableError: No answer, or one that may pass.
            PeerRefusedError: The PACS does not let us search, or does not answer in DICOM JSON.
        """
        seen: set[str] = set()
        while True:
            page = [one for one in self._page(study_uid, len(seen)) if one.sop_uid not in seen]
            if not page:
                return
            seen.update(one.sop_uid for one in page)
            yield from page

    def _page(self, study_uid: str, offset: int) -> list[Offer]:
        keys = [("includefield", _SOP_CLASS), ("includefield", _MODALITY), ("limit", str(_PAGE))]
        query = urlencode([*keys, ("offset", str(offset))])
        url = f"{self.service.url}/studies/{study_uid}/instances?{query}"
        answer = self._get(url, _JSON, SEARCH_SECONDS, _LONGEST_PAGE)
        if answer.status == HTTPStatus.NO_CONTENT:
            return []
        try:
            found = json.loads(answer.body or b"")
            return [_offer(one) for one in found]
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            told = f"{self.service.url}: the answer to the search is no DICOM JSON, or too long"
            raise PeerRefusedError(told) from error

    def _retrieve(self, study_uid: str, offer: Offer, landing: Landing) -> StoreAnswer:
        """One instance.

        Raises:
            PeerUnavailableError: No answer, or one that may pass.
            PeerRefusedError: The PACS does not hand it over.
            InstanceRejectedError: What came cannot be parsed.
            MalformedBodyError: What came is no DICOM file.
        """
        url = f"{self.service.url}/studies/{study_uid}/series/{offer.series_uid}/instances/{offer.sop_uid}"
        answer = self._get(url, _FILE, RETRIEVE_SECONDS, landing.longest_instance + _ENVELOPE)
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

    def _get(self, url: str, headers: Mapping[str, str], seconds: float, longest: int) -> Answer:
        with Deadline(seconds) as deadline:
            answer = self.service.ask(Request("GET", url, headers, longest_answer=longest), deadline)
        if answer.status // 100 != 2:
            raise self.service.failure(answer)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            raise PeerRefusedError(f"{self.service.url}: {told_of(answer)}, expected 200")
        return answer


def _offer(match: Mapping[str, Any]) -> Offer:
    """One match of a search in DICOM JSON. Source: PS3.18 F.2."""
    return Offer(
        sop_uid=str(match[_SOP_UID]["Value"][0]),
        sop_class_uid=_value(match, _SOP_CLASS),
        series_uid=str(match[_SERIES_UID]["Value"][0]),
        modality=_value(match, _MODALITY).upper(),
    )


def _value(match: Mapping[str, Any], tag: str) -> str:
    values = match.get(tag, {}).get("Value") or [""]
    return str(values[0]).strip()
