"""The ledger's side for people: what of a study is given up, and how urgent it is."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping, and_, func, select, update

from dibmg_node.domain.counted import counted
from dibmg_node.domain.lifecycle import DeliveryState, StudyEvent, StudyState
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.delivery_rows import UNDELIVERED
from dibmg_node.storage.schema import deliveries, studies
from dibmg_node.storage.study_row import apply_event, lock_study, note

_PRIORITY_SET: Final = "priority set"
_UNREAD: Final = frozenset({StudyState.RECEIVING.value, StudyState.READY.value, StudyState.ANALYZING.value})


class Decisions:
    """Takes what an operator decides about one study."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cancel(self, study_uid: str, reason: str, now: datetime) -> int:
        """Give up a study that is not read yet, and whatever destinations lack of it.

        A study that was read, or was refused as a whole, keeps its results; where its scores stand it is
        CANCELED too, for they will not arrive. What a worker is sending just now may arrive all the same, and
        the ledger will say so.

        Args:
            study_uid: The study.
            reason: In words, with who decided it.
            now: The time.

        Returns:
            How many deliveries are given up.

        Raises:
            PermanentError: The ledger has no such study, or nothing of it waits.
        """
        with self._engine.begin() as connection:
            row = _lock(connection, study_uid)
            given_up = _give_up_deliveries(connection, study_uid, reason, now)
            detail = (
                f"{reason}; {counted(given_up, 'delivery', 'deliveries')} given up" if given_up else reason
            )
            if row["state"] in _UNREAD:
                apply_event(
                    connection,
                    row,
                    StudyEvent.CANCELED,
                    now,
                    detail,
                    reason=reason,
                    # none of this revision's analyses ended: what a retry begins with
                    attempts=0,
                    claimed_by=None,
                    lease_until=None,
                    published_at=None,
                    due_at=None,
                )
            elif not given_up:
                raise PermanentError(f"study {study_uid} is {row['state']}: nothing of it waits")
            elif row["score_exam"] is not None and row["state"] != StudyState.CANCELED.value:
                apply_event(connection, row, StudyEvent.CANCELED, now, detail, reason=reason)
            else:
                note(connection, study_uid, StudyEvent.CANCELED.value, now, detail)
            return given_up

    def set_priority(self, study_uid: str, priority: Priority, by: str, now: datetime) -> Priority:
        """Make a study as urgent as a person says, whatever its sender and its images say, now or later.

        Returns:
            What it was before.

        Raises:
            PermanentError: The ledger has no such study.
        """
        with self._engine.begin() as connection:
            row = _lock(connection, study_uid)
            # told anew, so that it waits in the queue of its priority
            connection.execute(
                update(studies)
                .where(studies.c.study_uid == study_uid)
                .values(priority=priority.rank, priority_set=1, published_at=None)
            )
            note(connection, study_uid, _PRIORITY_SET, now, f"{priority} by {by}" if by else priority.value)
            return Priority.of_rank(row["priority"])


def _give_up_deliveries(connection: Connection, study_uid: str, reason: str, now: datetime) -> int:
    lacking = and_(deliveries.c.study_uid == study_uid, deliveries.c.state.in_(UNDELIVERED))
    found = connection.execute(select(func.count()).select_from(deliveries).where(lacking)).scalar_one()
    # the lease stays: who holds it, or held it, may have brought the result there
    connection.execute(
        update(deliveries)
        .where(lacking)
        .values(
            state=DeliveryState.CANCELED.value,
            next_at=None,
            published_at=None,
            settled_at=now,
            status="",
            comment=reason,
        )
    )
    return found


def _lock(connection: Connection, study_uid: str) -> RowMapping:
    try:
        return lock_study(connection, study_uid)
    except LedgerConflictError as error:
        raise PermanentError(str(error)) from error
