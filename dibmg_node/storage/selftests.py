"""Self-tests in the ledger: registered before they begin, wiped out at their end, remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    case,
    delete,
    exists,
    insert,
    select,
    update,
)

from dibmg_node.domain.selftest import SELFTEST_AET, StepOutcome, broken, is_selftest_uid
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import instances, metadata, results, selftests, studies

_KEPT: Final = 100
"""Self-tests that are remembered."""


def is_patients() -> ColumnElement[bool]:
    """Studies that are no self-tests: what is counted, listed and given out.

    Intake lets nobody else store under the AE title that self-tests call themselves.
    """
    return studies.c.sender != SELFTEST_AET


@dataclass(frozen=True)
class OpenSelfTest:
    """A self-test that is running.

    Attributes:
        until: It is over by then, whatever it found.
        port: Of its PACS, on the loopback address; 0: it only asks to be let in, and sends nothing.
        digests: SHA-256 of the data set of each of its images, by SOP Instance UID: nothing else is taken.
    """

    study_uid: str
    started_at: datetime
    until: datetime
    port: int
    digests: Mapping[str, str]


@dataclass(frozen=True)
class EndedSelfTest:
    """What came of a self-test.

    Attributes:
        broken_step: Empty where none broke.
        reason: What was found there, and what is to be done.
        steps: As `StepOutcome.as_json` tells them.
    """

    study_uid: str
    started_at: datetime
    ended_at: datetime
    broken_step: str
    reason: str
    steps: Sequence[Mapping[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether no step broke."""
        return not self.broken_step

    @property
    def seconds(self) -> float:
        """From its first step to its last."""
        return (self.ended_at - self.started_at).total_seconds()


class SelfTests:
    """Registers self-tests and ends them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def register(self, test: OpenSelfTest) -> None:
        """Announce a self-test: from now on intake takes its images, and delivery knows its PACS.

        One that sends nothing gives way to it.

        Raises:
            PermanentError: Another one is running.
            ValueError: Its UID is none of those that only self-tests use.
        """
        if not is_selftest_uid(test.study_uid):
            raise ValueError(f"{test.study_uid} is no UID of a self-test")
        with self._engine.begin() as connection:
            opened = connection.execute(_open().with_for_update()).mappings().all()
            running = [row for row in opened if row["until"] > test.started_at]
            if any(row["port"] or not test.port for row in running):
                raise PermanentError(f"another self-test is running until {running[0]['until']:%H:%M:%S} UTC")
            for row in running:
                connection.execute(delete(selftests).where(selftests.c.study_uid == row["study_uid"]))
            connection.execute(
                insert(selftests).values(
                    study_uid=test.study_uid,
                    started_at=test.started_at,
                    until=test.until,
                    port=test.port,
                    digests=json.dumps(dict(test.digests)),
                )
            )

    def cancel(self, study_uid: str) -> None:
        """Take an announcement back: nothing was sent, and nothing is remembered."""
        with self._engine.begin() as connection:
            unended = selftests.c.study_uid == study_uid, selftests.c.ended_at.is_(None)
            connection.execute(delete(selftests).where(*unended))

    def running(self, now: datetime) -> OpenSelfTest | None:
        """The self-test that is running, if there is one."""
        with self._reading.connect() as connection:
            row = connection.execute(_open().where(selftests.c.until > now)).mappings().first()
            return None if row is None else _opened(row)

    def cancel_left(self, now: datetime) -> None:
        """Take back the announcements of those that sent nothing and were killed."""
        with self._engine.begin() as connection:
            silent = selftests.c.ended_at.is_(None), selftests.c.port == 0
            connection.execute(delete(selftests).where(*silent, selftests.c.until <= now))

    def left(self, now: datetime) -> list[str]:
        """UIDs of self-tests that nobody ended in time."""
        with self._reading.connect() as connection:
            over = _open().where(selftests.c.until <= now, selftests.c.port != 0)
            rows = connection.execute(over).mappings()
            return [str(row["study_uid"]) for row in rows]

    def unremoved(self) -> list[str]:
        """UIDs of self-tests that have ended, and whose study is there nevertheless."""
        there = exists().where(studies.c.study_uid == selftests.c.study_uid)
        query = select(selftests.c.study_uid).where(selftests.c.ended_at.is_not(None), there)
        with self._reading.connect() as connection:
            return list(connection.scalars(query))

    def end(self, study_uid: str, steps: Sequence[StepOutcome], now: datetime) -> None:
        """Enter what came of a self-test; only the newest ones are remembered.

        Raises:
            LedgerConflictError: It has ended already.
        """
        fault = broken(steps)
        with self._engine.begin() as connection:
            ended = connection.execute(
                update(selftests)
                .where(selftests.c.study_uid == study_uid, selftests.c.ended_at.is_(None))
                .values(
                    ended_at=now,
                    broken_step=fault.step.value if fault else "",
                    reason=f"{fault.found}: {fault.remedy}" if fault else "",
                    steps=json.dumps([one.as_json() for one in steps]),
                )
            ).rowcount
            if not ended:
                raise LedgerConflictError(f"self-test {study_uid} has ended already")
            _forget_old(connection, now)

    def last(self, now: datetime) -> EndedSelfTest | None:
        """The newest one that has ended."""
        query = (
            select(selftests).where(selftests.c.ended_at.is_not(None)).order_by(*_newest_first(now)).limit(1)
        )
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return EndedSelfTest(
            row["study_uid"],
            row["started_at"],
            row["ended_at"],
            row["broken_step"],
            row["reason"],
            json.loads(row["steps"]),
        )

    def last_passed_at(self, now: datetime) -> datetime | None:
        """When the newest one ended whose steps all passed."""
        query = (
            select(selftests.c.ended_at)
            .where(selftests.c.ended_at.is_not(None), selftests.c.broken_step == "")
            .order_by(*_newest_first(now))
            .limit(1)
        )
        with self._reading.connect() as connection:
            at: datetime | None = connection.execute(query).scalar_one_or_none()
            return at

    def wipe(self, study_uid: str, remove: Callable[[Sequence[str], Sequence[str]], int]) -> int:
        """Remove a self-test's study: every row, and before that every file.

        The ledger is not locked while files go; what came meanwhile goes next. One that is broken off leaves
        the rows, by which it is found again.

        Args:
            study_uid: Of the self-test.
            remove: Removes the files of these instances and of these results; returns their bytes.

        Returns:
            Bytes of the files.

        Raises:
            ValueError: It is no self-test: nothing of a patient is removed here.
        """
        if not is_selftest_uid(study_uid):
            raise ValueError(f"{study_uid} is no UID of a self-test")
        with self._reading.connect() as connection:
            going = _files_of(connection, study_uid)
        freed = remove(*going)
        while True:
            with self._engine.begin() as connection:
                mine = studies.c.study_uid == study_uid
                connection.execute(select(studies.c.study_uid).where(mine).with_for_update())
                found = _files_of(connection, study_uid)
                if found == going:
                    for table in reversed(metadata.sorted_tables):
                        if "study_uid" in table.c and table is not selftests:
                            connection.execute(delete(table).where(table.c.study_uid == study_uid))
                    return freed
            going = found
            freed += remove(*going)


def _files_of(connection: Connection, study_uid: str) -> tuple[Sequence[str], Sequence[str]]:
    """UIDs of the instances and of the results of a study."""
    found = [
        sorted(connection.scalars(select(held.c.sop_uid).where(held.c.study_uid == study_uid)))
        for held in (instances, results)
    ]
    return found[0], found[1]


def _open() -> Any:
    return select(selftests).where(selftests.c.ended_at.is_(None)).order_by(selftests.c.started_at.desc())


def _opened(row: RowMapping) -> OpenSelfTest:
    return OpenSelfTest(
        row["study_uid"], row["started_at"], row["until"], row["port"], json.loads(row["digests"])
    )


def _newest_first(now: datetime) -> tuple[ColumnElement[Any], ...]:
    """Their order; what a clock that ran ahead has dated after now was before all that is dated rightly."""
    return case((selftests.c.started_at > now, 1), else_=0), selftests.c.started_at.desc()


def _forget_old(connection: Connection, now: datetime) -> None:
    newest = select(selftests.c.study_uid).order_by(*_newest_first(now)).limit(_KEPT)
    connection.execute(
        delete(selftests).where(
            selftests.c.ended_at.is_not(None), selftests.c.study_uid.not_in(newest.scalar_subquery())
        )
    )
