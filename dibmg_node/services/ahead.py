"""Looking ahead: while images of a study arrive, the model's process makes ready those that are there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.errors import DibmgError
from dibmg_node.services.images import Shown, StudyFiles
from dibmg_node.services.orders import Ahead, AheadOrder
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.arriving import Arrivals, Arriving

_log = logging.getLogger(__name__)

_LONGEST_SECONDS: Final = 10.0
"""Of one look: an analysis waits for no more, and its lease is longer."""
_PATIENCE: Final = timedelta(seconds=10)
"""After its last image a study makes room for another: the model's process holds the images of one."""


@dataclass
class LookAhead:
    """One worker's looks. Nothing depends on them: whatever is not ready is made so by the analysis.

    An image that breaks the model's process here breaks no analysis, and is left to its own.

    Attributes:
        sandbox: Carries out `AheadOrder`.
        is_alone: No other worker analyzes: what is made ready here would be of no use to it.
        is_ending: This process was told to end.
    """

    arrivals: Arrivals
    archive: Archive
    sandbox: Sandbox[Any, Any]
    policy: ExamPolicy
    shown: Shown
    now: Callable[[], datetime]
    is_alone: Callable[[], bool]
    is_ending: Callable[[], bool] = lambda: False
    _study_uid: str = ""
    _broken: str = ""
    _seen: set[str] = field(default_factory=set)
    _until: datetime | None = None

    def look(self) -> bool:
        """Make ready what has come of one study.

        Returns:
            Whether to look again soon, nudged or not: the model was at work.

        Raises:
            RetryableError: The ledger cannot be asked.
        """
        arriving = self.arrivals.latest(self._in_hand())
        if arriving is None or not self.is_alone():
            return False
        if arriving.study.study_uid != self._study_uid:
            self._study_uid, self._seen = arriving.study.study_uid, set()
        uids = {instance.sop_uid for instance in arriving.study.instances}
        if uids <= self._seen or self._study_uid == self._broken:
            return False
        if not self._make_ready(arriving):
            return True
        self._seen, self._until = uids, self.now() + _PATIENCE
        return False

    def _in_hand(self) -> str:
        """The study that goes before others, lest two that come at once push each other out."""
        return self._study_uid if self._until and self.now() < self._until else ""

    def _make_ready(self, arriving: Arriving) -> bool:
        """Whether that was tried; False: the model is at work."""
        study = arriving.study
        extra = {"study_uid": study.study_uid, "instances": len(study.instances)}
        try:
            paths = {one.sop_uid: self.archive.instance(one.sop_uid) for one in study.instances}
            order = AheadOrder(StudyFiles(study, paths, arriving.checksums), self.policy, self.shown)
            ahead: Ahead | None = self.sandbox.run_if_free(order, self._tick, _LONGEST_SECONDS)
        except (DibmgError, OSError) as error:
            told = (isinstance(error, OSError) and error.strerror) or str(error)
            _log.info("images not made ready ahead; their analysis decides", extra={**extra, "reason": told})
            self._broken = study.study_uid
            return True
        if ahead is None:
            return False
        _log.debug("images made ready ahead", extra={**extra, "views": ahead.images})
        return True

    def _tick(self) -> None:
        if self.is_ending():
            raise InterruptedError("told to end")
