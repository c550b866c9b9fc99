"""Alarms: conditions of the node that a person should know of, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class AlarmKey(StrEnum):
    """What an alarm is about."""

    WAITING = "waiting"
    DELIVERY = "delivery"
    REFUSED = "refused"
    DISK = "disk"
    QUARANTINE = "quarantine"
    CERTIFICATE = "certificate"
    FAILED = "failed"
    AUDIT = "audit"
    PROCESS = "process"
    SELFTEST = "selftest"
    DRIFT = "drift"


OVER_AT_ONCE: Final = frozenset({AlarmKey.SELFTEST})
"""What is over as soon as it does not hold: that is no coming and going, a later test has passed."""


class AlarmEvent(StrEnum):
    """What is told: that an alarm began, that it ended, or that the way to a person works."""

    BEGAN = "began"
    ENDED = "ended"
    TEST = "test"


@dataclass(frozen=True)
class Condition:
    """Something that holds now and should not.

    Attributes:
        subject: Which one of its kind: a destination, a process, a certificate; empty for the node itself.
            With the key it says which condition this is, so nothing in it changes while it holds.
        sentence: What is wrong, in words that name no patient.
    """

    key: AlarmKey
    subject: str
    sentence: str


@dataclass(frozen=True)
class AlarmMessage:
    """What a channel is to tell.

    Attributes:
        uid: The same for every attempt to tell it: who got it twice can see that.
        since: When the condition was first seen.
        at: When the alarm began or ended.
        node: Who tells it.
    """

    uid: str
    event: AlarmEvent
    key: str
    subject: str
    sentence: str
    since: datetime
    at: datetime
    node: str

    @property
    def title(self) -> str:
        """One line."""
        if self.event is AlarmEvent.TEST:
            return "test message, no alarm"
        begins = "alarm" if self.event is AlarmEvent.BEGAN else "alarm over"
        return " ".join(f"{begins}: {self.key} {self.subject}".split())
