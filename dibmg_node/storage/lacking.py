"""What destinations lack: results that they are owed, and proofs that they owe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from dibmg_node.storage.delivery_rows import is_owed, is_unproven
from dibmg_node.storage.schema import deliveries


@dataclass(frozen=True)
class Lacking:
    """Of one destination.

    Attributes:
        owed: Results that were not sent yet.
        failing: Those among them whose last attempt failed for a passing reason.
        owed_since: Since when the oldest of them waits.
        unproven: Results that it has, and is still to show that it keeps.
        doubtful: Those among them that it has not shown, though asked more than once.
        late: Results of both kinds that are owed since before a moment.
        late_since: Since when the oldest of these is.
    """

    owed: int = 0
    failing: int = 0
    owed_since: datetime | None = None
    unproven: int = 0
    doubtful: int = 0
    late: int = 0
    late_since: datetime | None = None


def count_lacking(connection: Connection, late_before: datetime) -> Mapping[str, Lacking]:
    """What each destination lacks; those that lack nothing are left out. Reads what waits once."""
    since = deliveries.c.owed_since
    is_late = since <= late_before
    late = func.count().filter(is_late), func.min(since).filter(is_late)
    owed = (
        select(
            deliveries.c.destination,
            func.count(),
            func.count().filter(deliveries.c.attempts > 0),
            func.min(since),
            *late,
        )
        .where(is_owed())
        .group_by(deliveries.c.destination)
    )
    # in a form that no index answers: one by destination would be read from end to end
    name = func.coalesce(deliveries.c.destination, "")
    unproven = (
        select(name, func.count(), func.count().filter(deliveries.c.proof_attempts > 1), *late)
        .where(is_unproven())
        .group_by(name)
    )
    owing = {row[0]: row[1:] for row in connection.execute(owed).tuples()}
    proving = {row[0]: row[1:] for row in connection.execute(unproven).tuples()}
    found = {}
    for destination in owing.keys() | proving.keys():
        waiting, failing, owed_since, late_owed, late_since = owing.get(destination, (0, 0, None, 0, None))
        unshown, doubtful, late_unshown, unshown_since = proving.get(destination, (0, 0, 0, None))
        oldest = min((at for at in (late_since, unshown_since) if at is not None), default=None)
        found[destination] = Lacking(
            waiting, failing, owed_since, unshown, doubtful, late_owed + late_unshown, oldest
        )
    return found
