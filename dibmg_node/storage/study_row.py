"""One step of one study's life inside a transaction: the row, the event, the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from dibmg_node.domain.lifecycle import StudyEvent, StudyState, next_state
from dibmg_node.domain.study import Laterality, Verdict
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.schema import history, studies, verdicts

_CHANGE: Final = update(studies).where(studies.c.study_uid == bindparam("of_study"))
_NOTE: Final = insert(history)
"""Made once, and given the values of their columns when they are run: every step of a study needs them."""


def lock_study(connection: Connection, study_uid: str) -> RowMapping:
    """The study's row, held until the transaction ends.

    Raises:
        LedgerConflictError: The ledger has no such study.
    """
    row = (
        connection.execute(select(studies).where(studies.c.study_uid == study_uid).with_for_update())
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise LedgerConflictError(f"no study {study_uid} in the ledger")
    return row


def breast_scores(row: RowMapping) -> dict[Laterality, float]:
    """Scores of the breasts that a study's last reading read."""
    scores = {Laterality.RIGHT: row["score_r"], Laterality.LEFT: row["score_l"]}
    return {side: score for side, score in scores.items() if score is not None}


def apply_event(
    connection: Connection,
    row: RowMapping,
    event: StudyEvent,
    now: datetime,
    detail: str = "",
    **changes: Any,
) -> StudyState:
    """Move a study by one event, change its columns and enter it in the history.

    Raises:
        LedgerConflictError: The event cannot happen in the state that the study is in.
    """
    state = next_state(StudyState(row["state"]), event)
    connection.execute(_CHANGE, {"of_study": row["study_uid"], "state": state.value, **changes})
    note(connection, row["study_uid"], event.value, now, detail)
    return state


def note(connection: Connection, study_uid: str, event: str, now: datetime, detail: str = "") -> None:
    """Enter something that happened in the history."""
    connection.execute(_NOTE, {"study_uid": study_uid, "at": now, "event": event, "detail": detail})


def replace_verdicts(connection: Connection, study_uid: str, new: Sequence[Verdict]) -> None:
    """Enter verdicts; those of other instances of the study stay."""
    for verdict in new:
        connection.execute(
            delete(verdicts).where(verdicts.c.study_uid == study_uid, verdicts.c.sop_uid == verdict.sop_uid)
        )
        connection.execute(
            insert(verdicts).values(
                study_uid=study_uid,
                sop_uid=verdict.sop_uid,
                used=int(verdict.used),
                code=verdict.code,
                sentence=verdict.sentence,
            )
        )
