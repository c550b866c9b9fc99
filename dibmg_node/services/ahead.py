"""Looking ahead: while images of a study arrive, the model's process makes ready those that are there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from dibmg_node.domain.exam import select_exam
from dibmg_node.domain.policy import ExamMinimum, ExamPolicy
from dibmg_node.domain.study import Instance
from dibmg_node.errors import DibmgError
from dibmg_node.services.images import Shown, StudyFiles
from dibmg_node.services.orders import AheadOrder, Answered, Asked, Ready, Report
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.arriving import Arrivals, Arriving

_log = logging.getLogger(__name__)

_IMAGE_SECONDS: Final = 10.0
"""What takes longer is ended: it is an image's analysis that may take its time."""
_PATIENCE: Final = timedelta(seconds=10)
"""After its last image a study makes room for another: the model's process holds the images of one."""
_REST: Final = timedelta(minutes=5)
"""After a look that failed: where it ended the model's process, loading it took more than looks save."""


@dataclass
class LookAhead:
    """One worker's looks. Nothing depends on them: whatever is not ready is made so by the analysis.

    Between two images the model is free for an analysis; one that is more urgent waits for one image.

    Attributes:
        is_alone: No other worker analyzes: what is made ready here would be of no use to it.
        is_ending: This process was told to end.
    """

    arrivals: Arrivals
    archive: Archive
    sandbox: Sandbox[Asked, Answered]
    policy: ExamPolicy
    shown: Shown
    now: Callable[[], datetime]
    is_alone: Callable[[], bool]
    is_ending: Callable[[], bool] = lambda: False
    _study_uid: str = ""
    _ready: frozenset[str] = field(default_factory=frozenset)
    _turn: int = -1
    _kept_until: datetime | None = None
    _resting_until: datetime | None = None

    def look(self) -> bool:
        """Make ready what has come of one study.

        Returns:
            Whether to look again soon, nudged or not: the model was at work.

        Raises:
            RetryableError: The ledger cannot be asked.
        """
        if self._resting_until and self.now() < self._resting_until:
            return False
        if not self.sandbox.is_free:
            return True
        if not self.is_alone():
            return False
        kept = self._kept_until is not None and self.now() < self._kept_until
        arriving = self.arrivals.latest(self._study_uid if kept else "")
        return arriving is not None and not self._make_ready(arriving)

    def _make_ready(self, arriving: Arriving) -> bool:
        """Whether every view is ready, or never will be; False: the model is at work."""
        study = arriving.study
        # whether the exam will be read at all, nobody knows yet
        any_view = replace(self.policy, minimum=ExamMinimum.ONE_VIEW)
        exam = select_exam(study.study_uid, study.instances, any_view, today=self.now().date()).exam
        views = tuple(exam.views.values()) if exam else ()
        for image in views:
            if self.is_ending():
                return True
            if image.sop_uid in self._still_ready(study.study_uid):
                continue
            try:
                ready = self._ask(arriving, image, views)
            except (DibmgError, OSError) as error:
                self._rest(study.study_uid, image, error)
                return True
            if ready is None:
                return False
            self._study_uid, self._ready, self._turn = study.study_uid, ready.sop_uids, self.sandbox.turn
            self._kept_until = self.now() + _PATIENCE
            facts = {"study_uid": study.study_uid, "sop_uid": image.sop_uid, "views": len(ready.sop_uids)}
            _log.debug("image made ready ahead", extra=facts)
        return True

    def _still_ready(self, study_uid: str) -> frozenset[str]:
        """What the model's process holds of a study: it has none of it after any other order."""
        same = (self._study_uid, self._turn) == (study_uid, self.sandbox.turn)
        return self._ready if same else frozenset()

    def _ask(self, arriving: Arriving, image: Instance, views: tuple[Instance, ...]) -> Ready | None:
        paths = {image.sop_uid: self.archive.instance(image.sop_uid)}
        files = StudyFiles(arriving.study, paths, arriving.checksums)
        order = AheadOrder(files, image, frozenset(one.sop_uid for one in views), self.shown)
        ready = self.sandbox.run_if_free(order, _no_tick, _IMAGE_SECONDS)
        assert not isinstance(ready, Report)
        return ready

    def _rest(self, study_uid: str, image: Instance, error: DibmgError | OSError) -> None:
        self._resting_until = self.now() + _REST
        told = f"disk: {error.strerror}" if isinstance(error, OSError) else str(error)
        facts = {"study_uid": study_uid, "sop_uid": image.sop_uid, "reason": told}
        _log.warning("image not made ready ahead; its analysis decides", extra=facts)


def _no_tick() -> None:
    """Nobody's claim has to be renewed, and a process that ends waits for one image."""
