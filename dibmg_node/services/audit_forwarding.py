"""The audit trail passed on to a syslog receiver. The trail is the queue: none waits, none is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, Final, Protocol

from dibmg_node.errors import RetryableError
from dibmg_node.services.audit_message import audit_message
from dibmg_node.services.syslog import SyslogMessage
from dibmg_node.storage.trail_reading import Bookmark, load_bookmark, read_on, save_bookmark, still_holds

_log = logging.getLogger(__name__)

BATCH: Final = 500
LOOK_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Receiver(Protocol):
    """Where messages go."""

    def send(self, messages: Iterable[SyslogMessage]) -> None:
        """Send messages.

        Raises:
            PeerUnavailableError: Send everything again.
        """


@dataclass(frozen=True)
class Forwarder:
    """Sends what the trail has gained, each line at least once.

    Attributes:
        folder: Of the trail.
        bookmark: File that tells how far it was sent.
        now: The time.
    """

    folder: Path
    bookmark: Path
    receiver: Receiver
    now: Callable[[], datetime]

    def run(self, stopping: Event) -> None:
        """Go on until told to stop; a receiver that does not answer is asked again less and less often."""
        pause = LOOK_SECONDS
        while not stopping.wait(pause):
            try:
                while self.forward() and not stopping.is_set():
                    pass
                pause = LOOK_SECONDS
            except (RetryableError, OSError) as error:
                reason = str(error) if isinstance(error, RetryableError) else f"disk: {error.strerror}"
                if pause == LOOK_SECONDS:
                    _log.warning("audit not passed on", extra={"reason": reason})
                pause = min(2 * pause, _LONGEST_PAUSE)
            # a trail or bookmark that was tampered with: the thread has to be there when it is mended
            except Exception as error:  # noqa: BLE001
                _log.error("audit not passed on", extra={"error": type(error).__name__})
                pause = min(2 * pause, _LONGEST_PAUSE)

    def forward(self) -> bool:
        """Send the next lines; whether there were any.

        Where the trail does not hold any more what was sent last, all that it has is sent: what is new in it
        cannot be told from what is not.

        Raises:
            PeerUnavailableError: The receiver did not take them.
            OSError: The trail cannot be read, or the bookmark not be written.
        """
        at = load_bookmark(self.bookmark)
        if not still_holds(self.folder, at):
            _log.error("audit trail ends before what was passed on", extra={"seq": at.seq})
            at = Bookmark(cut_at=self.now().isoformat(timespec="seconds"))
            save_bookmark(self.bookmark, at)
        lines, end = read_on(self.folder, at, BATCH)
        if not lines:
            return False
        try:
            self.receiver.send([one for one in map(_message, lines) if one])
        except RetryableError as error:
            if at.error != str(error):
                save_bookmark(self.bookmark, replace(at, error=str(error)))
            raise
        save_bookmark(self.bookmark, end)
        return True


def _message(line: Mapping[str, Any]) -> SyslogMessage | None:
    """A line as a message; None for one that somebody has damaged, which must not hold up the others."""
    try:
        return SyslogMessage(audit_message(line), int(line["outcome"]), str(line["at"]), int(line["seq"]))
    except (LookupError, TypeError, ValueError, AttributeError):
        _log.error("audit line cannot be passed on", extra={"seq": line.get("seq")})
        return None


def backlog(folder: Path, bookmark: Bookmark) -> str:
    """Time of the oldest line that was not sent yet; empty where all were."""
    lines, _ = read_on(folder, bookmark, 1)
    return str(lines[0]["at"]) if lines else ""
