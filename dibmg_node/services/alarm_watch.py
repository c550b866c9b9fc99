"""The watch over alarms: looks what holds, remembers it, and has channels tell what has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Final, Protocol

from dibmg_node.domain.alarm import AlarmMessage, Condition
from dibmg_node.errors import DibmgError, PeerUnavailableError
from dibmg_node.storage.alarms import Alarms, Damping
from dibmg_node.storage.notices import Notice, Notices

_log = logging.getLogger(__name__)

LOOK_EVERY: Final = timedelta(seconds=10)
SEND_SECONDS: Final = 30.0
"""One message takes no longer."""
_LEASE: Final = timedelta(seconds=4 * SEND_SECONDS)


class Channel(Protocol):
    """One way to a person."""

    def tell(self, message: AlarmMessage) -> None:
        """Tell one message, within `SEND_SECONDS`.

        Raises:
            PeerUnavailableError: It could not be told now.
            PeerRefusedError: The other side does not take it; a person has to see to that.
            ConfigError: Its secret is not there.
        """


@dataclass
class AlarmWatch:
    """Looks, and tells; several hosts may, and each alarm is told once.

    Attributes:
        look: What holds now.
        channels: By their name; one that hangs delays the others by `SEND_SECONDS`.
        hold: A condition holds for this long before it is told.
        clear: It is gone for this long before its end is told.
        node: Who tells.
    """

    look: Callable[[], Sequence[Condition]]
    alarms: Alarms
    notices: Notices
    channels: Mapping[str, Channel]
    hold: timedelta
    clear: timedelta
    now: Callable[[], datetime]
    node: str
    _since: datetime | None = field(default=None, init=False)
    _rests: dict[str, datetime] = field(default_factory=dict, init=False)
    """Channels that do not answer, until when none of their messages is tried."""

    def run(self, stopping: Event) -> None:
        """Watch until told to stop."""
        told = ""
        while not stopping.wait(LOOK_EVERY.total_seconds()):
            try:
                self.watch()
                told = ""
            except DibmgError as error:
                if str(error) != told:
                    _log.warning("alarms not looked at", extra={"reason": str(error)})
                told = str(error)
            # whatever it is, this thread has to be there for the next alarm
            except Exception as error:  # noqa: BLE001
                _log.error("alarms not looked at", exc_info=error)

    def watch(self) -> None:
        """Look once, and tell what is due.

        Raises:
            DibmgError: The ledger does not answer.
        """
        now = self.now()
        self._since = self._since or now
        damping = Damping(self.hold, self.clear, gap=3 * LOOK_EVERY)
        begun, ended = self.alarms.observe(self.look(), list(self.channels), now, damping, self._since)
        for one in begun:
            extra = {"key": one.key, "subject": one.subject, "sentence": one.sentence}
            _log.error("alarm", extra={**extra, "since": one.since.isoformat()})
        for one in ended:
            _log.warning("alarm over", extra={"key": one.key, "subject": one.subject})
        for name, channel in self.channels.items():
            while self._may_tell(name) and (notice := self.notices.claim(name, self.now(), _LEASE)):
                self._tell(name, channel, notice)

    def _may_tell(self, name: str) -> bool:
        return name not in self._rests or self._rests[name] <= self.now()

    def _tell(self, name: str, channel: Channel, notice: Notice) -> None:
        try:
            channel.tell(self._message(notice))
        except DibmgError as error:
            wait = error.retry_after if isinstance(error, PeerUnavailableError) else None
            due = self.notices.failed(notice, str(error), self.now(), wait)
            if isinstance(error, PeerUnavailableError):
                self._rests[name] = due
            _log.warning("alarm not told", extra={"channel": name, "reason": str(error)})
            return
        # a library's: the notice is kept for later, and the other channels are told
        except Exception as error:  # noqa: BLE001
            self.notices.failed(notice, f"unexpected {type(error).__name__}", self.now())
            _log.error("alarm not told", exc_info=error, extra={"channel": name})
            return
        self.notices.sent(notice, self.now())
        _log.info("alarm told", extra={"channel": name, "key": notice.key, "event": notice.event.value})

    def _message(self, notice: Notice) -> AlarmMessage:
        uid = f"{notice.alarm_id}-{notice.event.value}"
        words = (notice.key, notice.subject, notice.sentence)
        return AlarmMessage(uid, notice.event, *words, notice.since, notice.at, self.node)
