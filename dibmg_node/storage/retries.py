"""The ledger's side for people: what shall be tried again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, exists, select

from dibmg_node.domain.lifecycle import DeliveryState, StudyEvent, StudyState
from dibmg_node.domain.result import Wanted
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.destination_views import at_destination
from dibmg_node.storage.engine import reading
from dibmg_node.storage.giving_up import give_up_unwanted
from dibmg_node.storage.owing import close_if_delivered, owe_again
from dibmg_node.storage.remains import find_remains
from dibmg_node.storage.schema import deliveries, studies
from dibmg_node.storage.selftests import is_patients
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
                    everything = what is Retry.DELIVERY
                    if _send_again(connection, row, now, wanted, even_stored=everything):
                        return Retry.DELIVERY
                    if everything:
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

    def refused_by(self, destination: str, since: datetime) -> Sequence[str]:
        """Studies of which a destination has refused a result, those that have waited longest first.

        Args:
            destination: Its name, or that of one which the configuration had.
            since: Of studies whose last image came at this time or later.
        """
        return self._uids(
            studies.c.purged_at.is_(None),
            studies.c.last_instance_at >= since,
            exists().where(
                deliveries.c.study_uid == studies.c.study_uid,
                at_destination(destination, DeliveryState.REFUSED),
            ),
        )

    def unread(self, since: datetime) -> Sequence[str]:
        """Studies whose analysis failed, those that have waited longest first; arguments as `refused_by`."""
        return self._uids(
            studies.c.purged_at.is_(None),
            studies.c.last_instance_at >= since,
            studies.c.state == StudyState.FAILED.value,
            studies.c.score_exam.is_(None),
        )

    def send_again(
        self, study_uid: str, destination: str, now: datetime, wanted: Wanted | None = None
    ) -> bool:
        """A person asks for another try of what one destination lacks of a study.

        Args:
            study_uid: The study.
            destination: The name of the destination.
            now: The time.
            wanted: As for `ask`.

        Returns:
            Whether anything will be sent; else the destination is not to get any more what it lacks.

        Raises:
            PermanentError: The ledger has no such study, or it was purged.
        """
        with self._engine.begin() as connection:
            try:
                row = lock_study(connection, study_uid)
            except LedgerConflictError as error:
                raise PermanentError(str(error)) from error
            if row["purged_at"]:
                raise PermanentError(f"study {study_uid} was purged")
            _send_again(connection, row, now, wanted, destination=destination)
            owed = at_destination(destination, DeliveryState.OWED)
            found = select(deliveries.c.result_uid).where(deliveries.c.study_uid == study_uid, owed).limit(1)
            return connection.execute(found).first() is not None

    def _uids(self, *which: ColumnElement[bool]) -> Sequence[str]:
        oldest_first = studies.c.last_instance_at, studies.c.study_uid
        with reading(self._engine).connect() as connection:
            found = connection.execute(
                select(studies.c.study_uid).where(is_patients(), *which).order_by(*oldest_first)
            )
            return [str(row.study_uid) for row in found]


def _lacks_analysis(row: RowMapping) -> bool:
    """Whether a study's analysis failed, or was given up before it ended."""
    if row["state"] == StudyState.CANCELED.value:
        return row["attempts"] == 0 or row["score_exam"] is None
    return bool(row["state"] == StudyState.FAILED.value and row["score_exam"] is None)


def _send_again(
    connection: Connection,
    row: RowMapping,
    now: datetime,
    wanted: Wanted | None,
    *,
    even_stored: bool = False,
    destination: str | None = None,
) -> bool:
    """Owe what is lacking of a study again, and give up what nobody is to get; whether there was any."""
    study_uid = row["study_uid"]
    given_up = wanted is not None and give_up_unwanted(connection, study_uid, wanted, now, destination)
    if owe_again(connection, study_uid, now, even_stored=even_stored, wanted=wanted, destination=destination):
        _redeliver(connection, row, now)
        return True
    if given_up and row["state"] in _WAITING_FOR_DESTINATIONS:
        _redeliver(connection, row, now)
        close_if_delivered(connection, study_uid, now)
        return True
    return False


def _redeliver(connection: Connection, row: RowMapping, now: datetime) -> None:
    """A study whose scores stand owes results again; one without scores keeps its state."""
    if (
        row["state"] in (StudyState.FAILED.value, StudyState.DELIVERED.value, StudyState.CANCELED.value)
        and row["score_exam"] is not None
    ):
        apply_event(connection, row, StudyEvent.REDELIVERY_ASKED, now, reason="")
    else:
        note(connection, row["study_uid"], StudyEvent.REDELIVERY_ASKED.value, now)
