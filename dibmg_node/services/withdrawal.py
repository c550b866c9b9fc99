"""Withdrawal: what destinations have of a study and what no longer holds is taken back."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom.presentation import images_of
from dibmg_node.dicom.withdrawal import withdrawal
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.result import Delivered, Result, ResultKind
from dibmg_node.domain.study import Instance
from dibmg_node.errors import RetryableError
from dibmg_node.services.writing import Written, written
from dibmg_node.storage.archive import Archive

_log = logging.getLogger(__name__)

_UNTOLD: Final = "the images that it was made of are no longer what is read of this study"


@dataclass(frozen=True)
class Standing:
    """What holds of a study after an analysis.

    Attributes:
        exam: What was read; None where nothing was.
        results: Of this analysis.
        owed: Names of the destinations that get each, by its SOP Instance UID.
        reason: Why not all of the study was read; empty where it was.
    """

    instances: Sequence[Instance]
    exam: Exam | None
    results: Sequence[Result]
    owed: Mapping[str, Collection[str]]
    reason: str

    def has_successor(self, earlier: Delivered) -> bool:
        """Whether the destination of an earlier result gets one of this analysis in its place."""
        return any(
            (one.kind, one.view) == (earlier.kind, earlier.view)
            and earlier.destination in self.owed.get(one.sop_uid, ())
            for one in self.results
        )

    def lost(self, sop_uids: Collection[str]) -> frozenset[str]:
        """Those images whose view is not read any more, not even from another image."""
        read = self.exam.views if self.exam else {}
        views = {one.sop_uid: one.view_key for one in self.instances}
        return frozenset(uid for uid in sop_uids if views.get(uid) not in read)


@dataclass(frozen=True)
class Earlier:
    """The results of earlier analyses, as the archive has them.

    Attributes:
        identity: What the ledger knows the archive by; None: by nothing.
        is_last: No attempt follows at which the archive might answer.
    """

    archive: Archive
    identity: str | None
    is_last: bool

    def read(self, earlier: Delivered) -> FileDataset:
        """One of them."""
        return dcmread(self.archive.result(earlier.sop_uid))

    @contextmanager
    def passed_over_where_damaged(self, earlier: Delivered) -> Iterator[None]:
        """A result that the archive has lost, or that cannot be read, must not keep a study from its end.

        Raises:
            OSError: The archive is away, or did not answer and may at the next attempt.
            RetryableError: The same.
        """
        try:
            yield
        # pydicom tells a damaged file by any of a dozen exceptions
        except Exception as error:
            if not self._is_for_good(error):
                raise
            extra = {"sop_uid": earlier.sop_uid, "error": type(error).__name__}
            _log.error("result cannot be withdrawn", extra=extra)

    def _is_for_good(self, error: Exception) -> bool:
        if not isinstance(error, (OSError, RetryableError)):
            return True
        is_gone = isinstance(error, FileNotFoundError)
        return (is_gone or self.is_last) and self.archive.is_there(self.identity)


def withdrawals(
    delivered: Sequence[Delivered],
    standing: Standing,
    destinations: Collection[str],
    earlier: Earlier,
    now: datetime,
) -> Iterator[tuple[Written, list[str]]]:
    """What takes back results that no longer hold and that nothing of this analysis replaces.

    A presentation state is shown over its images whatever became of others: it is taken back for those
    whose view is not read any more, even where a new one is there for the rest.

    Args:
        delivered: What destinations have or are being sent, oldest first.
        standing: What holds now.
        destinations: Names of those that are configured.
        earlier: What they got.
        now: Time of the analysis.

    Yields:
        Each withdrawal, and the destinations that have what it takes back.

    Raises:
        OSError: As for `Earlier.passed_over_where_damaged`.
        RetryableError: The same.
    """
    stale: dict[tuple[str, frozenset[str]], list[Delivered]] = {}
    for one in _newest(delivered):
        if one.destination in destinations:
            with earlier.passed_over_where_damaged(one):
                lost = _lost(one, standing, earlier)
                if lost is not None:
                    stale.setdefault((one.sop_uid, lost), []).append(one)
    for (_, lost), some in stale.items():
        told: Written | None = None
        with earlier.passed_over_where_damaged(some[0]):
            told = _taken_back(some[0], earlier, standing.reason or _UNTOLD, now, lost)
        if told is not None:
            yield told, [one.destination for one in some]


def _taken_back(
    one: Delivered, earlier: Earlier, reason: str, now: datetime, lost: Collection[str]
) -> Written:
    dataset = withdrawal(earlier.read(one), one, one.kind, reason, now, lost)
    return written(dataset, one.kind, variant=one.variant, view=one.view, withdraws=one.sop_uid)


def _newest(delivered: Sequence[Delivered]) -> Iterator[Delivered]:
    """What each destination shows, as far as it was not taken back: of each place the last revision's."""
    withdrawn = {(one.destination, one.withdraws) for one in delivered if one.withdraws}
    results = [one for one in delivered if not one.withdraws]
    last = {(one.destination, one.kind, one.view): 0 for one in results}
    for one in results:
        place = (one.destination, one.kind, one.view)
        last[place] = max(last[place], one.revision)
    for one in results:
        is_last = one.revision == last[one.destination, one.kind, one.view]
        if is_last and (one.destination, one.sop_uid) not in withdrawn:
            yield one


def _lost(one: Delivered, standing: Standing, earlier: Earlier) -> frozenset[str] | None:
    """Images that a result no longer holds for, empty: all of them; None where it is replaced."""
    if not standing.has_successor(one):
        return frozenset()
    if one.kind is not ResultKind.PRESENTATION:
        return None
    shown = images_of(earlier.read(one))
    lost = standing.lost(shown)
    if not lost:
        return None
    return frozenset() if lost == shown else lost
