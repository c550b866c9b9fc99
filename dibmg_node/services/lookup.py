"""Lookup: what the node answers to who looks for its results."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import decompressed
from dibmg_node.dicom.header import read_header
from dibmg_node.dicom.query import Level, Query, matches, told
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.catalog import Catalog, HeldResult

_log = logging.getLogger(__name__)

MOST_STUDIES: Final = 2000
"""The ledger holds no patient's name: a query by name reads headers, and those of the newest studies only."""
_HEADERS: Final = 4096
_LEDGER_KEYS: Final = frozenset({"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
"""What the catalog filters by: of a query with no other keys, what is skipped need not be read."""
_COUNTED: Final = frozenset(
    {"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}
)
"""What the ledger knows of a study, and no header."""
_MODALITIES: Final = {facts.SECONDARY_CAPTURE: "OT", facts.GRAYSCALE_PRESENTATION_STATE: "PR"}
"""Modality of a result by its SOP class; all others are SR."""

_LOST: Final = (FileNotFoundError, InstanceRejectedError)
"""A result is gone from the archive, or damaged there."""
_UNREADABLE: Final = (OSError, InstanceRejectedError)
"""That, or the archive does not answer for it."""


@dataclass(frozen=True)
class Found:
    """Matches of a query.

    Attributes:
        complete: Nothing was left out that is older than the studies looked at.
    """

    matches: list[Dataset]
    complete: bool


@dataclass(frozen=True)
class _Candidate:
    """A study, series or instance that may match.

    Attributes:
        results: All of it; any that can be read tells of it.
        counted: What the ledger knows of it.
    """

    results: Sequence[HeldResult]
    counted: Mapping[str, object]
    url: str


class Lookup:
    """Searches the catalog and reads the archive.

    Attributes:
        most_studies: That a search looks at, the newest.
    """

    def __init__(
        self,
        catalog: Catalog,
        archive: Archive,
        archive_identity: str | None,
        most_studies: int = MOST_STUDIES,
    ) -> None:
        """Make one.

        Args:
            catalog: What the ledger knows of results.
            archive: Where they lie.
            archive_identity: What the ledger knows the archive by; None: by nothing.
            most_studies: That a search looks at.
        """
        self.most_studies = most_studies
        self._identity = archive_identity
        self._catalog = catalog
        self._archive = archive
        # a result never changes under its UID, so what was read of it stays true
        self._attributes = lru_cache(_HEADERS)(self._read_attributes)
        self._study = lru_cache(2 * most_studies)(self._read_study)

    def search(self, level: Level, path: Mapping[Level, str], query: Query, base_url: str) -> Found:
        """What matches a query, newest study first.

        Args:
            level: What is looked for.
            path: UIDs that the URL's path gives.
            query: Its keys, limit and offset.
            base_url: Of the service, for Retrieve URL.

        Raises:
            OSError: The archive is away.
        """
        asked = {
            Level.STUDY: query.uids("StudyInstanceUID"),
            Level.SERIES: query.uids("SeriesInstanceUID"),
            Level.INSTANCE: query.uids("SOPInstanceUID"),
        }
        uids = {one: _both(path.get(one), asked[one]) for one in Level}
        if any(found is None for found in uids.values()):
            return Found([], True)
        held = self._catalog.newest(
            uids[Level.STUDY] or (), uids[Level.SERIES] or (), uids[Level.INSTANCE] or (), self.most_studies
        )
        complete = len({one.study_uid for one in held}) < self.most_studies
        found: list[Dataset] = []
        skipped = 0
        matched_by_ledger = query.wanted.keys() <= _LEDGER_KEYS
        for candidate in self._candidates(held, level, query.wanted, base_url):
            if matched_by_ledger and skipped < query.offset:
                skipped += 1
                continue
            if matched_by_ledger and len(found) == query.limit:
                return Found(found, True)
            attributes = self._told(candidate)
            if attributes is None or not matches(attributes, query.wanted):
                continue
            if skipped < query.offset:
                skipped += 1
                continue
            if len(found) == query.limit:
                return Found(found, True)
            found.append(told(attributes, level, query, path))
        return Found(found, complete)

    def held(self, path: Mapping[Level, str]) -> list[HeldResult]:
        """The results that a URL's path names, without those that the archive has lost.

        Raises:
            OSError: The archive is away, or does not answer: what it has of them nobody knows now.
        """
        study, series, instance = ([path[level]] if level in path else [] for level in Level)
        in_ledger = self._catalog.newest(study, series, instance, most_studies=1)
        return [one for one in in_ledger if self._has(one) and self._is_readable(one, self._header, _LOST)]

    def metadata(self, held: Sequence[HeldResult]) -> list[Dataset]:
        """Everything in results but their pixels."""
        return [self._header(one) for one in held]

    def content(self, held: HeldResult, transfer_syntax_uid: str) -> bytes:
        """A result as a Part 10 file.

        Args:
            held: Which one.
            transfer_syntax_uid: That in which it is held, or Explicit VR Little Endian.
        """
        stored = self._archive.read_result(held.sop_uid)
        return stored if transfer_syntax_uid == held.transfer_syntax_uid else decompressed(stored)

    def _candidates(
        self, held: Sequence[HeldResult], level: Level, wanted: Mapping[str, str], base_url: str
    ) -> Iterator[_Candidate]:
        """Each study, series or instance that may match: of every study one result is read, if any."""
        of_study = {name: value for name, value in wanted.items() if name in Level.STUDY.keys - _LEDGER_KEYS}
        by_header = {name: value for name, value in of_study.items() if name not in _COUNTED}
        by_count = {name: value for name, value in of_study.items() if name in _COUNTED}
        for study_uid, results in groupby(held, lambda one: one.study_uid):
            in_ledger = tuple(results)
            if by_header and not self._matches_study(in_ledger, by_header):
                continue
            in_study = tuple(one for one in in_ledger if self._has(one))
            counted = _study_attributes(in_study)
            if not in_study or not matches(_entity(Dataset(), counted), by_count):
                continue
            url = f"{base_url}/studies/{study_uid}"
            if level is Level.STUDY:
                yield _Candidate(in_study, counted, url)
                continue
            for series_uid, of_series in groupby(in_study, lambda one: one.series_uid):
                in_series = tuple(of_series)
                series = {**counted, "NumberOfSeriesRelatedInstances": len(in_series)}
                series_url = f"{url}/series/{series_uid}"
                if level is Level.SERIES:
                    yield _Candidate(in_series, series, series_url)
                    continue
                for one in in_series:
                    yield _Candidate((one,), series, f"{series_url}/instances/{one.sop_uid}")

    def _matches_study(self, held: Sequence[HeldResult], wanted: Mapping[str, str]) -> bool:
        # pictures first: their headers are short
        for one in sorted(held, key=lambda one: one.sop_class_uid not in _MODALITIES):
            if self._is_readable(one, self._study):
                return matches(self._study(one), wanted)
        return False

    def _told(self, candidate: _Candidate) -> Dataset | None:
        """Attributes of a study, series or instance; None where nothing of it can be read."""
        for one in candidate.results:
            if self._is_readable(one, self._attributes):
                entity = _entity(self._attributes(one), candidate.counted)
                entity.RetrieveURL = candidate.url
                entity.InstanceAvailability = "ONLINE"
                return entity
        return None

    def _has(self, held: HeldResult) -> bool:
        """Whether the archive has a result.

        Raises:
            OSError: The archive is away, with all of them.
        """
        if self._archive.has_result(held.sop_uid):
            return True
        self._check_archive()
        return False

    def _check_archive(self) -> None:
        if not self._archive.is_there(self._identity):
            told = "not the archive of the ledger, or it does not answer"
            raise FileNotFoundError(errno.ENOENT, told, self._archive.marker)

    def _is_readable(
        self,
        held: HeldResult,
        read: Callable[[HeldResult], Dataset],
        passed_over: tuple[type[Exception], ...] = _UNREADABLE,
    ) -> bool:
        """One result that the archive has lost must not keep everybody from the others.

        Raises:
            OSError: The archive is away, with all of them.
        """
        try:
            read(held)
        except passed_over as error:
            self._check_archive()
            extra = {"sop_uid": held.sop_uid, "error": type(error).__name__}
            _log.error("result cannot be read", extra=extra)
            return False
        return True

    def _header(self, held: HeldResult) -> Dataset:
        with self._archive.result(held.sop_uid).open("rb") as file:
            return read_header(file)

    def _read_attributes(self, held: HeldResult) -> Dataset:
        """Top-level attributes that a query can match or tell: no sequences, no bulk."""
        header = self._header(held)
        attributes = Dataset()
        tags = list(header.keys())
        for tag in tags:
            # asked as it came: a content tree would be parsed for nothing
            if header.get_item(tag).VR not in ("SQ", "OB", "OW", "UN"):
                attributes.add(header[tag])
        return attributes

    def _read_study(self, held: HeldResult) -> Dataset:
        """What a result tells of its study and patient: the same in all results of the study."""
        header = self._header(held)
        attributes = Dataset()
        for keyword in Level.STUDY.keys:
            if keyword in header:
                attributes.add(header[keyword])
        return attributes


def _both(given: str | None, asked: tuple[str, ...]) -> tuple[str, ...] | None:
    """UIDs that satisfy path and query; empty: any; None: none can."""
    if given is None:
        return asked
    return (given,) if not asked or given in asked else None


def _study_attributes(held: Sequence[HeldResult]) -> dict[str, object]:
    return {
        "ModalitiesInStudy": sorted({_MODALITIES.get(one.sop_class_uid, "SR") for one in held}),
        "NumberOfStudyRelatedSeries": len({one.series_uid for one in held}),
        "NumberOfStudyRelatedInstances": len(held),
    }


def _entity(attributes: Dataset, counted: Mapping[str, object]) -> Dataset:
    entity = Dataset()
    entity.update(attributes)
    for keyword, value in counted.items():
        setattr(entity, keyword, value)
    return entity
