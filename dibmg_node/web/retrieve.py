"""WADO-RS: the node's results, as DICOM files and as metadata. Source: PS3.18 10.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dibmg_node.dicom import facts
from dibmg_node.dicom.native import to_json
from dibmg_node.dicom.query import Level
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.lookup import Lookup
from dibmg_node.storage.catalog import HeldResult
from dibmg_node.web import media
from dibmg_node.web.search import later_where_the_archive_is_silent, path_uids, peer_address

_MULTIPART_RANGES: Final = frozenset({"*/*", "multipart/*", media.MULTIPART})
_SINGLE_RANGES: Final = frozenset({"application/*", media.DICOM})


@dataclass(frozen=True)
class _Form:
    """How results are given out: transfer syntax of each, and whether as parts."""

    syntaxes: Sequence[str]
    in_parts: bool


class RetrieveService:
    """Gives results out."""

    def __init__(self, lookup: Lookup, audit: Auditor = SILENT) -> None:
        self._lookup = lookup
        self._audit = audit

    def retrieve(self, request: Request) -> Response:
        """A study's, a series' or one result as DICOM files."""
        with later_where_the_archive_is_silent():
            held = self._held(request)
            form = _form(request, held)
            self._tell(request, held)
            if not form.in_parts:
                content_type = _content_type(form.syntaxes[0])
                return Response(self._lookup.content(held[0], form.syntaxes[0]), media_type=content_type)
        boundary = uuid4().hex
        return StreamingResponse(
            self._parts(held, form.syntaxes, boundary),
            media_type=f'{media.MULTIPART}; type="{media.DICOM}"; boundary={boundary}',
        )

    def metadata(self, request: Request) -> Response:
        """Everything in results but their pixels."""
        with later_where_the_archive_is_silent():
            held = self._held(request)
            if media.choose(request.headers.get("accept", ""), (media.JSON,)) is None:
                raise HTTPException(406, f"metadata is {media.JSON}")
            self._tell(request, held)
            return Response(to_json(self._lookup.metadata(held)), media_type=media.JSON)

    def _held(self, request: Request) -> list[HeldResult]:
        held = self._lookup.held(path_uids(request))
        if not held:
            raise HTTPException(404, "the node has no such result")
        return held

    def _tell(self, request: Request, held: Sequence[HeldResult]) -> None:
        """Enter who is given what; a URL names one study."""
        patient = self._audit.patient(self._lookup.metadata(held[:1])[0])
        classes = [one.sop_class_uid for one in held]
        self._audit.accessed(peer_address(request), held[0].study_uid, classes, patient)

    def _parts(self, held: Sequence[HeldResult], syntaxes: Sequence[str], boundary: str) -> Iterator[bytes]:
        for one, syntax in zip(held, syntaxes, strict=True):
            yield f"--{boundary}\r\nContent-Type: {_content_type(syntax)}\r\n\r\n".encode()
            yield self._lookup.content(one, syntax)
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()


def _content_type(syntax: str) -> str:
    return f"{media.DICOM}; transfer-syntax={syntax}"


def _form(request: Request, held: Sequence[HeldResult]) -> _Form:
    """The first form that is accepted and can be given.

    Raises:
        HTTPException: 406, there is none.
    """
    single = Level.INSTANCE in path_uids(request)
    for wanted in media.read_accept(request.headers.get("accept") or "*/*"):
        in_parts = wanted.name in _MULTIPART_RANGES
        if in_parts and wanted.parameters.get("type", media.DICOM).lower() not in (media.DICOM, "*/*"):
            continue
        if not in_parts and not (single and wanted.name in _SINGLE_RANGES):
            continue
        # PS3.18 8.7.3.5.2: who names no transfer syntax gets Explicit VR Little Endian
        syntax = wanted.parameters.get("transfer-syntax", facts.EXPLICIT_LE)
        syntaxes = [_syntax(one, syntax) for one in held]
        if all(syntaxes):
            return _Form([one for one in syntaxes if one], in_parts)
    raise HTTPException(
        406,
        f'results are given out as {media.MULTIPART}; type="{media.DICOM}", in the transfer syntax '
        "that they are held in or in Explicit VR Little Endian",
    )


def _syntax(held: HeldResult, wanted: str) -> str | None:
    """The transfer syntax that a result is given out in; None where it cannot be had so."""
    if wanted in (media.ANY_SYNTAX, held.transfer_syntax_uid):
        return held.transfer_syntax_uid
    return facts.EXPLICIT_LE if wanted == facts.EXPLICIT_LE else None
