"""Alarms by webhook: one JSON object, posted over HTTPS."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dibmg_node.domain.alarm import AlarmMessage
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.alarm_watch import SEND_SECONDS
from dibmg_node.services.credentials import Credentials
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Request, exchange
from dibmg_node.services.outcomes import outcome_of_http
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.web_service import told_of


@dataclass(frozen=True)
class Webhook:
    """A URL that takes alarms; satisfies `alarm_watch.Channel`.

    Attributes:
        url: Read for every message: its path may be the secret.
        now: The time, for a Retry-After.
    """

    url: Callable[[], str]
    credentials: Credentials
    tls: TlsFiles
    now: Callable[[], datetime]
    seconds: float = SEND_SECONDS

    def tell(self, message: AlarmMessage) -> None:
        """Post it; any 2xx says that it has arrived. As `Channel` has it."""
        content = json.dumps(content_of(message)).encode()
        with Deadline(self.seconds) as deadline:
            headers = {"Content-Type": "application/json", "Idempotency-Key": message.uid}
            word = self.credentials.authorization(deadline, self.now())
            if word:
                headers["Authorization"] = word
            request = Request("POST", self.url(), headers, (content,), len(content))
            answer = exchange(request, self.tls, deadline, self.now())
        if answer.status // 100 == 2:
            return
        if outcome_of_http(answer.status) is DeliveryState.OWED:
            raise PeerUnavailableError(told_of(answer), answer.retry_after)
        raise PeerRefusedError(told_of(answer))


def content_of(message: AlarmMessage) -> dict[str, str]:
    """What is posted; `text` is what chats show."""
    return {
        "id": message.uid,
        "event": message.event.value,
        "alarm": message.key,
        "subject": message.subject,
        "sentence": message.sentence,
        "since": message.since.isoformat(),
        "at": message.at.isoformat(),
        "node": message.node,
        "text": f"{message.node}: {message.title}: {message.sentence}",
    }
