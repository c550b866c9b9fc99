"""The course of one study, out of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping

from dibmg_node.domain.course import Life, Owing, course
from dibmg_node.domain.lifecycle import DeliveryState


def course_json(
    study: RowMapping,
    stored: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    owed: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Steps of a study's last revision for programs.

    Args:
        study: Its row.
        stored: Rows of its instances.
        events: Rows of its history, in order.
        owed: Rows of its deliveries, of any revision.
    """
    current = [
        Owing(one["destination"], DeliveryState(one["state"]), one["owed_since"], one["settled_at"])
        for one in owed
        if one["revision"] == study["revision"] and one["state"] != DeliveryState.SUPERSEDED.value
    ]
    images = sum(one["received_at"] >= study["receiving_since"] for one in stored)
    life = Life(
        study["receiving_since"],
        study["last_instance_at"],
        images,
        [(one["at"], one["event"]) for one in events],
        current,
    )
    return [
        {
            "step": step.name,
            "begin": step.begin.isoformat(),
            "end": None if step.end is None else step.end.isoformat(),
            "seconds": step.seconds,
            "outcome": step.outcome,
        }
        for step in course(life)
    ]
