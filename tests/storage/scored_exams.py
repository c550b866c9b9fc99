"""Many exams of a device in the ledger, without their images."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import insert

from dibmg_node.domain.device import Device
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.storage.exam_scores import ScoredExam, enter_score
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import studies

WEIGHTS = "a" * 64
UNIT = Device("Maker", "Unit 1", "1.0 2.0")


def enter_exams(
    ledger: Ledger,
    scores: Sequence[float],
    begin: datetime,
    device: Device = UNIT,
    weights: str = WEIGHTS,
    threshold: float = 0.5,
) -> datetime:
    """Enter exams that were read one a minute; returns when the last one was."""
    at = begin
    with ledger.engine.begin() as connection:
        for place, score in enumerate(scores):
            at = begin + timedelta(minutes=place)
            number = f"{int(at.timestamp())}.{abs(hash((device, weights))) % 10**9}"
            study_uid = f"1.2.{number}"
            connection.execute(
                insert(studies).values(
                    study_uid=study_uid,
                    state=StudyState.DELIVERED.value,
                    revision=1,
                    received_at=at,
                    receiving_since=at,
                    last_instance_at=at,
                    score_r=float(score),
                    score_l=float(score) / 2,
                )
            )
            enter_score(connection, study_uid, ScoredExam(device, weights, float(score), threshold), at)
    return at
