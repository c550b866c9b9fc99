"""The ledger's side for people: what shall be tried again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, RowMapping

from dibmg_node.domain.lifecycle import StudyEvent, StudyState
from dibmg_node.domain.result import Wanted
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.owing import close_if_delivered, give_up_unwanted, owe_again
from dibmg_node.storage.remains import find_remains
from dibmg_node.storage.study_row import apply_event, lock_study, note

_WAITING_FOR_DESTINATIONS = (StudyState.ANALYZED.value, StudyState.FAILED.value)


class Retry(StrEnum):
    """What a person wants to be tried again."""

    AUTOMATIC = "automatic"
    ANALYSIS = "analysis"
    DELIVERY = "delivery"


class Retries:
    """Takes what a person asks to be tried again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(
        self, study_uid: str, now: datetime, what: Retry = Retry.AUTOMATIC, wanted: Wanted | None = None
    ) -> Retry:
        """A person asks for another try.

        AUTOMATIC means: of the whole analysis, where that failed or was canceled, or every result is
        delivered; else of what the destinations refused or have not taken yet, or what of it was given up.
        DELIVERY sends everything again, also what a destination said that it has. What a destination is not
        to get any more is not sent, and no longer owed.

        Args:
            study_uid: The study.
            now: The time.
            what: To try.
            wanted: What destinations are to get; None: whatever they are owed.

        Returns:
            What is tried again, DELIVERY or ANALYSIS.

        Raises:
            PermanentError: The ledger has no such study, it is being analyzed just now, it was purged and
                its images are not all here again, or it has no result to deliver.
        """
        with self._engine.begin() as connection:
            try:
                row = lock_study(connection, study_uid)
                if row["purged_at"]:
                    # the files of its results are gone, so that there is nothing to deliver before it is read
                    if what is Retry.DELIVERY or find_remains(connection, study_uid).lacking:
                        when = row["purged_at"].isoformat(timespec="seconds")
                        raise PermanentError(
                            f"study {study_uid} was purged at {when}; "
                            "it is read again when its images come again"
                        )
                    what = Retry.ANALYSIS
                if what is not Retry.ANALYSIS and not (what is Retry.AUTOMATIC and _lacks_analysis(row)):
                    even_stored = what is Retry.DELIVERY
                    given_up = wanted is not None and give_up_unwanted(connection, study_uid, wanted, now)
                    if owe_again(connection, study_uid, now, even_stored=even_stored, wanted=wanted):
                        _redeliver(connection, row, now)
                        return Retry.DELIVERY
                    if given_up and row["state"] in _WAITING_FOR_DESTINATIONS:
                        _redeliver(connection, row, now)
                        close_if_delivered(connection, study_uid, now)
                        return Retry.DELIVERY
                    if even_stored:
                        raise PermanentError(f"study {study_uid} has no result to deliver")
                apply_event(
                    connection,
                    row,
                    StudyEvent.RETRY_ASKED,
                    now,
                    attempts=0,
                    published_at=None,
                    due_at=None,
                    purged_at=None,
                    reason="",
                )
                return Retry.ANALYSIS
            except LedgerConflictError as error:
                raise PermanentError(str(error)) from error


def _lacks_analysis(row: RowMapping) -> bool:
    """Whether a study's analysis failed, or was given up before it ended."""
    if row["state"] == StudyState.CANCELED.value:
        return row["attempts"] == 0 or row["score_exam"] is None
    return bool(row["state"] == StudyState.FAILED.value and row["score_exam"] is None)


def _redeliver(connection: Connection, row: RowMapping, now: datetime) -> None:
    """A study whose scores stand owes results again; one without scores keeps its state."""
    if (
        row["state"] in (StudyState.FAILED.value, StudyState.DELIVERED.value, StudyState.CANCELED.value)
        and row["score_exam"] is not None
    ):
        apply_event(connection, row, StudyEvent.REDELIVERY_ASKED, now, reason="")
    else:
        note(connection, row["study_uid"], StudyEvent.REDELIVERY_ASKED.value, now)
