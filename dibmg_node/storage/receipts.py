"""The ledger's receiving side: instances stored, and when their study is complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import Connection, Engine, RowMapping, and_, or_, select, update
from sqlalchemy.exc import IntegrityError

from dibmg_node.domain.exam import has_standard_views, select_exam
from dibmg_node.domain.lifecycle import StudyEvent, StudyState
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.study import MAMMOGRAMS, Instance
from dibmg_node.storage import receipt_statements as statements
from dibmg_node.storage.engine import reading
from dibmg_node.storage.facts_json import dump_facts, load_facts
from dibmg_node.storage.group_commit import GroupCommit
from dibmg_node.storage.remains import find_remains
from dibmg_node.storage.schema import history, instances, studies
from dibmg_node.storage.study_row import apply_event, note, replace_verdicts

_SETTLED_AFTER = timedelta(seconds=2)
"""With the four standard views in, a study waits this long for further instances (PS3 knows no
"study finished"; a sender that closes its association ends the wait)."""

FILE_MISSING = "file missing"
FILE_BACK = "file back"
"""Events in a study's history; their detail is the SOP Instance UID."""


@dataclass(frozen=True)
class Patience:
    """How long a study may wait for further instances.

    Attributes:
        quiet: After its last instance, for a study without its four standard views.
        longest: After its first instance, whatever else comes.
    """

    quiet: timedelta
    longest: timedelta


@dataclass(frozen=True)
class Received:
    """An instance whose bytes are safe in the archive.

    Attributes:
        keys: Digests that its study is found by (`dicom.search_keys`).
        priority: Of its study, as far as this instance and its sender say.
    """

    instance: Instance
    size: int
    crc32: int
    sender: str
    keys: tuple[str, ...] = ()
    priority: Priority = Priority.ROUTINE


class Receipt(Enum):
    """What the ledger says to an instance."""

    NEW = "new"
    DUPLICATE = "duplicate"
    PURGED = "the bytes that were purged came again"
    DIFFERENT = "different bytes under a UID that is taken"


class Receipts:
    """Writes what intake received."""

    def __init__(self, engine: Engine, policy: ExamPolicy) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._group = GroupCommit(engine)
        self._policy = policy

    def known(self, sop_uid: str, size: int, crc32: int) -> Receipt:
        """Whether an instance is in the ledger already, with the same bytes or others."""
        with self._reading.connect() as connection:
            return _compare(connection, sop_uid, size, crc32)

    def holds(self, sop_uid: str, study_uid: str | None = None) -> bool:
        """Whether the archive should hold an instance (of a study): it was received, and not purged since."""
        query = select(instances.c.study_uid).where(
            instances.c.sop_uid == sop_uid, instances.c.purged_at.is_(None)
        )
        with self._reading.connect() as connection:
            found = connection.scalar(query)
        return found is not None and study_uid in (None, found)

    def store(self, received: Received, patience: Patience, now: datetime) -> Receipt:
        """Enter an instance; its study is RECEIVING again, one revision on.

        Objects that are no mammograms are entered too, but do not reopen a study that has been
        complete: a PACS may route reports, the node's own among them, back to the node. A study that was
        purged is opened again only once it can be read: see `_store_of_purged`.
        """

        def enter(connection: Connection) -> Receipt:
            return self._store(connection, received, patience, now)

        try:
            return self._group.run(enter)
        except IntegrityError:
            # another association entered the same instance, or another one of the same new study, at
            # once and was faster (PostgreSQL; SQLite has one writer): now its row is there to be seen
            return self._group.run(enter)

    def sender_done(self, study_uids: Iterable[str], now: datetime) -> None:
        """The association that brought these studies is closed: complete ones need not wait longer."""
        with self._engine.begin() as connection:
            connection.execute(
                update(studies)
                .where(
                    studies.c.study_uid.in_(list(study_uids)),
                    studies.c.state == StudyState.RECEIVING.value,
                    studies.c.standard_views == 1,
                )
                .values(due_at=now)
            )

    def returned(self, study_uid: str, sop_uid: str, now: datetime) -> None:
        """Enter that the archived file of an instance was gone, and that its bytes came again."""
        with self._engine.begin() as connection:
            note(connection, study_uid, FILE_BACK, now, sop_uid)

    def quarantined(self, study_uid: str, sop_uid: str, now: datetime) -> None:
        """Enter that other bytes came under a UID that is taken."""
        with self._engine.begin() as connection:
            note(connection, study_uid, "quarantined", now, f"other bytes under instance {sop_uid}")

    def complete_due(self, now: datetime) -> int:
        """Make every study READY whose wait is over; returns how many.

        So it is where the last instance lies further in the future than that: the clock was set back.
        """
        wait = studies.c.due_at - studies.c.last_instance_at
        over = or_(studies.c.due_at <= now, studies.c.last_instance_at - now >= wait)
        with self._engine.begin() as connection:
            due = (
                connection.execute(
                    select(studies)
                    .where(studies.c.state == StudyState.RECEIVING.value, over)
                    .limit(500)
                    .with_for_update(skip_locked=True)
                )
                .mappings()
                .all()
            )
            for row in due:
                detail = "four standard views" if row["standard_views"] else "quiet time over"
                apply_event(connection, row, StudyEvent.COMPLETE, now, detail, due_at=None, published_at=None)
            return len(due)

    def _store(
        self, connection: Connection, received: Received, patience: Patience, now: datetime
    ) -> Receipt:
        instance = received.instance
        receipt = _compare(connection, instance.sop_uid, received.size, received.crc32)
        if receipt in (Receipt.DUPLICATE, Receipt.DIFFERENT):
            return receipt
        row = self._study(connection, instance.study_uid)
        if row is None:
            self._open_study(connection, received, now)
        if receipt is Receipt.PURGED:
            connection.execute(statements.COME_BACK, {"of_instance": instance.sop_uid})
            # a purge that was killed may have been found as files that are missing
            told = and_(
                history.c.study_uid == instance.study_uid,
                history.c.detail == instance.sop_uid,
                history.c.event == FILE_MISSING,
            )
            if connection.execute(select(history.c.id).where(told).limit(1)).first():
                note(connection, instance.study_uid, FILE_BACK, now, instance.sop_uid)
        else:
            entry = {
                "sop_uid": instance.sop_uid,
                "study_uid": instance.study_uid,
                "facts": dump_facts(instance),
                "size": received.size,
                "crc32": received.crc32,
                "sender": received.sender,
                "received_at": now,
            }
            connection.execute(statements.ENTER, entry)
        _enter_keys(connection, received)
        waiting = row is None or row["state"] == StudyState.RECEIVING.value
        if row is not None and row["purged_at"] is not None and instance.kind in MAMMOGRAMS:
            self._store_of_purged(connection, received, patience, now, row)
        elif waiting or instance.kind in MAMMOGRAMS:
            # an old image that follows those which opened a purged study makes nothing of it new
            is_old = waiting and receipt is Receipt.PURGED
            claimed_at = row["claimed_at"] if row is not None and is_old else None
            self._receive(connection, received, patience, now, row, claimed_at)
        else:
            # nobody will read the study again for its sake, so its verdict is entered here
            alone = select_exam(instance.study_uid, [instance], self._policy)
            replace_verdicts(connection, instance.study_uid, alone.verdicts)
            note(connection, instance.study_uid, "other object stored", now, instance.sop_uid)
        return receipt

    def _store_of_purged(
        self, connection: Connection, received: Received, patience: Patience, now: datetime, row: RowMapping
    ) -> None:
        """A mammogram of a study that was purged.

        The study is opened again once its four standard views, or all of its mammograms, are here: what is
        left of it cannot be read before. Where nothing but the old images came, its results keep their time,
        and so their bytes.
        """
        study_uid = received.instance.study_uid
        remains = find_remains(connection, study_uid)
        whole = not remains.lacking
        if whole or has_standard_views(remains.here, self._policy, now.date()):
            same = whole and remains.newest is not None and remains.newest <= row["purged_at"]
            self._receive(connection, received, patience, now, row, row["claimed_at"] if same else None)
            return
        connection.execute(
            update(studies).where(studies.c.study_uid == study_uid).values(last_instance_at=now)
        )
        detail = f"{received.instance.sop_uid}; {remains.lacking} other images are purged"
        note(connection, study_uid, "image of a purged study stored", now, detail)

    def _open_study(self, connection: Connection, received: Received, now: datetime) -> None:
        row = {
            "study_uid": received.instance.study_uid,
            "state": StudyState.RECEIVING.value,
            "revision": 0,
            "sender": received.sender,
            "manufacturer": _printable(received.instance.manufacturer),
            "priority": received.priority.rank,
            "received_at": now,
            "receiving_since": now,
            "last_instance_at": now,
        }
        connection.execute(statements.OPEN, row)

    def _receive(
        self,
        connection: Connection,
        received: Received,
        patience: Patience,
        now: datetime,
        before: RowMapping | None,
        claimed_at: datetime | None = None,
    ) -> None:
        study_uid = received.instance.study_uid
        reopened = before is None or before["state"] != StudyState.RECEIVING.value
        since = now if before is None or reopened else before["receiving_since"]
        facts = [load_facts(one) for one in connection.scalars(statements.FACTS, {"of_study": study_uid})]
        complete = has_standard_views(facts, self._policy, now.date())
        wait = _SETTLED_AFTER if complete else patience.quiet
        row = before or self._study(connection, study_uid)
        assert row is not None
        apply_event(
            connection,
            row,
            StudyEvent.INSTANCE_STORED,
            now,
            received.instance.sop_uid,
            revision=row["revision"] + 1,
            sender=received.sender,
            receiving_since=since,
            last_instance_at=now,
            standard_views=int(complete),
            due_at=min(now + wait, max(now, since + patience.longest)),
            attempts=0,
            claimed_by=None,
            claimed_at=claimed_at,
            lease_until=None,
            purged_at=None,
            # the most urgent of its images counts, unless an operator said otherwise
            priority=row["priority"] if row["priority_set"] else min(row["priority"], received.priority.rank),
            reason="",
            score_exam=None,
            score_r=None,
            score_l=None,
        )
        connection.execute(statements.FORGET_VERDICTS, {"of_study": study_uid})

    def _study(self, connection: Connection, study_uid: str) -> RowMapping | None:
        """The study's row, held until the transaction ends."""
        return connection.execute(statements.STUDY, {"of_study": study_uid}).mappings().one_or_none()


def _enter_keys(connection: Connection, received: Received) -> None:
    """The keys that the study is not found by yet."""
    study_uid = received.instance.study_uid
    known = set(connection.scalars(statements.KEYS, {"of_study": study_uid}))
    new = [{"key": key, "study_uid": study_uid} for key in received.keys if key not in known]
    if new:
        connection.execute(statements.ENTER_KEYS, new)


def _printable(text: str) -> str:
    """What every database can hold of a header's text."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:64]


def _compare(connection: Connection, sop_uid: str, size: int, crc32: int) -> Receipt:
    row = connection.execute(statements.KNOWN, {"of_instance": sop_uid}).one_or_none()
    if row is None:
        return Receipt.NEW
    if (row.size, row.crc32) != (size, crc32):
        return Receipt.DIFFERENT
    return Receipt.DUPLICATE if row.purged_at is None else Receipt.PURGED
