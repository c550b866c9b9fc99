"""Watching a study on its way, and finding out who holds it up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.errors import RetryableError, SelfTestBrokenError
from dibmg_node.machine.processes import is_alive, process_name
from dibmg_node.selftest.stop import Stop
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import is_silent
from dibmg_node.tasks import CeleryPublisher, open_queue
from dibmg_node.wiring import foundation

_LOOK_SECONDS: Final = 0.1

Study = Mapping[str, Any]
"""As `Views.study` has it."""


@dataclass(frozen=True)
class Watch:
    """Waits for a study, until its patience is over.

    Attributes:
        deadline: `time.monotonic` at which it is.
        stop: What may end it before.
    """

    settings: Settings
    ledger: Ledger
    study_uid: str
    deadline: float
    stop: Stop

    def until(self, holds: Callable[[Study], bool], role: str) -> Study:
        """The study as soon as something holds of it.

        Args:
            holds: What is waited for.
            role: The process whose work it is.

        Raises:
            SelfTestBrokenError: It did not come to hold; the message says who holds it up.
            SystemExit: It is to be stopped.
        """
        while True:
            self.stop.check()
            study = self.ledger.views.study(self.study_uid)
            if study is not None and holds(study):
                return study
            if time.monotonic() >= self.deadline:
                state = study["state"] if study else "not in the ledger"
                raise SelfTestBrokenError(f"the study stays {state}", self._remedy(role))
            time.sleep(_LOOK_SECONDS)

    def _remedy(self, role: str) -> str:
        log = foundation.log_folder(self.settings) / f"{role}.log"
        node = self.settings.node_name
        name = process_name(role, node)
        beat = next((one for one in self.ledger.views.beats() if one.process == name), None)
        if beat is None or is_alive(name, beat.pid, node) is False:
            return f"the process {role} does not run: see {log}, and restart the node"
        if is_silent(beat.at, foundation.now()):
            return f"the process {role} (pid {beat.pid}) hangs: end it, the node starts it again"
        settings = self.settings
        queue = open_queue(
            settings.broker_url, settings.model.deadline_seconds, foundation.broker_tls(settings)
        )
        try:
            analyses, deliveries = CeleryPublisher(queue).waiting()
        except RetryableError as error:
            return f"{error}: see broker.url, and {foundation.log_folder(settings) / 'broker.log'}"
        waiting = {"analysis": sum(analyses.values()), "delivery": deliveries}.get(role, 0)
        queued = f"{waiting} messages wait for the process {role}" if waiting else f"{role} is behind"
        return f"{queued}: see {log}, or give the test more time with --timeout"
