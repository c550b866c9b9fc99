"""QIDO-RS: the node's results, looked for. Source: PS3.18 10.6."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dibmg_node.dicom.header import is_uid
from dibmg_node.dicom.native import to_json
from dibmg_node.dicom.query import Level, read_query
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.lookup import Lookup
from dibmg_node.web import media
from dibmg_node.web.stow import base_url

_log = logging.getLogger(__name__)

_PARAMETERS = {Level.STUDY: "study", Level.SERIES: "series", Level.INSTANCE: "instance"}


def path_uids(request: Request) -> Mapping[Level, str]:
    """UIDs that the URL's path gives, by level."""
    return {
        level: request.path_params[name] for level, name in _PARAMETERS.items() if name in request.path_params
    }


def peer_address(request: Request) -> str:
    """Who asks."""
    return request.client.host if request.client else ""


@contextmanager
def later_where_the_archive_is_silent() -> Iterator[None]:
    """An archive that does not answer is asked again: part of a study must not pass for the whole.

    Raises:
        HTTPException: 503.
    """
    try:
        yield
    except OSError as error:
        _log.warning("archive does not answer", extra={"reason": error.strerror})
        raise HTTPException(503, "the archive does not answer", headers={"Retry-After": "60"}) from error


def _told_path(request: Request, level: Level) -> str:
    """The URL's path; what stands where a UID belongs is told only if it is one."""
    parts = [f"{one.value}/{uid if is_uid(uid) else '?'}" for one, uid in path_uids(request).items()]
    return "/".join(["/dicom-web", *parts, level.value])


class SearchService:
    """Answers queries."""

    def __init__(self, lookup: Lookup, audit: Auditor = SILENT) -> None:
        self._lookup = lookup
        self._audit = audit

    def studies(self, request: Request) -> Response:
        """Studies that have results."""
        return self._search(request, Level.STUDY)

    def series(self, request: Request) -> Response:
        """Series of results."""
        return self._search(request, Level.SERIES)

    def instances(self, request: Request) -> Response:
        """Results."""
        return self._search(request, Level.INSTANCE)

    def _search(self, request: Request, level: Level) -> Response:
        if media.choose(request.headers.get("accept", ""), (media.JSON,)) is None:
            raise HTTPException(406, f"answers are {media.JSON}")
        try:
            query = read_query(request.query_params.multi_items(), level)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        self._audit.queried(peer_address(request), _told_path(request, level), query.wanted)
        with later_where_the_archive_is_silent():
            found = self._lookup.search(level, path_uids(request), query, base_url(request))
        headers = {}
        if not found.complete:
            # PS3.18 8.3.4.4: the answer does not hold everything that matches
            told = f"only the {self._lookup.most_studies} newest studies were looked at"
            headers["Warning"] = f'299 dibmg "{told}"'
        if not found.matches:
            return Response(status_code=204, headers=headers)
        return Response(to_json(found.matches), headers=headers, media_type=media.JSON)
