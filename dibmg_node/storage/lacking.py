"""What destinations lack: results that they are owed, and proofs that they owe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, cast, func, select

from dibmg_node.storage.delivery_rows import is_owed, is_to_prove
from dibmg_node.storage.distinct import distinct
from dibmg_node.storage.schema import Instant, deliveries, studies

MOST_COUNTED: Final = 10_000
"""Of a longer backlog the oldest are counted: a look must not take long because a PACS was away for days."""

_SINCE: Final = deliveries.c.owed_since
_ONE: Final = deliveries.c.destination == bindparam("of_destination")
_LATE_BEFORE: Final = bindparam("late_before", type_=Instant)

_OLDEST: Final = (
    select(_SINCE, deliveries.c.attempts)
    .where(is_owed(), _ONE)
    .order_by(_SINCE)
    .limit(MOST_COUNTED + 1)
    .subquery("oldest")
)
_OWED: Final = select(
    func.count(),
    func.count().filter(_OLDEST.c.attempts > 0),
    func.min(_OLDEST.c.owed_since),
    func.count().filter(_OLDEST.c.owed_since <= _LATE_BEFORE),
)
_DOUBTED: Final = (
    # in a form that no index answers: one by destination would be read from end to end
    select(
        deliveries.c.study_uid,
        deliveries.c.revision,
        func.coalesce(deliveries.c.destination, "").label("destination"),
        _SINCE,
        deliveries.c.proof_attempts,
    )
    .where(is_to_prove())
    .limit(MOST_COUNTED)
    .subquery("doubted")
)
_LATE_PROOF: Final = _DOUBTED.c.owed_since <= _LATE_BEFORE
_OF_STUDIES: Final = (
    # a study's results are asked about once, and not each by itself, whether they are current
    select(
        _DOUBTED.c.study_uid,
        _DOUBTED.c.revision,
        _DOUBTED.c.destination,
        func.count().label("unproven"),
        func.count().filter(_DOUBTED.c.proof_attempts > 1).label("doubtful"),
        func.count().filter(_LATE_PROOF).label("late"),
        func.min(_DOUBTED.c.owed_since).filter(_LATE_PROOF).label("late_since"),
    )
    .group_by(_DOUBTED.c.study_uid, _DOUBTED.c.revision, _DOUBTED.c.destination)
    .subquery("of_studies")
)
_UNPROVEN: Final = (
    select(
        _OF_STUDIES.c.destination,
        *(cast(func.sum(_OF_STUDIES.c[name]), Integer) for name in ("unproven", "doubtful", "late")),
        func.min(_OF_STUDIES.c.late_since),
    )
    .join(studies, studies.c.study_uid == _OF_STUDIES.c.study_uid)
    .where(studies.c.analyzed_revision == _OF_STUDIES.c.revision)
    .group_by(_OF_STUDIES.c.destination)
)
"""Made once, as the other one: a look at a node asks both."""


@dataclass(frozen=True)
class Lacking:
    """Of one destination.

    Attributes:
        owed: Results that were not sent yet.
        more: More are owed than were counted.
        failing: Those counted whose last attempt failed for a passing reason.
        owed_since: Since when the oldest of them waits.
        unproven: Results that it has, and is still to show that it keeps.
        doubtful: Those among them that it has not shown, though asked more than once.
        late: Results of both kinds that are owed since before a moment.
        late_since: Since when the oldest of these is.
    """

    owed: int = 0
    more: bool = False
    failing: int = 0
    owed_since: datetime | None = None
    unproven: int = 0
    doubtful: int = 0
    late: int = 0
    late_since: datetime | None = None


def count_lacking(connection: Connection, late_before: datetime) -> Mapping[str, Lacking]:
    """What each destination lacks; those that lack nothing are left out."""
    late = {"late_before": late_before}
    owing = {}
    for name in distinct(connection, deliveries.c.destination, is_owed()):
        owing[name] = connection.execute(_OWED, {"of_destination": name, **late}).tuples().one()
    proving = {row[0]: row[1:] for row in connection.execute(_UNPROVEN, late).tuples()}
    found = {}
    for name in owing.keys() | proving.keys():
        waiting, failing, owed_since, late_owed = owing.get(name, (0, 0, None, 0))
        unshown, doubtful, late_unshown, unshown_since = proving.get(name, (0, 0, 0, None))
        beginnings = [unshown_since, owed_since if late_owed else None]
        found[name] = Lacking(
            owed=min(waiting, MOST_COUNTED),
            more=waiting > MOST_COUNTED,
            failing=min(failing, MOST_COUNTED),
            owed_since=owed_since,
            unproven=unshown,
            doubtful=doubtful,
            late=min(late_owed, MOST_COUNTED) + late_unshown,
            late_since=min((at for at in beginnings if at is not None), default=None),
        )
    return found
