"""STOW-RS as a server: the durable way of a C-STORE, over HTTP. Source: PS3.18 10.5."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.header import is_uid
from dibmg_node.dicom.native import one_to_json, to_xml
from dibmg_node.dicom.store_response import StoreOutcome, StoreSuccess, store_response, success_of
from dibmg_node.errors import IntakePausedError, RetryableError, StorageFullError
from dibmg_node.services.file_reception import FileReception, StoredFile
from dibmg_node.services.intake import Intake
from dibmg_node.services.wire import StoreRequest, TellTurnedAway, TurnedAway
from dibmg_node.web import media
from dibmg_node.web.body import BodyLimits, LongBodyError, SlowBodyError, blocks
from dibmg_node.web.threads import in_thread
from dibmg_node.web.upload import MalformedUploadError, OversizedUploadError, Upload

_log = logging.getLogger(__name__)

SENDER: Final = "STOW-RS"
"""Stands in the ledger where the AE title of a C-STORE's sender does."""
_RETRY: Final = {"Retry-After": "60"}
_STATUS: Final = {StoreSuccess.ALL: 200, StoreSuccess.SOME: 202, StoreSuccess.NONE: 409}


@dataclass(frozen=True)
class StowLimits:
    """What is borne from senders.

    Attributes:
        longest_instance: Bytes of one data set.
        most_instances: In one request.
        most_requests: At the same time.
    """

    body: BodyLimits
    longest_instance: int
    most_instances: int
    most_requests: int


class StowService:
    """Takes requests."""

    def __init__(self, intake: Intake, limits: StowLimits, turned_away: TellTurnedAway) -> None:
        self._intake = intake
        self._limits = limits
        self._turned_away = turned_away
        self._requests = 0

    async def store(self, request: Request) -> Response:
        """Store the instances of one request; answered when every one of them is safe, or refused.

        Raises:
            HTTPException: 400, 406, 408, 411, 413, 415, 503 or 507: the request as a whole is refused. What
                of it was stored already stays, and is a duplicate when it comes again.
        """
        study_uid = request.path_params.get("study")
        if study_uid is not None and not is_uid(study_uid):
            raise HTTPException(400, "the study in the path is no UID")
        answer_type = media.choose(request.headers.get("accept", ""), (media.JSON, media.XML))
        if answer_type is None:
            raise HTTPException(406, f"answers are {media.JSON} or {media.XML}")
        boundary = _boundary(request)
        self._check_length(request)
        try:
            await in_thread(self._check_open)
            self._check_room()
        except HTTPException as refusal:
            told = f"request refused, HTTP {refusal.status_code}: {refusal.detail}"
            self._turned_away(TurnedAway(_address(request), SENDER, "", told, for_now=True))
            raise
        self._requests += 1
        try:
            files, study_uids = await self._receive(request, boundary, study_uid)
        finally:
            self._requests -= 1
        url = f"{base_url(request)}/studies/{next(iter(study_uids))}" if len(study_uids) == 1 else ""
        return _answer(files, url, answer_type)

    def _check_length(self, request: Request) -> None:
        """Refuse by the head what would be refused later. Source: RFC 9110 15.5.12, 15.5.14."""
        longest = self._limits.body.longest
        length = request.headers.get("content-length")
        if length is None and "chunked" not in request.headers.get("transfer-encoding", ""):
            raise HTTPException(411, "a body with Content-Length, or chunked")
        if length is not None and int(length) > longest:
            raise HTTPException(413, f"longer than {longest} bytes")

    def _check_open(self) -> None:
        """Refuse as a whole what would be refused part by part. Source: RFC 9110 15.6.4."""
        try:
            self._intake.check_open()
        except RetryableError as error:
            told = str(error) if isinstance(error, IntakePausedError) else "the ledger does not answer"
            _log.warning("request refused", extra={"reason": str(error)})
            raise HTTPException(503, told, headers=_RETRY) from error

    def _check_room(self) -> None:
        if self._requests >= self._limits.most_requests:
            raise HTTPException(503, "too many requests at the same time", headers=_RETRY)
        try:
            self._intake.check_room()
        except StorageFullError as error:
            _log.error("request refused", extra={"reason": str(error)})
            raise HTTPException(507, "less disk is free than the reserve", headers=_RETRY) from error

    async def _receive(
        self, request: Request, boundary: str, study_uid: str | None
    ) -> tuple[Sequence[StoredFile], frozenset[str]]:
        """All parts, and the studies that they belong to."""
        request_id = uuid4().hex[:16]

        def open_file(number: int) -> FileReception:
            offer = StoreRequest(request_id, number, "", "", "", SENDER, "", _address(request), study_uid)
            longest = self._limits.longest_instance
            return FileReception(self._intake.open_instance, offer, longest, self._turned_away)

        def end() -> frozenset[str]:
            upload.abort()
            return self._intake.sender_done(request_id)

        study_uids: frozenset[str] = frozenset()
        try:
            upload = Upload(boundary, open_file, self._limits.most_instances)
            try:
                async for block in blocks(request, self._limits.body):
                    await in_thread(upload.write, block)
                upload.finish()
            finally:
                study_uids = await in_thread(end)
        except MalformedUploadError as error:
            raise _refusal(400, error, request_id) from error
        except SlowBodyError as error:
            raise _refusal(408, error, request_id) from error
        except (LongBodyError, OversizedUploadError) as error:
            raise _refusal(413, error, request_id) from error
        except ClientDisconnect as error:
            raise _refusal(400, error, request_id, "the sender went away") from error
        return upload.files, study_uids


def base_url(request: Request) -> str:
    """URL of the service, as it is known; else as the client calls it, which a proxy may have changed."""
    known_as = request.app.state.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{known_as}/dicom-web"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _boundary(request: Request) -> str:
    content_type = media.read_media_type(request.headers.get("content-type", ""))
    kind = content_type.parameters.get("type", media.DICOM).lower()
    if content_type.name != media.MULTIPART or kind != media.DICOM:
        raise HTTPException(415, f'a body of {media.MULTIPART}; type="{media.DICOM}"')
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "a body without Content-Encoding")
    boundary = content_type.parameters.get("boundary", "")
    if not boundary:
        raise HTTPException(400, "Content-Type has no boundary")
    return boundary


def _refusal(status: int, error: Exception, request_id: str, sentence: str = "") -> HTTPException:
    extra = {"association_id": request_id, "status": status, "reason": sentence or str(error)}
    _log.warning("request refused", extra=extra)
    return HTTPException(status, sentence or str(error))


def _answer(files: Sequence[StoredFile], url: str, media_type: str) -> Response:
    outcomes = [StoreOutcome(file.meta, file.answer.status) for file in files]
    response = store_response(outcomes, url)
    success = success_of(outcomes)
    # 409 would be for good; a full disk or a silent ledger is not
    passing = any(file.answer.status == StoreStatus.OUT_OF_RESOURCES for file in files)
    later = success is StoreSuccess.NONE and passing
    return Response(
        to_xml(response) if media_type == media.XML else one_to_json(response),
        503 if later else _STATUS[success],
        _RETRY if later else None,
        media_type,
    )
