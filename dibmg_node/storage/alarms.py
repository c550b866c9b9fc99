"""Alarms: conditions that have held for long enough, each with one beginning and one end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, insert, or_, select, update

from dibmg_node.domain.alarm import OVER_AT_ONCE, Condition
from dibmg_node.storage.engine import reading
from dibmg_node.storage.notices import enter_missing
from dibmg_node.storage.schema import SUBJECT_LETTERS, alarms, notices

KEPT: Final = timedelta(days=30)
"""An alarm that is over is forgotten after this long."""


@dataclass(frozen=True)
class Alarm:
    """A condition that holds, or held.

    Attributes:
        since: When it was first seen.
        raised_at: When it had held for long enough; None: it has not yet.
        ended_at: When it had been gone for long enough; None: it has not.
    """

    key: str
    subject: str
    sentence: str
    since: datetime
    raised_at: datetime | None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Damping:
    """How long something has to be so before it counts.

    Attributes:
        hold: A condition holds for this long before it is an alarm.
        clear: It is gone for this long, and at least for the gap, before the alarm is over.
        gap: What was not seen for this long does not hold; longer than the time between two looks.
    """

    hold: timedelta
    clear: timedelta
    gap: timedelta


class Alarms:
    """Remembers what holds, so that beginning and end are told once, whoever looks and how often."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def open(self) -> list[Alarm]:
        """What holds, the alarms first; what has not held for long enough yet has no `raised_at`."""
        with self._reading.connect() as connection:
            found = [_alarm(row) for row in _open_rows(connection)]
        return sorted(found, key=lambda one: (one.raised_at is None, one.since, one.key, one.subject))

    def observe(
        self,
        held: Sequence[Condition],
        channels: Sequence[str],
        now: datetime,
        damping: Damping,
        watching_since: datetime,
    ) -> tuple[Sequence[Alarm], Sequence[Alarm]]:
        """Enter what holds now; owe every channel what has changed.

        Several hosts may do so: what one of them sees holds.

        Args:
            held: What was seen.
            channels: Names of those that are told of alarms.
            now: When it was seen.
            damping: How long it has to be so.
            watching_since: When the one who looks began to: what nobody could see before is not gone.

        Returns:
            Alarms that have begun, and alarms that have ended.
        """
        with self._reading.connect() as connection:
            if not held and not _open_rows(connection):
                return (), ()
        with self._engine.begin() as connection:
            # two hosts that see the same for the first time must not enter it twice; SQLite has one writer
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE alarms IN SHARE ROW EXCLUSIVE MODE")
            _enter(connection, held, now)
            begun = [row for row in _open_rows(connection) if _begins(row, now, damping)]
            ended = [row for row in _open_rows(connection) if _ends(row, now, damping, watching_since)]
            _set(connection, begun, raised_at=now)
            _set(connection, ended, ended_at=now)
            _forget(connection, now, damping)
            enter_missing(connection, channels, [row.id for row in ended], now)
            return [_alarm(row) for row in begun], [_alarm(row) for row in ended]


def _open_rows(connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(select(alarms).where(alarms.c.ended_at.is_(None))).all()


def _enter(connection: Connection, held: Sequence[Condition], now: datetime) -> None:
    known = {(row.key, row.subject): row.id for row in _open_rows(connection)}
    for (key, subject), one in {(one.key.value, _fitting(one.subject)): one for one in held}.items():
        values = {"sentence": one.sentence, "seen_at": now}
        if (key, subject) in known:
            connection.execute(update(alarms).where(alarms.c.id == known[key, subject]).values(**values))
        else:
            connection.execute(insert(alarms).values(key=key, subject=subject, since=now, **values))


def _fitting(subject: str) -> str:
    """A subject as its column holds it: of one that is too long, its beginning and a hash of it all."""
    if len(subject) <= SUBJECT_LETTERS:
        return subject
    digest = hashlib.sha256(subject.encode()).hexdigest()[:16]
    return f"{subject[: SUBJECT_LETTERS - len(digest) - 1]} {digest}"


def _begins(row: Row[Any], now: datetime, damping: Damping) -> bool:
    held: bool = row.seen_at == now and _apart(now, row.since) >= damping.hold
    return row.raised_at is None and held


def _ends(row: Row[Any], now: datetime, damping: Damping, watching_since: datetime) -> bool:
    # another host may see what this one does not: it is given the time to look
    clear = timedelta(0) if row.key in OVER_AT_ONCE else max(damping.clear, damping.gap)
    unseen_for = min(_apart(now, row.seen_at), _apart(now, watching_since))
    gone: bool = row.seen_at != now and unseen_for >= clear
    return row.raised_at is not None and gone


def _apart(now: datetime, then: datetime) -> timedelta:
    """How long ago, either way: what lies in the future was entered before the clock was set back.

    Clocks of several hosts differ by less than what is waited for.
    """
    return abs(now - then)


def _set(connection: Connection, rows: Sequence[Row[Any]], **values: datetime) -> None:
    if rows:
        chosen = alarms.c.id.in_([row.id for row in rows])
        connection.execute(update(alarms).where(chosen).values(**values))


def _forget(connection: Connection, now: datetime, damping: Damping) -> None:
    """Remove what did not hold for long enough, and what has long been over."""
    unseen = or_(alarms.c.seen_at <= now - damping.gap, alarms.c.seen_at >= now + damping.gap)
    passing = alarms.c.raised_at.is_(None) & unseen
    connection.execute(delete(alarms).where(passing))
    old = select(alarms.c.id).where(alarms.c.ended_at <= now - KEPT)
    connection.execute(delete(notices).where(notices.c.alarm_id.in_(old)))
    connection.execute(delete(alarms).where(alarms.c.ended_at <= now - KEPT))


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(row.key, row.subject, row.sentence, row.since, row.raised_at, row.ended_at)
