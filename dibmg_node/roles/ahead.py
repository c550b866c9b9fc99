"""What the role `analysis` does while it has no exam: it looks at what arrives, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError
from dibmg_node.machine.latch import Latch
from dibmg_node.machine.nudge import Nudges
from dibmg_node.services.ahead import LookAhead
from dibmg_node.services.analysis import Analyst
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.analyzing import make_look_ahead

_log = logging.getLogger(__name__)

_SETTLE_SECONDS: Final = 0.4
"""After a nudge: an exam that came in one burst is whole by then, its views best decoded together."""
_SOON_SECONDS: Final = 0.3
"""After a look that found the model at work."""
_QUIET_SECONDS: Final = 3600.0
"""Without a nudge there is nothing new: an idle node costs nothing."""


@contextmanager
def looking_ahead(settings: Settings, ledger: Ledger, analyst: Analyst) -> Iterator[None]:
    """Have images made ready while others of their study arrive, until the block ends."""
    ending = Latch()
    ahead = make_look_ahead(settings, ledger, analyst, ending.is_set)
    nudges = Nudges(foundation.ahead_nudge(settings))
    thread = threading.Thread(target=_look, args=(ahead, nudges, ending), name="ahead", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _look(ahead: LookAhead, nudges: Nudges, ending: Latch) -> None:
    seconds = 0.0  # what came while the model was loading nudged nobody
    while not nudges.wait(ending, seconds) and not ending.wait(_SETTLE_SECONDS):
        try:
            seconds = _SOON_SECONDS if ahead.look() else _QUIET_SECONDS
        except RetryableError as error:
            _log.warning("arriving images not looked at", extra={"reason": str(error)})
            seconds = _QUIET_SECONDS
        # the thread must not end: the kernel would end a child that it started, in whatever order it is
        except Exception as error:  # noqa: BLE001
            _log.error("unexpected error in a look ahead", exc_info=error)
            seconds = _QUIET_SECONDS
