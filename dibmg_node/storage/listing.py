"""Lists of studies: filtered, page after page by key, in a time that the ledger's size does not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Final

from sqlalchemy import ColumnElement, Engine, RowMapping, and_, func, literal_column, or_, select

from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.storage.distinct import distinct
from dibmg_node.storage.schema import analyses, instances, studies, study_keys
from dibmg_node.storage.selftests import is_patients

MOST_LOOKED_AT: Final = 20_000
"""Rows of one page's search: a filter that hardly anything passes must not read a million."""
_PART: Final = 1000
_FIRST: Final = ""
"""Before every UID in the order of text: behind it there is no study of the same moment."""


@dataclass(frozen=True)
class StudyFilter:
    """What is wanted of studies; None: whatever it is.

    Attributes:
        since: Last image at or after this.
        until: Last image before this.
        lowest_score: Of the exam, 0..1; a study without scores does not pass.
        highest_score: Likewise.
    """

    state: StudyState | None = None
    sender: str | None = None
    manufacturer: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    lowest_score: float | None = None
    highest_score: float | None = None


@dataclass(frozen=True)
class Place:
    """Where a page begins: behind this study, in the order of the list."""

    last_instance_at: datetime
    study_uid: str


@dataclass(frozen=True)
class StudyLine:
    """One study in a list."""

    study_uid: str
    state: StudyState
    revision: int
    reason: str
    sender: str
    manufacturer: str
    received_at: datetime
    last_instance_at: datetime
    purged_at: datetime | None
    exam: float | None
    right: float | None
    left: float | None
    priority: Priority


@dataclass(frozen=True)
class Page:
    """A part of the list.

    Attributes:
        following: Where the next page begins; None: there is nothing behind this one.
        complete: The page is full, or nothing is behind it; False: the search stopped at `following`.
    """

    lines: Sequence[StudyLine]
    following: Place | None
    complete: bool


class Listing:
    """Read-only questions about many studies."""

    def __init__(self, engine: Engine, most_looked_at: int = MOST_LOOKED_AT) -> None:
        self._engine = engine
        self._most_looked_at = most_looked_at

    def page(self, wanted: StudyFilter, behind: Place | None = None, length: int = 50) -> Page:
        """Studies that pass a filter, that with the newest image first; the search ends after a while.

        Args:
            wanted: What passes.
            behind: Start behind this place; None: with the newest.
            length: Studies at most.
        """
        return self._page(wanted, behind, length, self._most_looked_at)

    def _page(
        self, wanted: StudyFilter, behind: Place | None, length: int, most_looked_at: int | None
    ) -> Page:
        at = studies.c.last_instance_at
        by_index = [*_by_index(wanted), *_behind(behind)]
        others = list(_others(wanted))
        newest = at.desc(), studies.c.study_uid.desc()
        passing = select(studies.c.study_uid).where(*by_index, *others, is_patients())
        with self._engine.connect() as connection:
            horizon = None
            if others and most_looked_at is not None:
                steps = select(at).where(*by_index).order_by(at.desc())
                # an offset into an index alone, the same for every page
                horizon = connection.execute(steps.offset(most_looked_at).limit(1)).scalar_one_or_none()
            if horizon is not None:
                passing = passing.where(at >= horizon)
            # of what does not pass only the index is read, which has all that a filter asks for
            those = passing.order_by(*newest).limit(length + 1)
            query = select(studies).where(studies.c.study_uid.in_(those)).order_by(*newest)
            rows = connection.execute(query).mappings().all()
        lines = [_line(row) for row in rows[:length]]
        if len(rows) > length:
            return Page(lines, Place(lines[-1].last_instance_at, lines[-1].study_uid), True)
        return Page(lines, None if horizon is None else Place(horizon, _FIRST), horizon is None)

    def pages(self, wanted: StudyFilter, length: int) -> Iterator[Sequence[StudyLine]]:
        """All studies that pass a filter, part after part, each in a transaction of its own.

        A study that gets an image in the meantime moves to the front, and may be missed.

        Args:
            wanted: What passes.
            length: Studies of one part at most.
        """
        place: Place | None = None
        while True:
            page = self._page(wanted, place, length, None)
            if page.lines:
                yield page.lines
            place = page.following
            if place is None:
                return

    def newest(self, wanted: StudyFilter, most: int) -> list[StudyLine]:
        """The newest studies that pass a filter, however far back they are."""
        lines = chain.from_iterable(self.pages(wanted, min(most, _PART)))
        return list(islice(lines, most))

    def queue(self, length: int = 100) -> list[StudyLine]:
        """Studies that wait for their analysis, in the order in which they are taken."""
        query = (
            select(studies)
            # in the words of the partial index: a parameter would not match it
            .where(studies.c.state == literal_column(f"'{StudyState.READY.value}'"), is_patients())
            .order_by(studies.c.priority, studies.c.last_instance_at)
            .limit(length)
        )
        with self._engine.connect() as connection:
            return [_line(row) for row in connection.execute(query).mappings()]

    def find(self, keys: Sequence[str]) -> list[str]:
        """UIDs of the studies that have any of these keys (`dicom.search_keys`), newest first, at most 50."""
        keyed = select(study_keys.c.study_uid).where(study_keys.c.key.in_(keys))
        query = (
            select(studies.c.study_uid)
            .where(studies.c.study_uid.in_(keyed))
            .order_by(studies.c.last_instance_at.desc())
            .limit(50)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def lines(self, study_uids: Sequence[str]) -> list[StudyLine]:
        """The studies of some UIDs, in this order; unknown ones are left out."""
        with self._engine.connect() as connection:
            query = select(studies).where(studies.c.study_uid.in_(study_uids))
            found = {row["study_uid"]: _line(row) for row in connection.execute(query).mappings()}
        return [found[uid] for uid in study_uids if uid in found]

    def an_instance_of(self, study_uids: Sequence[str]) -> dict[str, str]:
        """SOP Instance UID of one image of each study."""
        query = (
            select(instances.c.study_uid, func.min(instances.c.sop_uid))
            .where(instances.c.study_uid.in_(study_uids))
            .group_by(instances.c.study_uid)
        )
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def readings_of(self, study_uids: Sequence[str]) -> dict[str, str]:
        """The last reading of each study that has one, as JSON."""
        query = (
            select(analyses.c.study_uid, analyses.c.reading)
            .join(
                studies,
                and_(
                    studies.c.study_uid == analyses.c.study_uid,
                    studies.c.analyzed_revision == analyses.c.revision,
                ),
            )
            .where(analyses.c.study_uid.in_(study_uids))
        )
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def senders(self) -> list[str]:
        """AE titles that studies came from."""
        with self._engine.connect() as connection:
            return [one for one in distinct(connection, studies.c.sender) if one != SELFTEST_AET]

    def manufacturers(self) -> list[str]:
        """Makers of the images."""
        with self._engine.connect() as connection:
            return distinct(connection, studies.c.manufacturer)


def _one_index(wanted: StudyFilter) -> str:
    """The column that an index is entered by; empty: the time alone.

    Nearly every study is delivered: that state narrows nothing, all others do.
    """
    if wanted.state not in (None, StudyState.DELIVERED):
        return "state"
    if wanted.sender is not None:
        return "sender"
    return "manufacturer" if wanted.manufacturer is not None else ""


def _by_index(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    """Conditions that an index answers."""
    column = _one_index(wanted)
    if column:
        yield studies.c[column] == getattr(wanted, column)
    if wanted.since is not None:
        yield studies.c.last_instance_at >= wanted.since
    if wanted.until is not None:
        yield studies.c.last_instance_at < wanted.until


def _others(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    """Conditions that are tested row by row; in a form that no index answers, lest one is entered by it."""
    by_index = _one_index(wanted)
    for name in ("state", "sender", "manufacturer"):
        value = getattr(wanted, name)
        if name != by_index and value is not None:
            yield func.coalesce(studies.c[name], "") == value
    if wanted.lowest_score is not None:
        yield studies.c.score_exam >= wanted.lowest_score
    if wanted.highest_score is not None:
        yield studies.c.score_exam <= wanted.highest_score


def _behind(place: Place | None) -> Iterator[ColumnElement[bool]]:
    if place is not None:
        at, uid = studies.c.last_instance_at, studies.c.study_uid
        yield at <= place.last_instance_at  # the part that an index answers
        yield or_(at < place.last_instance_at, uid < place.study_uid)


def _line(row: RowMapping) -> StudyLine:
    return StudyLine(
        row["study_uid"],
        StudyState(row["state"]),
        row["revision"],
        row["reason"],
        row["sender"],
        row["manufacturer"],
        row["received_at"],
        row["last_instance_at"],
        row["purged_at"],
        row["score_exam"],
        row["score_r"],
        row["score_l"],
        Priority.of_rank(row["priority"]),
    )
