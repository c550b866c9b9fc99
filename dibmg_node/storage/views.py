"""What people and programs ask of the ledger: queries that wait for no writer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Engine,
    RowMapping,
    and_,
    func,
    select,
    union,
)

from dibmg_node.domain.lifecycle import DeliveryState, StudyState
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.course_rows import course_json
from dibmg_node.storage.destination_views import EVER, DestinationView, at_destination, destination_view
from dibmg_node.storage.distinct import distinct, last_of_each
from dibmg_node.storage.facts_json import load_facts
from dibmg_node.storage.lacking import Lacking, count_lacking
from dibmg_node.storage.schema import (
    analyses,
    beats,
    deliveries,
    history,
    instances,
    results,
    studies,
    verdicts,
)
from dibmg_node.storage.selftests import is_patients
from dibmg_node.storage.tally import count_delivered


@dataclass(frozen=True)
class Beat:
    """The last sign of life of one process."""

    process: str
    at: datetime
    since: datetime
    pid: int
    detail: str


class Views:
    """Read-only questions to the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count_by_state(self) -> dict[str, int]:
        """Number of studies in every state, zero included; self-tests are not counted.

        The delivered ones are not counted but added up: they alone are many.
        """
        counted = [state.value for state in StudyState if state is not StudyState.DELIVERED]
        with self._engine.connect() as connection:
            by_state = select(studies.c.state, func.count()).group_by(studies.c.state)
            rows = connection.execute(by_state.where(studies.c.state.in_(counted)))
            found = {state.value: 0 for state in StudyState} | dict(rows.tuples().all())
            tests = connection.execute(by_state.where(studies.c.sender == SELFTEST_AET)).tuples().all()
            found |= {StudyState.DELIVERED.value: count_delivered(connection)}
        return found | {state: found[state] - count for state, count in tests}

    def oldest_waiting(self) -> datetime | None:
        """When the last instance came of the study that waits longest for its analysis."""
        oldest = select(func.min(studies.c.last_instance_at)).where(is_patients())
        with self._engine.connect() as connection:
            # each state by itself is one step into an index; both together PostgreSQL looks for among all
            by_state = [
                oldest.where(studies.c.state == state.value).scalar_subquery()
                for state in (StudyState.READY, StudyState.ANALYZING)
            ]
            found = connection.execute(select(*by_state)).one()
        return min((at for at in found if at is not None), default=None)

    def failed_since(self, moment: datetime) -> int:
        """Studies that are FAILED, and whose analysis failed or whose results were refused after a moment.

        Both are found by their own time: a study may fail long after its last image, as after a pause.
        """
        broken = select(analyses.c.study_uid).where(
            analyses.c.at >= moment, analyses.c.outcome == Outcome.FAILED.value
        )
        with self._engine.connect() as connection:
            refused = select(deliveries.c.study_uid).where(
                deliveries.c.destination.in_(list(distinct(connection, deliveries.c.destination))),
                deliveries.c.state == DeliveryState.REFUSED.value,
                deliveries.c.settled_at >= moment,
            )
            lately = union(broken, refused).subquery("lately")
            return connection.execute(
                select(func.count())
                .select_from(lately.join(studies, studies.c.study_uid == lately.c.study_uid))
                .where(studies.c.state == StudyState.FAILED.value, is_patients())
            ).scalar_one()

    def last_received(self) -> dict[str, datetime]:
        """When each sender sent its last instance."""
        with self._engine.connect() as connection:
            found = last_of_each(connection, studies.c.sender, studies.c.last_instance_at)
        return {sender: at for sender, at in found.items() if sender != SELFTEST_AET}

    def beats(self) -> list[Beat]:
        """Signs of life of every process that has not ended on purpose."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(beats).order_by(beats.c.process)).mappings()
            return [Beat(r["process"], r["at"], r["since"], r["pid"], r["detail"]) for r in rows]

    def lacking(self, late_before: datetime) -> Mapping[str, Lacking]:
        """What each destination lacks, and how much of that since before a moment."""
        with self._engine.connect() as connection:
            return count_lacking(connection, late_before)

    def destination(
        self, name: str, stored_since: datetime | None = None, lacking: Lacking | None = None
    ) -> DestinationView:
        """What is owed to one destination, and how it answers.

        Args:
            name: Of the destination.
            stored_since: Count results as stored from here on; None: all, which takes long where they are
                millions.
            lacking: What it lacks, where that was counted already.
        """
        with self._engine.connect() as connection:
            return destination_view(connection, name, stored_since or EVER, lacking)

    def undelivered(self, destination: str, most: int) -> list[str]:
        """UIDs of studies that a destination lacks results of: those tried most often, then refused ones."""
        uids: dict[str, None] = {}
        with self._engine.connect() as connection:
            for state in (DeliveryState.OWED, DeliveryState.REFUSED):
                query = select(deliveries.c.study_uid).where(at_destination(destination, state))
                rows = connection.scalars(query.order_by(deliveries.c.attempts.desc()).limit(20 * most))
                uids.update(dict.fromkeys(rows))
        return list(uids)[:most]

    def studies_from(self, sender: str, since: datetime) -> int:
        """Studies of a sender whose last image came after a moment."""
        condition = and_(studies.c.sender == sender, studies.c.last_instance_at >= since)
        with self._engine.connect() as connection:
            query = select(func.count()).select_from(studies).where(condition)
            return connection.execute(query).scalar_one()

    def study(self, study_uid: str) -> dict[str, Any] | None:
        """Everything about one study; None where the ledger has no such study."""
        with self._engine.connect() as connection:
            row = (
                connection.execute(select(studies).where(studies.c.study_uid == study_uid))
                .mappings()
                .one_or_none()
            )
            if row is None:
                return None

            def rows_of(table: Any, *order: Any) -> Sequence[Mapping[str, Any]]:
                query = select(table).where(table.c.study_uid == study_uid).order_by(*order)
                return connection.execute(query).mappings().all()  # type: ignore[return-value]

            judged = {verdict["sop_uid"]: verdict for verdict in rows_of(verdicts)}
            stored = rows_of(instances, instances.c.received_at)
            readings = {one["revision"]: one["reading"] for one in rows_of(analyses)}
            reading = json.loads(readings.get(row["revision"], "null"))
            owed = rows_of(deliveries, deliveries.c.destination, deliveries.c.result_uid)
            events = rows_of(history, history.c.id)
            return {
                "study_uid": study_uid,
                "state": row["state"],
                "revision": row["revision"],
                "reason": row["reason"] or _waiting_for(row, stored),
                "scores": _scores(row) | _probability(reading),
                "sender": row["sender"],
                "selftest": row["sender"] == SELFTEST_AET,
                "priority": Priority.of_rank(row["priority"]).value,
                "attempts": row["attempts"],
                "purged_at": _iso(row["purged_at"]),
                "instances": [_instance(one, judged.get(one["sop_uid"]), row) for one in stored],
                "results": [
                    {
                        "sop_uid": one["sop_uid"],
                        "kind": one["kind"],
                        "sha256": one["sha256"],
                        "view": one["view"],
                        "revision": one["revision"],
                        "current": one["revision"] == row["revision"] and one["replaced_at"] is None,
                        "withdraws": one["withdraws"] or None,
                        "size": one["size"],
                        "purged": one["purged_at"] is not None,
                    }
                    for one in rows_of(results, results.c.revision, results.c.kind, results.c.view)
                ],
                "deliveries": [
                    {
                        "destination": one["destination"],
                        "sop_uid": one["result_uid"],
                        "state": one["state"],
                        "attempts": one["attempts"],
                        "status": one["status"],
                        "comment": one["comment"],
                        "proof": one["proof"],
                        "next_at": _iso(one["next_at"]),
                        "owed_since": one["owed_since"].isoformat(),
                        "settled_at": _iso(one["settled_at"]),
                    }
                    for one in owed
                ],
                "timeline": [
                    {"at": one["at"].isoformat(), "event": one["event"], "detail": one["detail"]}
                    for one in events
                ],
                "steps": course_json(row, stored, events, owed),
                "reading": reading,
            }


def _waiting_for(row: RowMapping, stored: Sequence[Mapping[str, Any]]) -> str:
    """Why a study that is still coming in has no result yet."""
    if row["state"] != StudyState.RECEIVING.value or row["due_at"] is None:
        return ""
    until = f"further images are waited for until {row['due_at'].isoformat(timespec='seconds')}"
    if row["standard_views"]:
        return until
    there = {load_facts(one["facts"]).view_key for one in stored}
    missing = ", ".join(str(key) for key in STANDARD_VIEWS if key not in there)
    return f"missing views: {missing}; {until}" if missing else until


def _scores(row: Mapping[str, Any] | RowMapping) -> dict[str, float | None]:
    return {"exam": row["score_exam"], "R": row["score_r"], "L": row["score_l"]}


def _probability(reading: Mapping[str, Any] | None) -> dict[str, float]:
    """Probability of cancer of the exam; nothing where its scores were not calibrated."""
    scores = (reading or {}).get("scores") or {}
    return {"probability": scores["probability"]} if "probability" in scores else {}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _unjudged(row: Mapping[str, Any], study: RowMapping) -> tuple[str, str]:
    """Code and sentence of an instance that no reading has looked at."""
    if row["purged_at"]:
        return "PURGED", "purged from the archive, and not in the last reading"
    if study["purged_at"]:
        enough = "its four standard views, or all of its mammograms,"
        return "STUDY_PURGED", f"came after the study was purged: it is read again once {enough} are here"
    if study["state"] == StudyState.CANCELED.value:
        return "NOT_JUDGED", "not judged: the study was given up before"
    return "NOT_JUDGED", "not judged yet"


def _instance(row: Mapping[str, Any], verdict: Mapping[str, Any] | None, study: RowMapping) -> dict[str, Any]:
    facts = load_facts(row["facts"])
    code, sentence = (verdict["code"], verdict["sentence"]) if verdict else _unjudged(row, study)
    return {
        "sop_uid": row["sop_uid"],
        "view": facts.view.value if facts.view else None,
        "laterality": facts.laterality.value if facts.laterality else None,
        "used": bool(verdict["used"]) if verdict else None,
        "code": code,
        "sentence": sentence,
        "kind": facts.kind.value,
        "sop_class_uid": facts.sop_class_uid,
        "rows": facts.rows,
        "columns": facts.columns,
        "size": row["size"],
        "received_at": row["received_at"].isoformat(),
        "purged": row["purged_at"] is not None,
    }
