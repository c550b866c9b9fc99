"""Notices: beginnings and ends of alarms that channels are owed, each told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Join,
    Select,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from dibmg_node.domain.alarm import AlarmEvent
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import alarms, notices

TOLD_WITHIN: Final = timedelta(days=1)
"""What could not be told for this long after an alarm was over is news to nobody."""
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Notice:
    """One beginning or end that one channel is to tell now.

    Attributes:
        since: When the condition was first seen.
        at: When the alarm began or ended.
    """

    id: int
    alarm_id: int
    event: AlarmEvent
    key: str
    subject: str
    sentence: str
    since: datetime
    at: datetime


@dataclass(frozen=True)
class ChannelView:
    """How a channel is.

    Attributes:
        owed: Notices that it has not told yet.
        failing: Those among them that it has failed to tell.
        comment: Why it failed last; empty where nothing is failing.
        last_sent: When it told its last one.
    """

    owed: int
    failing: int
    comment: str
    last_sent: datetime | None


class Notices:
    """Hands out what is to be told, one by one for each channel: no end comes before its beginning."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def claim(self, channel: str, now: datetime, lease: timedelta) -> Notice | None:
        """Take the oldest notice of a channel that is due and that nobody has; None: there is none."""
        with self._reading.connect() as connection:
            if connection.execute(_oldest_due(channel, now)).first() is None:
                return None
        with self._engine.begin() as connection:
            row = connection.execute(_oldest_due(channel, now).with_for_update(of=notices)).one_or_none()
            if row is None:
                return None
            connection.execute(update(notices).where(notices.c.id == row.id).values(lease_until=now + lease))
            event = AlarmEvent(row.event)
            at = row.raised_at if event is AlarmEvent.BEGAN else row.ended_at
            return Notice(row.id, row.alarm_id, event, row.key, row.subject, row.sentence, row.since, at)

    def sent(self, notice: Notice, now: datetime) -> None:
        """It was told."""
        self._settle(notice, sent_at=now, comment="")

    def failed(self, notice: Notice, comment: str, now: datetime, wait: timedelta | None = None) -> datetime:
        """It was not; try again after what the other side asks for, or twice as long as the last time.

        Never after longer than `LONGEST_WAIT`: an alarm that comes a day late is none.

        Returns:
            When it is due again.
        """
        with self._reading.connect() as connection:
            query = select(notices.c.attempts).where(notices.c.id == notice.id)
            tried = connection.execute(query).scalar_one()
        pause = min(wait or FIRST_WAIT * 2 ** min(tried, 16), LONGEST_WAIT)
        self._settle(notice, attempts=tried + 1, next_at=now + pause, comment=comment)
        return now + pause

    def channel(self, name: str, now: datetime) -> ChannelView:
        """How one channel is."""
        failing = notices.c.attempts > 0
        query = select(func.count(), func.count().filter(failing)).select_from(_joined())
        last = select(func.max(notices.c.sent_at)).where(notices.c.channel == name)
        complaint = select(notices.c.comment).select_from(_joined()).where(_owed(name, now), failing)
        with self._reading.connect() as connection:
            owed, failed = connection.execute(query.where(_owed(name, now))).one()
            comment = connection.execute(complaint.order_by(notices.c.id).limit(1)).scalar_one_or_none()
            return ChannelView(owed, failed, comment or "", connection.execute(last).scalar_one())

    def _settle(self, notice: Notice, **values: object) -> None:
        with self._engine.begin() as connection:
            query = update(notices).where(notices.c.id == notice.id)
            connection.execute(query.values(lease_until=None, **values))


def enter_missing(
    connection: Connection, channels: Sequence[str], ended: Sequence[int], now: datetime
) -> None:
    """Owe channels the beginning of what holds, and the end of what they are owed the beginning of."""
    begun = select(alarms.c.id).where(alarms.c.raised_at.is_not(None), alarms.c.ended_at.is_(None))
    open_ids = list(connection.scalars(begun.order_by(alarms.c.id)))
    for channel in channels:
        told = set(
            connection.scalars(
                select(notices.c.alarm_id).where(
                    notices.c.channel == channel, notices.c.alarm_id.in_([*open_ids, *ended])
                )
            )
        )
        owed = [(one, AlarmEvent.ENDED) for one in ended if one in told]
        owed += [(one, AlarmEvent.BEGAN) for one in open_ids if one not in told]
        for alarm_id, event in owed:
            values = {"alarm_id": alarm_id, "channel": channel, "event": event.value}
            connection.execute(insert(notices).values(next_at=now, **values))


def _joined() -> Join:
    return notices.join(alarms, alarms.c.id == notices.c.alarm_id)


def _owed(channel: str, now: datetime) -> ColumnElement[bool]:
    current = or_(alarms.c.ended_at.is_(None), alarms.c.ended_at > now - TOLD_WITHIN)
    return and_(notices.c.channel == channel, notices.c.sent_at.is_(None), current)


def _oldest_due(channel: str, now: datetime) -> Select[Any]:
    """What is to be told next: one that cannot be told holds up the end of its own alarm alone."""
    columns = [alarms.c[name] for name in ("key", "subject", "sentence", "since", "raised_at", "ended_at")]
    earlier = notices.alias("earlier")
    is_first = ~exists().where(
        earlier.c.alarm_id == notices.c.alarm_id,
        earlier.c.channel == channel,
        earlier.c.sent_at.is_(None),
        earlier.c.id < notices.c.id,
    )
    is_free = or_(notices.c.lease_until.is_(None), notices.c.lease_until <= now)
    query = select(notices, *columns).select_from(_joined())
    query = query.where(_owed(channel, now), notices.c.next_at <= now, is_free, is_first)
    return query.order_by(notices.c.id).limit(1)
