"""Purge: what is delivered, and proven where that is asked, makes room for what comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from dibmg_node.dicom.header import read_header
from dibmg_node.errors import InstanceRejectedError, LedgerConflictError
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.purges import Purgeable, Purges

_log = logging.getLogger(__name__)

BATCH: Final = 200
"""Studies of one run at most; the next one goes on."""


@dataclass(frozen=True)
class PurgePolicy:
    """When studies go.

    Attributes:
        high_water: Share of the disk in use, 0..1, above which studies go until it is reached again.
        keep: Nothing goes by high water whose last image is younger.
        after: Studies whose last image is older go in any case; None: not by age.
    """

    high_water: float
    keep: timedelta
    after: timedelta | None


@dataclass(frozen=True)
class Doomed:
    """A study that goes, and why."""

    study: Purgeable
    reason: str


@dataclass(frozen=True)
class Purge:
    """Frees the archive of studies that are read and answered, the oldest first."""

    archive: Archive
    purges: Purges
    policy: PurgePolicy
    now: Callable[[], datetime]
    audit: Auditor = SILENT

    def plan(self) -> Sequence[Doomed]:
        """What would go now."""
        now, policy = self.now(), self.policy
        doomed: list[Doomed] = []
        if policy.after is not None:
            doomed = [Doomed(one, "age") for one in self.purges.oldest(now - policy.after, BATCH)]
        too_much = self.used_bytes() - int(policy.high_water * self.archive.total_bytes())
        too_much -= sum(one.study.size for one in doomed)
        known = {one.study.study_uid for one in doomed}
        if too_much > 0:
            for one in self.purges.oldest(now - policy.keep, BATCH):
                if too_much <= 0:
                    break
                if one.study_uid not in known:
                    doomed.append(Doomed(one, "high water"))
                    too_much -= one.size
        return doomed

    def run(self) -> Sequence[Doomed]:
        """Purge what `plan` names; what went.

        Raises:
            OSError: An archive that is far does not answer.
        """
        gone = []
        for one in self.plan():
            study_uid = one.study.study_uid
            # a storage that is away must not be waited for while the ledger is locked
            if self.archive.is_far:
                self.archive.identity()
            patient = self._patient(study_uid)
            try:
                freed = self.purges.purge(study_uid, self.now(), self.archive.remove)
            except LedgerConflictError:
                continue
            # one file that cannot be removed must not keep all that are younger
            except OSError as error:
                _log.error("study not purged", extra={"study_uid": study_uid, "reason": error.strerror})
                continue
            if freed is not None:
                extra = {"study_uid": study_uid, "bytes": freed, "reason": one.reason}
                _log.info("study purged", extra=extra)
                self.audit.deleted(study_uid, one.reason, patient)
                gone.append(one)
        return gone

    def _patient(self, study_uid: str) -> str:
        """The pseudonym of the patient of the first file that can be read; empty where none can be."""
        instance_uids, result_uids = self.purges.held(study_uid)
        files = [partial(self.archive.instance, uid) for uid in instance_uids]
        files += [partial(self.archive.result, uid) for uid in result_uids]
        for bring in files:
            try:
                with bring().open("rb") as file:
                    return self.audit.patient(read_header(file))
            except (OSError, InstanceRejectedError):
                continue
        return ""

    def used_bytes(self) -> int:
        """Bytes of the file system that are in use."""
        return self.archive.total_bytes() - self.archive.free_bytes()
