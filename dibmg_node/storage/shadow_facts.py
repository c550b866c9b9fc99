"""What the ledger knows of readings by a shadow model."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dibmg_node.domain.device import Device
from dibmg_node.domain.study import Laterality, Study


class ShadowOutcome(StrEnum):
    """How a reading by the shadow model ended."""

    READ = "read"
    EXCLUDED = "excluded"
    FAILED = "failed"


@dataclass(frozen=True)
class FirstReading:
    """What the first model, whose results are delivered, found in an exam.

    Attributes:
        series: Of the exam's device and the first model's weights.
        seconds: As `model_seconds` counts them.
    """

    series: str
    score: float
    threshold: float
    findings: int
    seconds: float


@dataclass(frozen=True)
class ShadowClaim:
    """The right of one worker to have one exam read.

    Attributes:
        attempt: 1 for the first; more: the process of a worker ended in mid-reading.
        checksums: Size and CRC-32 of each instance, by SOP Instance UID, as intake counted them.
    """

    study: Study
    attempt: int
    checksums: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class ShadowReading:
    """What the shadow model found in an exam.

    Attributes:
        reason: Why there are no scores.
        score, threshold, findings, seconds: As in `FirstReading`; None without scores.
        reading: Scores of exam, breasts and views, and the operating point, for programs.
    """

    outcome: ShadowOutcome
    reason: str = ""
    score: float | None = None
    threshold: float | None = None
    findings: int | None = None
    seconds: float | None = None
    reading: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ReadTwice:
    """An exam that both models read.

    Attributes:
        breasts: That the first one read.
    """

    study_uid: str
    first_weights: str
    device: Device
    first: FirstReading
    score: float
    threshold: float
    findings: int
    seconds: float
    breasts: AbstractSet[Laterality]


@dataclass(frozen=True)
class ShadowBacklog:
    """How far a shadow model is.

    Attributes:
        waiting: Exams that it has still to read, at most 10,000 counted.
        oldest: Since when the first of them waits; None: none does.
        read, excluded, failed: Exams since some time.
        last_failure: Why the newest one failed; empty where none did.
    """

    waiting: int
    oldest: datetime | None
    read: int
    excluded: int
    failed: int
    last_failure: str
