"""Follow-ups in the ledger: matched to studies, corrected with their history kept, read with the scores."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from dibmg_node.domain.device import Device
from dibmg_node.domain.follow_up import FollowUp, Truth, cancer_read, corrected
from dibmg_node.domain.study import Laterality
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import (
    exam_scores,
    follow_up_figures,
    follow_ups,
    score_series,
    studies,
    study_keys,
)
from dibmg_node.storage.selftests import is_patients
from dibmg_node.storage.study_row import breast_scores

_AT_ONCE: Final = 500
"""Values of one query: SQLite takes no more than some thousands."""
_FIGURES: Final = "outcomes"

Known = dict[Laterality | None, FollowUp]


@dataclass(frozen=True)
class Entered:
    """What an import changed.

    Attributes:
        new: Entries of what nothing was known of.
        corrected: Entries that replaced others.
        unchanged: Entries that said what was known.
        withdrawn: Entries of single breasts that ended because the whole exam was told of anew, and those of
            whole exams that ended because both breasts were.
    """

    new: int = 0
    corrected: int = 0
    unchanged: int = 0
    withdrawn: int = 0


@dataclass(frozen=True)
class FollowUpEntry:
    """A follow-up as the ledger has it.

    Attributes:
        replaced_at: When another one took its place; None: it holds.
    """

    follow_up: FollowUp
    entered_at: datetime
    replaced_at: datetime | None

    @property
    def sentence(self) -> str:
        """For people."""
        one = self.follow_up
        told = " ".join(filter(None, (one.truth.value, _letter(one.laterality), one.found_on, one.source)))
        ended = f", corrected {self.replaced_at:%Y-%m-%d}" if self.replaced_at else ""
        return f"outcome   {told} (entered {self.entered_at:%Y-%m-%d}{ended})"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "outcome": self.follow_up.truth.value,
            "laterality": _letter(self.follow_up.laterality) or None,
            "date": self.follow_up.found_on or None,
            "source": self.follow_up.source or None,
            "entered_at": self.entered_at,
            "replaced_at": self.replaced_at,
        }


@dataclass(frozen=True)
class FollowedExam:
    """An exam that was read, and of which it is known what became of it.

    Attributes:
        read_at: When the model read it.
        weights_sha256: Of the weights that did.
        score, threshold: Of the exam, and the operating point that it was read at.
        breasts: Scores of the breasts, as far as they were read.
        known: What became of it, by breast (None: the whole exam).
    """

    study_uid: str
    read_at: datetime
    weights_sha256: str
    device: Device
    score: float
    threshold: float
    breasts: Mapping[Laterality, float]
    known: Mapping[Laterality | None, FollowUp]

    @property
    def cancer(self) -> bool | None:
        """Whether there was one, in whichever breast; None: only where nothing was read."""
        return cancer_read(self.known, self.breasts)


class FollowUps:
    """Enters follow-ups, and gives them out with the scores of their exams."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def matching(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """UIDs of the patients' studies that each key is of (`dicom.search_keys`); without any: left out."""
        query = select(study_keys.c.key, study_keys.c.study_uid).join(
            studies, studies.c.study_uid == study_keys.c.study_uid
        )
        found = defaultdict(list)
        with self._reading.connect() as connection:
            for some in _parts(keys):
                rows = connection.execute(query.where(study_keys.c.key.in_(some), is_patients()))
                for key, study_uid in rows.tuples():
                    found[key].append(study_uid)
        return dict(found)

    def present(self, study_uids: Sequence[str]) -> set[str]:
        """Those of these studies that are in the ledger, and no self-tests."""
        found: set[str] = set()
        with self._reading.connect() as connection:
            for some in _parts(study_uids):
                query = select(studies.c.study_uid).where(studies.c.study_uid.in_(some), is_patients())
                found.update(connection.scalars(query))
        return found

    def enter(self, told: Mapping[str, Sequence[FollowUp]], now: datetime) -> Entered:
        """Enter follow-ups by study, all of them or, should the ledger fail, none.

        Whoever enters the same again changes nothing, and leaves no trace.

        Args:
            told: By the UID of a study in the ledger; the later ones correct the earlier ones.
            now: The time.
        """
        counts = {"new": 0, "corrected": 0, "unchanged": 0, "withdrawn": 0}
        with self._engine.begin() as connection:
            for some in _parts(sorted(told)):
                # of two imports at the same time the second one sees what the first one entered
                connection.execute(
                    select(studies.c.study_uid)
                    .where(studies.c.study_uid.in_(some))
                    .order_by(studies.c.study_uid)
                    .with_for_update()
                )
                known = _current(connection, some)
                for study_uid in some:
                    before = known.get(study_uid, {})
                    after = corrected(before, told[study_uid])
                    for key in [*after, *(one for one in before if one not in after)]:
                        counts[_replace(connection, study_uid, before.get(key), after.get(key), now)] += 1
        return Entered(**counts)

    def history(self, study_uid: str) -> list[FollowUpEntry]:
        """Everything that was ever told of a study, in its order."""
        query = select(follow_ups).where(follow_ups.c.study_uid == study_uid).order_by(follow_ups.c.id)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [FollowUpEntry(_follow_up(row), row["entered_at"], row["replaced_at"]) for row in rows]

    def known(self, study_uids: Sequence[str]) -> dict[str, Known]:
        """What is known of some studies, by study and breast."""
        found = {}
        with self._reading.connect() as connection:
            for some in _parts(study_uids):
                found.update(_current(connection, some))
        return found

    def exams(self) -> list[FollowedExam]:
        """Every patient's exam that was read and is followed up, in the order in which they were read."""
        with self._reading.connect() as connection:
            known: defaultdict[str, Known] = defaultdict(dict)
            told = select(follow_ups).where(follow_ups.c.replaced_at.is_(None)).order_by(follow_ups.c.id)
            for row in connection.execute(told).mappings():
                one = _follow_up(row)
                known[row["study_uid"]][one.laterality] = one
            followed = select(follow_ups.c.study_uid).where(follow_ups.c.replaced_at.is_(None))
            rows = connection.execute(
                select(exam_scores, score_series, studies.c.score_r, studies.c.score_l)
                .join(score_series, score_series.c.series == exam_scores.c.series)
                .join(studies, studies.c.study_uid == exam_scores.c.study_uid)
                .where(is_patients(), exam_scores.c.study_uid.in_(followed))
                .order_by(exam_scores.c.at, exam_scores.c.study_uid)
            ).mappings()
            return [
                FollowedExam(
                    row["study_uid"],
                    row["at"],
                    row["weights_sha256"],
                    Device(row["manufacturer"], row["model"], row["software"]),
                    row["score"],
                    row["threshold"],
                    breast_scores(row),
                    known[row["study_uid"]],
                )
                for row in rows
            ]

    def keep_figures(self, content: Mapping[str, Any], now: datetime) -> None:
        """Keep figures for those who only show them."""
        with self._engine.begin() as connection:
            connection.execute(delete(follow_up_figures).where(follow_up_figures.c.name == _FIGURES))
            connection.execute(
                insert(follow_up_figures).values(name=_FIGURES, at=now, content=json.dumps(content))
            )

    def figures(self) -> tuple[datetime, dict[str, Any]] | None:
        """The figures that were kept last, and when."""
        query = select(follow_up_figures).where(follow_up_figures.c.name == _FIGURES)
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else (row["at"], json.loads(row["content"]))


def _replace(
    connection: Connection, study_uid: str, before: FollowUp | None, after: FollowUp | None, now: datetime
) -> str:
    """Enter what is new of one breast, or of the whole exam; says what that was."""
    if before == after:
        return "unchanged"
    if before is not None:
        connection.execute(
            update(follow_ups)
            .where(
                follow_ups.c.study_uid == study_uid,
                follow_ups.c.laterality == _letter(before.laterality),
                follow_ups.c.replaced_at.is_(None),
            )
            .values(replaced_at=now)
        )
    if after is None:
        return "withdrawn"
    connection.execute(
        insert(follow_ups).values(
            study_uid=study_uid,
            laterality=_letter(after.laterality),
            truth=after.truth.value,
            found_on=after.found_on,
            source=after.source,
            entered_at=now,
        )
    )
    return "new" if before is None else "corrected"


def _current(connection: Connection, study_uids: Sequence[str]) -> dict[str, Known]:
    query = select(follow_ups).where(
        follow_ups.c.study_uid.in_(study_uids), follow_ups.c.replaced_at.is_(None)
    )
    found: defaultdict[str, Known] = defaultdict(dict)
    for row in connection.execute(query.order_by(follow_ups.c.id)).mappings():
        one = _follow_up(row)
        found[row["study_uid"]][one.laterality] = one
    return dict(found)


def _follow_up(row: Mapping[Any, Any]) -> FollowUp:
    side = Laterality(row["laterality"]) if row["laterality"] else None
    return FollowUp(Truth(row["truth"]), side, row["found_on"], row["source"])


def _letter(side: Laterality | None) -> str:
    return "" if side is None else side.value


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[first : first + _AT_ONCE] for first in range(0, len(values), _AT_ONCE)]
