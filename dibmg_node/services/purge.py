"""Purge: what is delivered, and proven where that is asked, makes room for what comes."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from dibmg_node.dicom.header import read_received_header
from dibmg_node.errors import InstanceRejectedError, LedgerConflictError, StorageFullError
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.holds import Hold
from dibmg_node.storage.purges import Purgeable, Purges

_log = logging.getLogger(__name__)

BATCH: Final = 200
"""Studies of one run at most; the next one goes on."""
MOST_STUCK: Final = 10
"""Purged studies with files that cannot be removed, at which no other study is purged."""


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
    """Frees the archive of studies that are read and answered, the oldest first.

    Attributes:
        hold: Of a file that goes; None: the archive's own.
    """

    archive: Archive
    purges: Purges
    policy: PurgePolicy
    now: Callable[[], datetime]
    audit: Auditor = SILENT
    hold: Hold | None = None

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
        """Remove what earlier runs left, and purge what `plan` names; what was purged.

        The ledger enters a purge before the files go: it is not locked while an archive that is far removes
        them, and a run that is broken off leaves in it what the next one removes.

        Raises:
            OSError: The archive does not answer, or another one is in its place.
        """
        self._check_archive()
        stuck = 0
        for study_uid in self.purges.removals.studies():
            stuck += not self._remove(study_uid)
        gone: list[Doomed] = []
        for one in self.plan():
            # nothing would be gained by what cannot be removed
            if stuck >= MOST_STUCK:
                _log.error("nothing more is purged: files cannot be removed", extra={"studies": stuck})
                break
            study_uid = one.study.study_uid
            self._check_archive()
            patient = self._patient(study_uid)
            try:
                size = self.purges.purge(study_uid, self.now())
            except LedgerConflictError:
                continue
            if size is not None:
                _log.info("study purged", extra={"study_uid": study_uid, "bytes": size, "reason": one.reason})
                self.audit.deleted(study_uid, one.reason, patient)
                gone.append(one)
                stuck += not self._remove(study_uid)
        return gone

    def _check_archive(self) -> None:
        """Whether the archive is there, once and not for every file.

        A share that is not mounted is an empty folder, in which every file counts as removed; a storage that
        is far may not answer.
        """
        found, expected = self.archive.identity(), self.purges.archive()
        if expected is not None and found != expected:
            told = "not the archive of the ledger: is it mounted?"
            raise FileNotFoundError(errno.ENOENT, told, self.archive.marker)

    def _remove(self, study_uid: str) -> bool:
        """Remove the files of a study that are to go; whether none is left."""
        hold, removals = self.hold or self.archive.held, self.purges.removals
        going = removals.of(study_uid)
        done = []
        for one in going:
            try:
                with hold(one.sop_uid):
                    if removals.stands(one):
                        self.archive.remove(*(([], [one.sop_uid]) if one.is_result else ([one.sop_uid], [])))
            # one file that cannot be removed must not keep the others
            except (OSError, StorageFullError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                extra = {"study_uid": study_uid, "sop_uid": one.sop_uid, "reason": reason}
                _log.error("purged file not removed", extra=extra)
            else:
                done.append(one)
        self._check_archive()
        removals.end(done)
        return len(done) == len(going)

    def _patient(self, study_uid: str) -> str:
        """The pseudonym of the patient of the first file that can be read; empty where none can be."""
        instance_uids, result_uids = self.purges.held(study_uid)
        files = [partial(self.archive.instance, uid) for uid in instance_uids]
        files += [partial(self.archive.result, uid) for uid in result_uids]
        for bring in files:
            try:
                with bring().open("rb") as file:
                    return self.audit.patient(read_received_header(file))
            except (OSError, InstanceRejectedError):
                continue
        return ""

    def used_bytes(self) -> int:
        """Bytes of the file system that are in use."""
        return self.archive.total_bytes() - self.archive.free_bytes()
