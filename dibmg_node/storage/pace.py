"""How long the steps of the newest studies took."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, select

from dibmg_node.domain.lifecycle import HELD
from dibmg_node.storage.schema import analyses, deliveries, studies
from dibmg_node.storage.selftests import is_patients

_STUDIES: Final = 100
_DELIVERIES: Final = 200


class Pace:
    """Read-only questions about durations."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def steps(self) -> Mapping[str, Sequence[float]]:
        """Seconds of every step of the newest analyses, by the step's name.

        `receive` is from the first to the last image, `wait` from there to the claim, `analysis` from
        there to the results; the model's own steps have their names of `result.json`.
        """
        query = (
            select(
                analyses.c.at,
                analyses.c.reading,
                studies.c.receiving_since,
                studies.c.last_instance_at,
                studies.c.claimed_at,
            )
            .join(studies, studies.c.study_uid == analyses.c.study_uid)
            .where(studies.c.analyzed_revision == analyses.c.revision, is_patients())
            .order_by(analyses.c.at.desc())
            .limit(_STUDIES)
        )
        found: dict[str, list[float]] = defaultdict(list)
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                if row.claimed_at is not None:
                    found["receive"].append((row.last_instance_at - row.receiving_since).total_seconds())
                    found["wait"].append((row.claimed_at - row.last_instance_at).total_seconds())
                    found["analysis"].append((row.at - row.claimed_at).total_seconds())
                for step, seconds in (json.loads(row.reading).get("seconds") or {}).items():
                    found[f"model {step}"].append(float(seconds))
        return found

    def deliveries(self, destination: str) -> Sequence[float]:
        """Seconds from owed to stored of the newest results that a destination took."""
        settled: list[tuple[datetime, datetime]] = []
        with self._engine.connect() as connection:
            for state in HELD:
                # each state by itself, newest first as the index has it
                query = (
                    select(deliveries.c.settled_at, deliveries.c.owed_since)
                    .where(
                        deliveries.c.destination == destination,
                        deliveries.c.state == state.value,
                        deliveries.c.settled_at.is_not(None),
                    )
                    .order_by(deliveries.c.settled_at.desc())
                    .limit(_DELIVERIES)
                )
                settled += connection.execute(query).tuples()
        newest = sorted(settled, reverse=True)[:_DELIVERIES]
        return [(at - owed_since).total_seconds() for at, owed_since in newest]
