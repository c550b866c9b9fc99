"""Baselines: references that a site has fixed from its own exams, every version of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Engine, insert, select

from dibmg_node.domain.device import Device
from dibmg_node.domain.score_reference import ScoreReference
from dibmg_node.storage.engine import reading
from dibmg_node.storage.schema import drift_baselines


@dataclass(frozen=True)
class Baseline:
    """References of a site's own exams, as one set of weights read them.

    Attributes:
        until: When the last exam of each series was read that is among them.
    """

    version: int
    weights_sha256: str
    fixed_at: datetime
    references: Sequence[ScoreReference]
    until: Mapping[str, datetime]


class DriftBaselines:
    """Keeps baselines; none is ever changed, a new one takes the place of the one before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    def fix(
        self,
        weights_sha256: str,
        references: Sequence[ScoreReference],
        until: Mapping[str, datetime],
        now: datetime,
    ) -> Baseline:
        """Fix a baseline for these weights."""
        content = json.dumps(
            {
                "references": [asdict(one) for one in references],
                "until": {series: at.isoformat() for series, at in until.items()},
            },
            separators=(",", ":"),
        )
        entry = insert(drift_baselines).values(weights_sha256=weights_sha256, fixed_at=now, content=content)
        with self._engine.begin() as connection:
            version = connection.execute(entry.returning(drift_baselines.c.version)).scalar_one()
        return Baseline(version, weights_sha256, now, tuple(references), until)

    def newest(self, weights_sha256: str) -> Baseline | None:
        """The baseline in force for these weights; None: none was fixed."""
        query = (
            select(drift_baselines)
            .where(drift_baselines.c.weights_sha256 == weights_sha256)
            .order_by(drift_baselines.c.version.desc())
            .limit(1)
        )
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        content = json.loads(row["content"])
        return Baseline(
            version=row["version"],
            weights_sha256=weights_sha256,
            fixed_at=row["fixed_at"],
            references=tuple(
                ScoreReference(Device(**one["device"]), one["exams"], tuple(one["scores"]))
                for one in content["references"]
            ),
            until={series: datetime.fromisoformat(at) for series, at in content["until"].items()},
        )
