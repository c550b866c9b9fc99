"""A DICOMweb service of a PACS, asked as whom its credentials say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Credentials
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Answer, Request, exchange
from dibmg_node.services.outcomes import meaning_of_http, outcome_of_http
from dibmg_node.services.tls import TlsFiles

_NOT_AUTHORIZED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True)
class WebService:
    """One DICOMweb root, and how to get in.

    Attributes:
        url: Without a slash at the end.
        now: The time, for tokens and Retry-After.
    """

    url: str
    credentials: Credentials
    tls: TlsFiles
    now: Callable[[], datetime]

    def ask(self, request: Request, deadline: Deadline) -> Answer:
        """Ask as whom the credentials say; with fresh ones where the server no longer takes them.

        Args:
            request: With a body that can be taken twice, where it has one.
            deadline: Running.

        Raises:
            PeerUnavailableError: There was no whole answer, or a file of tls cannot be used.
            PeerRefusedError: The token server refuses us.
        """
        answer = self._ask_once(request, deadline)
        if answer.status == HTTPStatus.UNAUTHORIZED and self.credentials.renew():
            answer = self._ask_once(request, deadline)
        return answer

    def failure(self, answer: Answer) -> PeerUnavailableError | PeerRefusedError:
        """The error that an answer of another status than 2xx stands for."""
        told = f"{self.url}: {told_of(answer)}"
        if outcome_of_http(answer.status) is DeliveryState.OWED:
            return PeerUnavailableError(told, answer.retry_after)
        return PeerRefusedError(told)

    def _ask_once(self, request: Request, deadline: Deadline) -> Answer:
        word = self.credentials.authorization(deadline, self.now())
        headers = {**request.headers, "Authorization": word} if word else request.headers
        return exchange(replace(request, headers=headers), self.tls, deadline, self.now())


def told_of(answer: Answer) -> str:
    """The status of an answer in words."""
    words = f"answered {answer.status} {meaning_of_http(answer.status)}"
    if answer.status in _NOT_AUTHORIZED:
        return f"{words}: not authorized"
    if answer.location:
        return f"{words} to {answer.location}, which is not followed"
    return words
