"""Inspection at every start: archive and ledger say the same, or somebody hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dibmg_node.dicom.header import instance_of, read_received_header
from dibmg_node.dicom.part10 import LONGEST_META, data_set_offset
from dibmg_node.dicom.search_keys import search_keys
from dibmg_node.domain.selftest import is_selftest_uid
from dibmg_node.domain.study import Instance
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.checksum import crc32
from dibmg_node.storage.holdings import Holdings
from dibmg_node.storage.holds import Hold
from dibmg_node.storage.receipts import Patience, Receipt, Receipts, Received

_log = logging.getLogger(__name__)

SENDER: Final = "ARCHIVE"
"""Stands in the ledger where the AE title of a sender does that nobody knows any more."""
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True)
class Found:
    """What an inspection found.

    Attributes:
        adopted: Files without a row that have one now.
        set_aside: Files that are no instance, or have another one's name; they are in quarantine.
        missing: Rows whose file is gone.
        results: Result files without a row: left by an analysis that did not come to its end. They stay, so
            that the next analysis gives out the same bytes under the same UID.
    """

    adopted: int = 0
    set_aside: int = 0
    missing: int = 0
    results: int = 0


@dataclass(frozen=True)
class Inspection:
    """Compares archive and ledger.

    Attributes:
        hold: Of an instance that is adopted; None: the archive's own.
    """

    archive: Archive
    receipts: Receipts
    holdings: Holdings
    patience: Patience
    now: Callable[[], datetime]
    hold: Hold | None = None

    def run(self, *, alone: bool = True) -> Found:
        """Adopt files without a row, name rows without a file.

        Args:
            alone: No process of any node writes. While others do, a file without a row may be one that they
                are about to enter or to remove: those stay as they are.

        A killed intake leaves no file without a row behind its spool's repair. One that is there all the same
        was acknowledged, before the ledger was put back to an older day: it is entered, not removed.
        """
        here = self.archive.files("instances")
        unknown, missing = _compare(here, self.holdings.instances(), self.archive.instance_path)
        # a purge that was broken off goes on
        going = {path for uid in self.holdings.going() for path in self._paths_of(uid)}
        unknown = [path for path in unknown if path not in going]
        if not alone:
            # what came or went since the two lists were made is not missing
            missing = [
                (study_uid, sop_uid)
                for study_uid, sop_uid in missing
                if self.receipts.holds(sop_uid) and not self.archive.has_instance(sop_uid)
            ]
            unknown = []
        for study_uid, sop_uid in missing:
            if self.holdings.enter_missing(study_uid, sop_uid, self.now()):
                _log.error("archived file is gone", extra={"study_uid": study_uid, "sop_uid": sop_uid})
        looked = [self._adopt(path) for path in self._not_spooled(unknown)]
        adopted = [one for one in looked if one is not None]
        results, _ = _compare(
            self.archive.files("results"), self.holdings.results(), self.archive.result_path
        )
        results = [path for path in results if path not in going]
        found = Found(sum(adopted), len(adopted) - sum(adopted), len(missing), len(results))
        if found != Found():
            _log.warning("archive and ledger differed", extra=vars(found))
        return found

    def _not_spooled(self, paths: list[Path]) -> list[Path]:
        """Those that are in no spool any more: of the others the repair of that spool decides."""
        if not paths:
            return paths
        spooled = self.archive.spooled_inodes()
        decided = [path for path in paths if path.stat().st_ino not in spooled]
        if len(decided) < len(paths):
            extra = {"count": len(paths) - len(decided)}
            _log.warning("files left to the repair of their spool", extra=extra)
        return decided

    def _paths_of(self, sop_uid: str) -> tuple[Path, Path]:
        return self.archive.instance_path(sop_uid), self.archive.result_path(sop_uid)

    def _adopt(self, path: Path) -> bool | None:
        """Enter a file that nobody knows; one that is not what its name says goes into quarantine.

        Returns:
            Whether it was entered; None: it was of a self-test that the ledger, put back, does not know.
        """
        try:
            with path.open("rb") as file:
                header = read_received_header(file)
            instance = instance_of(header)
        # without a transfer syntax it is no file of this node's
        except (InstanceRejectedError, AttributeError) as error:
            return self._set_aside(path, type(error).__name__)
        if is_selftest_uid(instance.study_uid):
            path.unlink()
            return None
        if self.archive.instance_path(instance.sop_uid) != path:
            return self._set_aside(path, "the name of another instance")
        with (self.hold or self.archive.held)(instance.sop_uid):
            receipt = self._enter(path, instance, search_keys(header))
        if receipt is Receipt.DIFFERENT:
            return self._set_aside(path, "other bytes than the ledger has")
        extra = {"study_uid": instance.study_uid, "sop_uid": instance.sop_uid}
        _log.warning("file without a ledger entry entered", extra=extra)
        return True

    def _enter(self, path: Path, instance: Instance, keys: tuple[str, ...]) -> Receipt:
        size, checksum = _measure(path)
        received = Received(instance, size, checksum, SENDER, keys)
        return self.receipts.store(received, self.patience, self.now())

    def _set_aside(self, path: Path, reason: str) -> bool:
        self.archive.set_aside(path)
        _log.error("file that belongs to nothing quarantined", extra={"file": path.name, "reason": reason})
        return False


def _compare(
    unknown: dict[str, Path], entered: Iterable[tuple[str, str]], path_of: Callable[[str], Path]
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Files without a row, and rows (study, instance) without a file."""
    missing = []
    for sop_uid, study_uid in entered:
        if unknown.pop(path_of(sop_uid).stem, None) is None:
            missing.append((study_uid, sop_uid))
    return sorted(unknown.values()), missing


def _measure(path: Path) -> tuple[int, int]:
    """Size and CRC-32 of the data set in a Part 10 file."""
    with path.open("rb") as file:
        file.seek(data_set_offset(file.read(LONGEST_META)))
        size, checksum = 0, 0
        while block := file.read(_BLOCK):
            size, checksum = size + len(block), crc32(block, checksum)
    return size, checksum
