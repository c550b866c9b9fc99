"""Scores of exams by device: one row for each study that was read, which drift is watched by."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite

from dibmg_node.domain.device import Device
from dibmg_node.storage.schema import Instant, exam_scores, instant, score_series

MOST_SERIES: Final = 100
"""Devices of one set of weights that are looked at: more than a hospital has, whatever headers may name."""

_BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ScoredExam:
    """What is kept of one exam that was read.

    Attributes:
        device: That made it.
        weights_sha256: Of the weights that read it.
        score: Of the exam, 0..1.
        threshold: Operating point that it was read at.
    """

    device: Device
    weights_sha256: str
    score: float
    threshold: float


@dataclass(frozen=True)
class Series:
    """The exams of one device, read by one set of weights.

    Attributes:
        name: Key in the ledger.
        last: When the last of them was read.
    """

    name: str
    device: Device
    last: datetime


@dataclass(frozen=True)
class SeriesExams:
    """Exams of a series in the order in which they were read.

    Attributes:
        scores: 0..1.
        recalled: Whether each was at or above its operating point.
        threshold: That the last one was read at; None without exams.
        first, last: When they were read; None without exams.
    """

    scores: Sequence[float] = ()
    recalled: Sequence[bool] = ()
    threshold: float | None = None
    first: datetime | None = None
    last: datetime | None = None


class ExamScores:
    """Read-only questions about scores by device. Which exams count is decided in `_counting` alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def series(self, weights_sha256: str) -> list[Series]:
        """Every device whose exams these weights have read, that with the newest exam first."""
        known = (
            select(score_series)
            .where(score_series.c.weights_sha256 == weights_sha256)
            .order_by(score_series.c.since.desc())
            .limit(MOST_SERIES)
            .subquery()
        )
        # one step into the index for each of them, whatever the number of exams
        last = _counting(known.c.series, func.max(exam_scores.c.at)).scalar_subquery()
        query = select(known, last.label("last"))
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        found = [
            Series(row["series"], Device(row["manufacturer"], row["model"], row["software"]), row["last"])
            for row in rows
            if row["last"] is not None
        ]
        return sorted(found, key=lambda one: one.last, reverse=True)

    def newest(self, after: Mapping[str, datetime | None], most: int) -> dict[str, SeriesExams]:
        """The newest exams of several series, in one transaction.

        Args:
            after: By the name of a series, the time that its exams were read after; None: whenever.
            most: Exams of each at most.
        """
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                return _newest_of_all(connection, after, most)
            return {
                series: _in_order(connection.execute(_NEWEST, _bound(series, moment, most)).all()[::-1])
                for series, moment in after.items()
            }

    def first(self, series: str, most: int, since: datetime | None = None) -> SeriesExams:
        """The first exams of a series.

        Args:
            series: Its name.
            most: Exams at most.
            since: Those read at or after this; None: whenever.
        """
        query = _exams(series).order_by(exam_scores.c.at)
        if since is not None:
            query = query.where(exam_scores.c.at >= since)
        with self._engine.connect() as connection:
            return _in_order(connection.execute(query.limit(most)).all())


def enter_score(
    connection: Connection, study_uid: str, scored: ScoredExam | None, now: datetime
) -> str | None:
    """Keep the score of a study's newest reading; None: it was not read, and what was kept goes.

    Returns:
        Name of the series that it belongs to.
    """
    connection.execute(delete(exam_scores).where(exam_scores.c.study_uid == study_uid))
    if scored is None:
        return None
    series = _series_name(scored.weights_sha256, scored.device)
    known = select(func.count()).where(score_series.c.series == series)
    if not connection.execute(known).scalar_one():
        _enter_series(connection, series, scored, now)
    connection.execute(
        insert(exam_scores).values(
            study_uid=study_uid, series=series, at=now, score=scored.score, threshold=scored.threshold
        )
    )
    return series


def _enter_series(connection: Connection, series: str, scored: ScoredExam, now: datetime) -> None:
    """Enter a device that was not known; another worker may do so at the same time."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    device = scored.device
    connection.execute(
        dialect.insert(score_series)
        .values(
            series=series,
            weights_sha256=scored.weights_sha256,
            manufacturer=device.manufacturer,
            model=device.model,
            software=device.software,
            since=now,
        )
        .on_conflict_do_nothing()
    )


def _series_name(weights_sha256: str, device: Device) -> str:
    """The same for every spelling of a device; migration 0009 makes it the same way."""
    key = device.key
    parts = (weights_sha256, key.manufacturer, key.model, key.software)
    return sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def _exams(series: str | ColumnElement[str]) -> Select[Any]:
    # times as the database has them: of thousands, two are told
    at = type_coerce(exam_scores.c.at, BigInteger)
    return _counting(series, at, exam_scores.c.score, exam_scores.c.threshold)


def _in_order(rows: Sequence[Row[Any]]) -> SeriesExams:
    if not rows:
        return SeriesExams()
    times, scores, thresholds = zip(*rows, strict=True)
    return _series(times[0], times[-1], scores, thresholds)


def _series(first: int, last: int, scores: Sequence[float], thresholds: Sequence[float]) -> SeriesExams:
    recalled = list(map(operator.ge, scores, thresholds))
    return SeriesExams(tuple(scores), recalled, thresholds[-1], instant(first), instant(last))


def _newest_of_all(
    connection: Connection, after: Mapping[str, datetime | None], most: int
) -> dict[str, SeriesExams]:
    """In one statement, for a server; to fetch twenty lists takes half as long as ten thousand rows."""
    bound = [_bound(series, moment, most) for series, moment in after.items()]
    asked = {name: [one[name] for one in bound] for name in ("of", "after")}
    rows = connection.execute(_NEWEST_OF_ALL, {**asked, "most": most}).all()
    found = {row.series: _series(row.first, row.last, row.scores[::-1], row.thresholds[::-1]) for row in rows}
    return {series: found.get(series, SeriesExams()) for series in after}


def _counting(series: str | ColumnElement[str], *columns: Any) -> Select[Any]:
    """The exams of a series that count: the one place where some are left out."""
    return select(*columns).where(exam_scores.c.series == series)


_MOST: Final = bindparam("most", type_=Integer)
_NEWEST: Final = (
    _exams(bindparam("of", type_=String))
    .where(exam_scores.c.at > bindparam("after"))
    .order_by(exam_scores.c.at.desc())
    .limit(_MOST)
)

_ASKED: Final = (
    func.unnest(
        bindparam("of", type_=postgresql.ARRAY(String)), bindparam("after", type_=postgresql.ARRAY(Instant))
    )
    .table_valued(column("series", String), column("after", BigInteger), name="asked")
    .render_derived()
)
_OF_EACH: Final = (
    _exams(_ASKED.c.series)
    .where(type_coerce(exam_scores.c.at, BigInteger) > _ASKED.c.after)
    .order_by(exam_scores.c.at.desc())
    .limit(_MOST)
    .correlate(_ASKED)
    .subquery("of_each")
)
# what a sorted subquery gives is aggregated in its order; to sort it once more takes twice as long
_GATHERED: Final = select(
    func.min(_OF_EACH.c.at).label("first"),
    func.max(_OF_EACH.c.at).label("last"),
    func.array_agg(_OF_EACH.c.score).label("scores"),
    func.array_agg(_OF_EACH.c.threshold).label("thresholds"),
).lateral("gathered")
_NEWEST_OF_ALL: Final = select(_ASKED.c.series, _GATHERED).where(_GATHERED.c.first.is_not(None))


def _bound(series: str, after: datetime | None, most: int) -> dict[str, Any]:
    return {"of": series, "after": after or _BEFORE_ALL, "most": most}
