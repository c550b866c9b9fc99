"""What an analysis leaves in the ledger, inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, delete, insert, update

from dibmg_node.domain.lifecycle import StudyEvent
from dibmg_node.domain.result import Result, Scores, model_seconds
from dibmg_node.domain.study import Laterality, Verdict
from dibmg_node.storage.exam_scores import ScoredExam, enter_score
from dibmg_node.storage.giving_up import supersede
from dibmg_node.storage.owing import close_if_delivered, enter_result, owe
from dibmg_node.storage.schema import analyses, instances
from dibmg_node.storage.shadow_facts import FirstReading
from dibmg_node.storage.shadow_readings import enter_due
from dibmg_node.storage.study_row import apply_event, replace_verdicts


class Outcome(StrEnum):
    """How an analysis ended."""

    ANALYZED = "analyzed"
    EXCLUDED = "excluded"
    FAILED = "failed"


_EVENTS: Final = {
    Outcome.ANALYZED: StudyEvent.REPORTED,
    Outcome.EXCLUDED: StudyEvent.EXCLUDED,
    Outcome.FAILED: StudyEvent.GIVEN_UP,
}


@dataclass(frozen=True)
class Analysis:
    """What one analysis leaves in the ledger.

    Attributes:
        reading: Scores, findings and exclusions, as `result.json` has them.
        results: With the UID of each one's series.
        owed: Names of the destinations that get each result, by its SOP Instance UID.
        sha256: Of each instance's data set, by SOP Instance UID.
        purged: SOP Instance UIDs of results that are not in the archive again, and are owed to nobody.
        scored: What is kept of the exam to watch for drift; None where nothing was read.
        shadowed: The shadow model is to read the exam as well.
    """

    outcome: Outcome
    reason: str
    verdicts: Sequence[Verdict]
    reading: Mapping[str, Any]
    scores: Scores | None = None
    results: Sequence[tuple[Result, str]] = ()
    owed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    purged: AbstractSet[str] = frozenset()
    scored: ScoredExam | None = None
    shadowed: bool = False


def enter_analysis(connection: Connection, row: RowMapping, analysis: Analysis, now: datetime) -> None:
    """Enter an analysis of a study's current revision, and end its claim.

    Args:
        connection: Of the transaction, which holds the study.
        row: The study's.
        analysis: What was found.
        now: The time.
    """
    study_uid, revision = row["study_uid"], row["revision"]
    replace_verdicts(connection, study_uid, analysis.verdicts)
    for sop_uid, digest in analysis.sha256.items():
        connection.execute(update(instances).where(instances.c.sop_uid == sop_uid).values(sha256=digest))
    key = and_(analyses.c.study_uid == study_uid, analyses.c.revision == revision)
    connection.execute(delete(analyses).where(key))
    connection.execute(
        insert(analyses).values(
            study_uid=study_uid,
            revision=revision,
            at=now,
            outcome=analysis.outcome.value,
            reading=json.dumps(analysis.reading),
        )
    )
    series = enter_score(connection, study_uid, analysis.scored, now)
    enter_due(connection, study_uid, revision, _for_shadow(analysis, series), now)
    current = {result.sop_uid: analysis.owed.get(result.sop_uid, ()) for result, _ in analysis.results}
    supersede(connection, study_uid, current, now)
    for result, series_uid in analysis.results:
        purged = result.sop_uid in analysis.purged
        enter_result(connection, study_uid, revision, result, series_uid, purged=purged)
        for destination in analysis.owed.get(result.sop_uid, ()):
            owe(connection, study_uid, revision, result.sop_uid, destination, now)
    breasts = analysis.scores.breasts if analysis.scores else {}
    apply_event(
        connection,
        row,
        _EVENTS[analysis.outcome],
        now,
        analysis.reason,
        reason=analysis.reason,
        claimed_by=None,
        lease_until=None,
        analyzed_revision=revision,
        score_exam=analysis.scores.exam if analysis.scores else None,
        score_r=breasts.get(Laterality.RIGHT),
        score_l=breasts.get(Laterality.LEFT),
    )
    close_if_delivered(connection, study_uid, now)


def _for_shadow(analysis: Analysis, series: str | None) -> FirstReading | None:
    scored = analysis.scored
    if not analysis.shadowed or scored is None or series is None:
        return None
    found = analysis.reading
    seconds = model_seconds(found.get("seconds", {}))
    return FirstReading(series, scored.score, scored.threshold, len(found["findings"]), seconds)
