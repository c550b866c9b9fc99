"""What the process of a model is asked, what it answers, and how it carries that out: without a ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dibmg_node.domain.exam import Selection
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import Scores
from dibmg_node.services.reading import Predictor, StudyFiles, read_study
from dibmg_node.services.reading_json import reading_json
from dibmg_node.services.writing import Writing, Written, write_results


@dataclass(frozen=True)
class Order:
    """What the sandbox is asked to do: read a study and write its results."""

    files: StudyFiles
    policy: ExamPolicy
    writing: Writing


@dataclass(frozen=True)
class Report:
    """What came of an order, without pictures and headers: it travels between processes."""

    selection: Selection
    scores: Scores | None
    reading: Mapping[str, Any]
    results: Sequence[Written]
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class ShadowOrder:
    """What the shadow's sandbox is asked to do: read a study, and write nothing."""

    files: StudyFiles
    policy: ExamPolicy


def carry_out(order: Order, predictor: Predictor) -> Report:
    """Read a study and write its results; runs in the sandbox."""
    reading = read_study(order.files, order.policy, predictor)
    started = time.perf_counter()
    written = [one.without_picture() for one in write_results(reading, order.writing)]
    found = reading_json(reading)
    seconds = {**found["seconds"], "write": round(time.perf_counter() - started, 3)}
    scores = reading.result.scores if reading.result else None
    return Report(reading.selection, scores, {**found, "seconds": seconds}, written, reading.sha256)


def read_only(order: ShadowOrder, predictor: Predictor) -> Mapping[str, Any]:
    """Read a study; runs in the sandbox. Returns it as `reading_json` has it, with `reason` beside."""
    reading = read_study(order.files, order.policy, predictor)
    return {**reading_json(reading), "reason": reading.selection.reason}
