"""How long exams waited: from their last image to their last result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

_POINTS = 20


@dataclass(frozen=True)
class Stay:
    """One exam in the node.

    Attributes:
        begin: Its last image was stored, seconds since 1970.
        end: The PACS had stored its last result.
    """

    begin: float
    end: float

    @classmethod
    def of(cls, study: Mapping[str, Any]) -> Stay:
        """That of a study as the ledger shows it."""
        steps = {step["step"]: step for step in study["steps"]}
        begin = datetime.fromisoformat(steps["receiving"]["end"])
        end = max(datetime.fromisoformat(one["settled_at"]) for one in study["deliveries"])
        return cls(begin.timestamp(), end.timestamp())


def age(stays: Sequence[Stay], moment: float) -> float:
    """How long the exam has waited at a moment that waits longest; 0 where none waits."""
    return max((moment - stay.begin for stay in stays if stay.begin <= moment < stay.end), default=0.0)


def ages(stays: Sequence[Stay], begun: float) -> dict[str, Any]:
    """The age of the queue: its largest, that of the exam that left last, and its course.

    Args:
        stays: Of all exams.
        begun: When the first byte was sent.
    """
    last = max(stays, key=lambda stay: stay.end)
    waited = [stay.end - stay.begin for stay in stays]
    p50, p95 = np.percentile(waited, (50, 95))
    return {
        # the oldest is never older than when it leaves
        "max_s": round(max(waited), 1),
        "at_end_s": round(last.end - last.begin, 1),
        "p50_s": round(float(p50), 1),
        "p95_s": round(float(p95), 1),
        "course_s": [[round(at - begun), round(age(stays, at), 1)] for at in _moments(begun, last.end)],
    }


def _moments(begin: float, end: float) -> Iterator[float]:
    for point in range(1, _POINTS):
        yield begin + (end - begin) * point / _POINTS
