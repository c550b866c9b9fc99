"""The shadow: a second model reads what the first one has read, and nobody hears of it but the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import model_seconds
from dibmg_node.errors import DibmgError, LedgerConflictError, RetryableError
from dibmg_node.services.images import StudyFiles
from dibmg_node.services.orders import ShadowOrder
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.shadow_facts import ShadowClaim, ShadowOutcome, ShadowReading
from dibmg_node.storage.shadow_readings import ShadowReadings

_log = logging.getLogger(__name__)

LEASE: Final = timedelta(seconds=20)
"""A claim that is not renewed for this long belongs to a dead worker."""
_ATTEMPTS: Final = 2
"""A worker that ended in mid-reading may have been told to; twice at one exam is no chance."""


class _EndingError(RetryableError):
    """There is no time left for the exam in hand."""


@dataclass(frozen=True)
class Shadow:
    """One worker of the shadow model.

    Attributes:
        weights_sha256: Of its weights.
        is_ending: This process was told to end: what is in hand is given back.
    """

    archive: Archive
    readings: ShadowReadings
    sandbox: Sandbox[ShadowOrder, Mapping[str, Any]]
    policy: ExamPolicy
    weights_sha256: str
    now: Callable[[], datetime]
    is_ending: Callable[[], bool] = lambda: False

    def read_one(self) -> bool:
        """Read the exam that waits longest, once; whatever happens, no study changes its state.

        Returns:
            Whether there was one.
        """
        claim = self.readings.claim(self.now(), LEASE)
        if claim is None:
            return False
        extra: dict[str, object] = {"study_uid": claim.study.study_uid, "revision": claim.study.revision}
        try:
            found = self._read(claim)
            self.readings.commit(claim, self.weights_sha256, found, self.now())
        except _EndingError:
            self.readings.give_back(claim)
            return False
        except LedgerConflictError as error:
            _log.info("shadow dropped", extra={**extra, "reason": str(error)})
            return True
        told = {**extra, "outcome": found.outcome.value, "reason": found.reason}
        level = logging.WARNING if found.outcome is ShadowOutcome.FAILED else logging.INFO
        _log.log(level, "shadow entered", extra=told)
        return True

    def _read(self, claim: ShadowClaim) -> ShadowReading:
        if claim.attempt > _ATTEMPTS:
            return _failed("the worker ended in mid-reading")
        if not claim.study.instances:
            return _failed("the images were purged before the shadow model came to them")
        try:
            order = ShadowOrder(self._files(claim), self.policy, self.now().date())
            found = self.sandbox.run(order, lambda: self._renew(claim))
        except (LedgerConflictError, _EndingError):
            raise
        except DibmgError as error:
            return _failed(str(error))
        except OSError as error:
            return _failed(f"disk: {error.strerror}")
        if found["model"] is None:
            return ShadowReading(ShadowOutcome.EXCLUDED, found["reason"])
        return ShadowReading(
            ShadowOutcome.READ,
            score=found["scores"]["exam"],
            threshold=found["operating_point"]["threshold"],
            findings=len(found["findings"]),
            seconds=model_seconds(found["seconds"]),
            reading={name: found[name] for name in ("scores", "operating_point", "seconds")},
        )

    def _files(self, claim: ShadowClaim) -> StudyFiles:
        paths = {}
        for one in claim.study.instances:
            paths[one.sop_uid] = self.archive.instance(one.sop_uid)
            # the files of a study that come from far may take longer than the claim holds
            if self.archive.is_far:
                self._renew(claim)
        return StudyFiles(claim.study, paths, claim.checksums)

    def _renew(self, claim: ShadowClaim) -> None:
        if self.is_ending():
            raise _EndingError("this process was told to end")
        self.readings.renew(claim, self.now(), LEASE)


def _failed(reason: str) -> ShadowReading:
    return ShadowReading(ShadowOutcome.FAILED, reason)
