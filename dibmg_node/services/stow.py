"""STOW-RS as a client: the results of a study in one request, or a few, and what is answered to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from secrets import token_hex
from typing import Final

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import decompressed
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Credentials
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.delivery import Parcel, passing
from dibmg_node.services.exchange import Answer, Request
from dibmg_node.services.multipart import Multipart
from dibmg_node.services.outcomes import (
    PROCESSING_FAILURE,
    SYNTAX_NOT_SUPPORTED,
    meaning_of,
    outcome_of_failure,
    outcome_of_http,
)
from dibmg_node.services.stow_answer import (
    ACCEPT,
    AnswerUnreadableError,
    NoStoreAnswerError,
    StoreAnswer,
    read_answer,
)
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.web_service import WebService, told_of
from dibmg_node.storage.settlement import Settlement

REQUEST_SECONDS: Final = 240.0
"""Of one request, its token included, beside the time that its bytes may take."""
SLOWEST: Final = 20_000.0
"""Bytes a second: who takes less is no place for pictures."""
LARGEST_REQUEST: Final = 32 << 20
"""Bytes of results in one request; one that is larger goes alone."""
MOST_RESULTS: Final = 100
"""Results in one request."""
ECHO_SECONDS: Final = 30.0
_NO_STUDY: Final = "2.25.0"
"""No study has this UID: a query for it finds nothing anywhere."""
_ANSWERS_READ: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})
_NOT_TAKEN: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)
"""Of these answers it is known that nothing was stored; of others that may pass (500, 502, 504) it is not."""
_REQUEST_REFUSED: Final = frozenset({"400", "413", "415"})
"""Of a whole request, which one of its results may have spoiled: malformed, too large, of a wrong type."""


@dataclass(frozen=True)
class StowSender:
    """A destination that takes STOW-RS.

    Attributes:
        url: Root of its DICOMweb service, without a slash at the end.
        now: The time, for tokens and Retry-After.
        seconds: A request takes no longer, beside the time for its bytes.
        slowest: Bytes a second that it may be sent with at least.
        largest_request: Bytes of results in one request.
    """

    url: str
    credentials: Credentials
    tls: TlsFiles
    now: Callable[[], datetime]
    seconds: float = REQUEST_SECONDS
    slowest: float = SLOWEST
    largest_request: int = LARGEST_REQUEST

    def send(self, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        """Send results in one request, or in several one after the other where they are large.

        What the server does not take now keeps back what comes after it: a report goes out after the images
        that it speaks of. Where the server refuses a request as a whole, each result goes once more alone:
        one too many, or one that it cannot read, must not keep the others away. What it refuses for its
        compression goes once more without.

        Raises:
            PeerUnavailableError: No connection, no answer, or it broke.
            PeerRefusedError: The token server refuses us.
        """
        settlements: list[Settlement] = []
        for batch in self._batches(parcels):
            waiting = next((one for one in settlements if one.state is DeliveryState.OWED), None)
            if waiting is not None:
                told, wait = waiting.comment, waiting.retry_after
                settlements += [_settlement_of(one, DeliveryState.OWED, told, wait) for one in batch]
            elif settlements:
                settlements += self._second_tries(batch, self._store_again(batch))
            else:
                settlements += self._second_tries(batch, self._store(batch))
        return settlements

    def echo(self) -> None:
        """Ask for a study that nobody has: harmless, and answered only to whom the server knows.

        Raises:
            PeerUnavailableError: There was no answer, or one that may pass.
            PeerRefusedError: We are not authorized, or there is no such service.
        """
        with Deadline(min(self.seconds, ECHO_SECONDS)) as deadline:
            query = f"{self.url}/studies?StudyInstanceUID={_NO_STUDY}&limit=1"
            answer = self._ask(Request("GET", query, {"Accept": "application/dicom+json"}), deadline)
        told = f"{self.who}: {told_of(answer)}"
        # a server that stores but does not search knows the place, not the method
        if answer.status // 100 == 2 or answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            return
        if outcome_of_http(answer.status) is DeliveryState.OWED:
            raise PeerUnavailableError(told, answer.retry_after)
        raise PeerRefusedError(told)

    @property
    def who(self) -> str:
        """The peer in words: its URL."""
        return self.url

    def _batches(self, parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
        """Results by request, in their order."""
        batch: list[Parcel] = []
        for parcel in parcels:
            size = sum(len(one.content) for one in batch) + len(parcel.content)
            if batch and (size > self.largest_request or len(batch) == MOST_RESULTS):
                yield batch
                batch = []
            batch.append(parcel)
        if batch:
            yield batch

    def _second_tries(self, parcels: Sequence[Parcel], settlements: list[Settlement]) -> list[Settlement]:
        """Send alone what may have suffered from its neighbors, and plain what was refused compressed."""
        if len(parcels) > 1 and all(one.status in _REQUEST_REFUSED for one in settlements):
            settlements = [one for parcel in parcels for one in self._store_again([parcel])]
        plain = [
            replace(parcel, content=decompressed(parcel.content), transfer_syntax_uid=facts.EXPLICIT_LE)
            for parcel, settled in zip(parcels, settlements, strict=True)
            if parcel.transfer_syntax_uid != facts.EXPLICIT_LE and _refuses_syntax(settled)
        ]
        again = {one.sop_uid: one for batch in self._batches(plain) for one in self._store_again(batch)}
        return [again.get(one.sop_uid, one) for one in settlements]

    def _store(self, parcels: Sequence[Parcel]) -> list[Settlement]:
        body = Multipart([parcel.content for parcel in parcels], token_hex(16))
        headers = {"Content-Type": body.content_type, "Accept": ACCEPT}
        request = Request("POST", f"{self.url}/studies", headers, body, body.length)
        with Deadline(self.seconds + body.length / self.slowest) as deadline:
            return settle(parcels, self._ask(request, deadline))

    def _store_again(self, parcels: Sequence[Parcel]) -> list[Settlement]:
        """Store what a second or later request holds: what an earlier one has settled stays so."""
        try:
            return self._store(parcels)
        except PeerUnavailableError as error:
            return [passing(one.sop_uid, error) for one in parcels]
        except PeerRefusedError as error:
            return [_settlement_of(one, DeliveryState.REFUSED, str(error)) for one in parcels]

    def _ask(self, request: Request, deadline: Deadline) -> Answer:
        return WebService(self.url, self.credentials, self.tls, self.now).ask(request, deadline)


def _settlement_of(
    parcel: Parcel, state: DeliveryState, told: str, wait: timedelta | None = None
) -> Settlement:
    """Of a result that no answer was given to."""
    return Settlement(parcel.sop_uid, state, "", told, wait)


def settle(parcels: Sequence[Parcel], answer: Answer) -> list[Settlement]:
    """What an answer says of each result.

    A result that it names is settled by its own reason, one that it does not name by the HTTP status. The
    server's own words are left out: they may quote the patient.

    Source: PS3.18 10.5.3, I.2.
    """
    outcome, told = outcome_of_http(answer.status), told_of(answer)
    named = StoreAnswer()
    if answer.status in _ANSWERS_READ:
        try:
            if answer.body is None:
                raise AnswerUnreadableError("too long")
            named = read_answer(answer.content_type, answer.body)
        except AnswerUnreadableError as error:
            # what it stored is not known: what comes a second time counts as stored
            if outcome is not DeliveryState.REFUSED:
                outcome = DeliveryState.OWED
            told = f"{told}; the answer cannot be read: {error}"
        except NoStoreAnswerError as error:
            outcome, told = DeliveryState.REFUSED, f"{told}, but not by a STOW-RS service: {error}"
    if named.stored and outcome is DeliveryState.STORED:
        # who names what was stored, and not this: it comes again, and counts as stored as a duplicate
        outcome, told = DeliveryState.OWED, f"{told}; the answer names other results, not this one"
    default = _default(outcome, told, answer, named)
    return [_settle_one(parcel.sop_uid, answer, named, default) for parcel in parcels]


def _default(outcome: DeliveryState, told: str, answer: Answer, named: StoreAnswer) -> Settlement:
    """What becomes of a result that the answer does not name."""
    if named.other_failures and outcome is not DeliveryState.REFUSED:
        (reason, *_) = named.other_failures
        return _failed("", answer, reason)
    if outcome is DeliveryState.STORED:
        told = "stored by the status alone: the answer does not name it"
    settlement = _settlement("", outcome, answer, str(answer.status), told)
    unknown = outcome is DeliveryState.OWED and answer.status not in _NOT_TAKEN
    return replace(settlement, in_doubt=unknown)


def _settle_one(sop_uid: str, answer: Answer, named: StoreAnswer, default: Settlement) -> Settlement:
    if sop_uid in named.failed:
        return _failed(sop_uid, answer, named.failed[sop_uid])
    if sop_uid in named.stored:
        warning = named.stored[sop_uid]
        if warning is None:
            return Settlement(sop_uid, DeliveryState.STORED, str(answer.status), "")
        return Settlement(sop_uid, DeliveryState.STORED, _both(answer, warning), meaning_of(warning))
    return replace(default, sop_uid=sop_uid)


def _failed(sop_uid: str, answer: Answer, reason: int | None) -> Settlement:
    if reason is None:
        told = "not stored, without a reason"
        return Settlement(sop_uid, DeliveryState.REFUSED, str(answer.status), told)
    outcome = outcome_of_failure(reason)
    # a 409 is for good; a failure that says no more than that it is one does not change that
    if answer.status == HTTPStatus.CONFLICT and reason == PROCESSING_FAILURE:
        outcome = DeliveryState.REFUSED
    return _settlement(sop_uid, outcome, answer, _both(answer, reason), meaning_of(reason))


def _settlement(sop_uid: str, outcome: DeliveryState, answer: Answer, status: str, told: str) -> Settlement:
    wait = answer.retry_after if outcome is DeliveryState.OWED else None
    return Settlement(sop_uid, outcome, status, told, wait)


def _both(answer: Answer, reason: int) -> str:
    return f"{answer.status} 0x{reason:04X}"


def _refuses_syntax(one: Settlement) -> bool:
    wrong_type = str(HTTPStatus.UNSUPPORTED_MEDIA_TYPE.value)
    return one.status == wrong_type or one.status.endswith(f"0x{SYNTAX_NOT_SUPPORTED:04X}")
