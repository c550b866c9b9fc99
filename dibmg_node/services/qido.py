"""QIDO-RS as a client: which instances a PACS says it has. Source: PS3.18 10.6."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Answer, Request
from dibmg_node.services.fetching import Offer
from dibmg_node.services.web_service import WebService, told_of

SEARCH_SECONDS: Final = 60.0
_PAGE: Final = 500
"""Instances of one answer; a server may give fewer."""
_LONGEST_PAGE: Final = 16 << 20
_JSON: Final = {"Accept": "application/dicom+json"}
_SOP_UID, _SOP_CLASS, _SERIES_UID, _MODALITY = "00080018", "00080016", "0020000E", "00080060"


def search_instances(service: WebService, path: str, *, may_be_gone: bool = False) -> Iterator[Offer]:
    """Every instance of a study or a series, page by page until one brings nothing new.

    Args:
        service: Of the PACS.
        path: `studies/UID`, or `studies/UID/series/UID`.
        may_be_gone: 404 says that there is no such study or series: nothing is found.

    Raises:
        PeerUnavailableError: No answer, or one that may pass.
        PeerRefusedError: The PACS does not let us search, or does not answer in DICOM JSON.
    """
    seen: set[str] = set()
    while True:
        page = _page(service, path, len(seen), may_be_gone)
        page = [one for one in page if one.sop_uid not in seen]
        if not page:
            return
        seen.update(one.sop_uid for one in page)
        yield from page


def get(
    service: WebService,
    url: str,
    headers: Mapping[str, str],
    seconds: float,
    longest: int,
    also: HTTPStatus = HTTPStatus.NO_CONTENT,
) -> Answer:
    """One GET that is answered with 200, 204 or another status that is named.

    Raises:
        PeerUnavailableError: No answer, or one that may pass.
        PeerRefusedError: Any other answer.
    """
    with Deadline(seconds) as deadline:
        answer = service.ask(Request("GET", url, headers, longest_answer=longest), deadline)
    if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, also):
        return answer
    if answer.status // 100 != 2:
        raise service.failure(answer)
    raise PeerRefusedError(f"{service.url}: {told_of(answer)}, expected 200")


def _page(service: WebService, path: str, offset: int, may_be_gone: bool) -> list[Offer]:
    keys = [("includefield", _SOP_CLASS), ("includefield", _MODALITY), ("limit", str(_PAGE))]
    url = f"{service.url}/{path}/instances?{urlencode([*keys, ('offset', str(offset))])}"
    also = HTTPStatus.NOT_FOUND if may_be_gone else HTTPStatus.NO_CONTENT
    answer = get(service, url, _JSON, SEARCH_SECONDS, _LONGEST_PAGE, also)
    if answer.status != HTTPStatus.OK:
        return []
    try:
        return [_offer(one) for one in json.loads(answer.body or b"")]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        told = f"{service.url}: the answer to the search is no DICOM JSON, or too long"
        raise PeerRefusedError(told) from error


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
