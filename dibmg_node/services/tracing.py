"""Spans of a study's way through the node, made after the fact from what the ledger knows.

Every process of every host finds the same trace for the same study without being told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from dibmg_node.errors import RetryableError
from dibmg_node.storage.pace import Course, Pace, Sending

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Span:
    """One step, from when to when.

    Attributes:
        trace_id: 128 bits, of one revision of one study.
        span_id: 64 bits.
        parent_id: Of the span that it is a part of; None: of the whole trace.
        attributes: Facts of no patient: not even the study's UID.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start: datetime
    end: datetime
    attributes: Mapping[str, str | int | bool] = field(default_factory=dict)


Tell = Callable[[Iterable[Span]], None]
"""Has spans sent, soon and in the background; what the collector does not take is lost."""


def trace_id(study_uid: str, revision: int) -> int:
    """Of one revision of a study: who knows its UID can find its trace, and nobody the UID from that."""
    return _number(f"dibmg-trace {study_uid} {revision}", 16)


def analysis_spans(study_uid: str, revision: int, course: Course) -> Iterator[Span]:
    """The study, received, waiting and analyzed; nothing where it has moved on since.

    The steps within the analysis are laid end to end up to its end: their own clock told durations alone.
    """
    if course.claimed_at is None:
        return
    trace = trace_id(study_uid, revision)
    whole = _root(trace)
    facts: dict[str, str | int | bool] = {"dibmg.outcome": course.outcome, "dibmg.revision": revision}
    yield Span(trace, whole, None, "study", course.receiving_since, course.at, facts)

    def part(name: str, parent: int, start: datetime, end: datetime) -> Span:
        return Span(trace, _number(f"{trace} {name}", 8), parent, name, start, end)

    yield part("receive", whole, course.receiving_since, course.last_instance_at)
    yield part("wait", whole, course.last_instance_at, course.claimed_at)
    analysis = part("analyze", whole, course.claimed_at, course.at)
    yield analysis
    start = course.at - timedelta(seconds=sum(course.seconds.values()))
    for name, seconds in course.seconds.items():
        end = start + timedelta(seconds=seconds)
        yield part(name, analysis.span_id, start, end)
        start = end


def delivery_span(study_uid: str, sending: Sending, start: datetime, end: datetime) -> Span:
    """One attempt to deliver a study's results to one destination."""
    trace = trace_id(study_uid, sending.revision)
    mark = f"{trace} deliver {sending.destination} {start.timestamp()}"
    facts: dict[str, str | int | bool] = {
        "dibmg.destination": sending.destination,
        "dibmg.attempt": sending.attempts,
        "dibmg.results": sending.results,
        "dibmg.held": sending.held,
    }
    return Span(trace, _number(mark, 8), _root(trace), "deliver", start, end, facts)


@dataclass(frozen=True)
class Tracer:
    """Tells of steps that have just been done; what the ledger does not answer is not told.

    Attributes:
        tell: None: nobody listens, and nothing is asked of the ledger.
    """

    pace: Pace
    tell: Tell | None
    now: Callable[[], datetime]

    def analyzed(self, study_uid: str, revision: int, began: datetime) -> None:
        """A worker had a study since then, and may have entered its results."""
        if self.tell is None:
            return
        with _told_or_not(study_uid):
            course = self.pace.course(study_uid, revision)
            if course is not None and course.at >= began:
                self.tell(analysis_spans(study_uid, revision, course))

    def delivered(self, study_uid: str, destination: str, began: datetime) -> None:
        """A study's results were on their way to a destination since then."""
        if self.tell is None:
            return
        with _told_or_not(study_uid):
            sending = self.pace.sending(study_uid, destination)
            if sending is not None:
                self.tell([delivery_span(study_uid, sending, began, self.now())])


@contextmanager
def _told_or_not(study_uid: str) -> Iterator[None]:
    try:
        yield
    except RetryableError as error:
        _log.warning("step not traced", extra={"study_uid": study_uid, "reason": str(error)})


def _root(trace: int) -> int:
    return _number(f"{trace} study", 8)


def _number(text: str, size: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:size], "big")
