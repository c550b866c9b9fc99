"""What the ledger recorded of a study's last reading: enough to do it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, func, select

from dibmg_node.domain.result import Delivered, Result, ResultKind
from dibmg_node.domain.study import Study, ViewKey
from dibmg_node.errors import PermanentError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.delivery_rows import delivered
from dibmg_node.storage.facts_json import load_facts
from dibmg_node.storage.schema import analyses, instances, results, studies, verdicts


@dataclass(frozen=True)
class Record:
    """A reading as it was entered.

    Attributes:
        first_claimed_at: The time in its results.
        checksums: Size and CRC-32 of each instance, by SOP Instance UID.
        reading: Scores, findings and exclusions, as `result.json` has them.
        codes: Of the verdict of each instance, by SOP Instance UID.
        results: Of this reading.
        delivered: Results that destinations had when the study was first claimed, oldest first.
        readings: Of the study so far, this one included.
    """

    study: Study
    first_claimed_at: datetime
    checksums: Mapping[str, tuple[int, int]]
    reading: Mapping[str, Any]
    codes: Mapping[str, str]
    results: Sequence[Result]
    delivered: Sequence[Delivered]
    readings: int


class Records:
    """Read-only questions about what was read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, study_uid: str) -> Record | None:
        """The record of a study's last reading; None where the ledger has no such study.

        Raises:
            PermanentError: It cannot be done again: it has not been read, the analysis failed, or images
                were purged.
        """
        with self._engine.connect() as connection:
            row = (
                connection.execute(select(studies).where(studies.c.study_uid == study_uid)).mappings().first()
            )
            if row is None:
                return None
            revision = row["revision"]
            read = connection.execute(
                select(analyses).where(analyses.c.study_uid == study_uid, analyses.c.revision == revision)
            ).first()
            stored = connection.execute(
                select(instances).where(instances.c.study_uid == study_uid)
            ).mappings()
            images = sorted(stored, key=lambda one: str(one["sop_uid"]))
            _check(row, None if read is None else read.outcome, images)
            assert read is not None
            made = connection.execute(
                select(results).where(
                    results.c.study_uid == study_uid,
                    results.c.revision == revision,
                    results.c.replaced_at.is_(None),
                )
            ).mappings()
            judged = select(verdicts.c.sop_uid, verdicts.c.code).where(verdicts.c.study_uid == study_uid)
            readings = select(func.count()).where(analyses.c.study_uid == study_uid)
            return Record(
                study=Study(study_uid, revision, tuple(load_facts(one["facts"]) for one in images)),
                first_claimed_at=row["claimed_at"],
                checksums={one["sop_uid"]: (one["size"], one["crc32"]) for one in images},
                reading=json.loads(read.reading),
                codes=dict(connection.execute(judged).tuples().all()),
                results=[_result(one) for one in made],
                delivered=delivered(connection, study_uid, row["claimed_at"]),
                readings=connection.execute(readings).scalar_one(),
            )


def _check(study: RowMapping, outcome: str | None, images: Sequence[RowMapping]) -> None:
    """Whether a reading can be done again.

    Raises:
        PermanentError: It cannot.
    """
    told = f"study {study['study_uid']}"
    if outcome is None or study["claimed_at"] is None:
        raise PermanentError(f"{told} is {study['state']}: it has not been read since its last image came")
    if outcome == Outcome.FAILED.value:
        raise PermanentError(f"{told} was not read, its analysis failed: {study['reason']}")
    purged = sum(one["purged_at"] is not None for one in images)
    if purged:
        raise PermanentError(f"{purged} of {len(images)} images of {told} were purged: send them again first")


def _result(row: RowMapping) -> Result:
    return Result(
        sop_uid=row["sop_uid"],
        sop_class_uid=row["sop_class_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        kind=ResultKind(row["kind"]),
        sha256=row["sha256"],
        size=row["size"],
        variant=row["variant"],
        view=ViewKey.parse(row["view"]) if row["view"] else None,
        withdraws=row["withdraws"],
    )
