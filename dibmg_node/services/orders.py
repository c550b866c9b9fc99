"""What the process of a model is asked, what it answers, and how it carries that out: without a ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Generic, TypeAlias

from dibmg_node.domain.exam import Exam, Selection
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import Result, ResultKind, Scores
from dibmg_node.domain.study import (
    Exclusion,
    ExclusionCode,
    ImageKind,
    Instance,
    Laterality,
    Verdict,
    View,
    ViewKey,
    ViewModifier,
)
from dibmg_node.services.images import Images, Predictor, Prepared, Shown, StudyFiles
from dibmg_node.services.reading import read_study
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
    """What came of an order, without pixels and headers: it travels between processes."""

    selection: Selection
    scores: Scores | None
    reading: Mapping[str, Any]
    results: Sequence[Written]
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class AheadOrder:
    """What the sandbox is asked to do while images of a study arrive: make one ready.

    Attributes:
        files: The study as it is so far, with the file of this image.
        image: Which.
        kept: SOP Instance UIDs of the views of its exam so far: what is ready of others is not needed.
    """

    files: StudyFiles
    image: Instance
    kept: frozenset[str]
    shown: Shown


@dataclass(frozen=True)
class Ready:
    """What came of that: the images of the study of which nothing is left to be done but to read them."""

    sop_uids: frozenset[str]


Asked: TypeAlias = Order | AheadOrder
Answered: TypeAlias = Report | Ready
ANSWER_CLASSES: Final[frozenset[type]] = frozenset(
    {Report, Ready, Selection, Exam, Instance, Verdict, Exclusion, ExclusionCode, Scores, Written, Result}
    | {ViewKey, Laterality, View, ViewModifier, ImageKind, ResultKind}
)
"""What those are made of, beside plain values."""


@dataclass(frozen=True)
class ShadowOrder:
    """What the shadow's sandbox is asked to do: read a study, and write nothing."""

    files: StudyFiles
    policy: ExamPolicy
    today: date


class Reader(Generic[Prepared]):
    """Carries out orders; lives in the sandbox.

    What was made ready ahead is of one study, and gone with the next order for another: an exam's pixels
    are most of what this process holds.
    """

    def __init__(self, predictor: Predictor[Prepared]) -> None:
        self._predictor = predictor
        self._study_uid = ""
        self._ahead: Images[Prepared] | None = None

    def carry_out(self, order: Asked) -> Answered:
        """Read a study and write its results, or make an image ready."""
        return self.look_ahead(order) if isinstance(order, AheadOrder) else self.report(order)

    def report(self, order: Order) -> Report:
        """Read a study and write its results."""
        today = order.writing.now.date()
        # nothing here holds on to the images: what the network read is free while results are drawn
        reading = read_study(order.files, order.policy, self._take(order.files, order.writing.shown), today)
        started = time.perf_counter()
        written = list(write_results(reading, order.writing))
        found = reading_json(reading)
        seconds = {**found["seconds"], "write": round(time.perf_counter() - started, 3)}
        scores = reading.result.scores if reading.result else None
        return Report(reading.selection, scores, {**found, "seconds": seconds}, written, reading.sha256)

    def look_ahead(self, order: AheadOrder) -> Ready:
        """Make one image ready, and keep those that are."""
        images = self._take(order.files, order.shown)
        images.keep(order.kept)
        images.headers(order.files, [order.image])
        images.open(order.files, [order.image])
        self._study_uid, self._ahead = order.files.study.study_uid, images
        return Ready(images.opened)

    def _take(self, files: StudyFiles, shown: Shown) -> Images[Prepared]:
        """What there is of a study already, if it is to be shown alike; it is not kept here any longer."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (self._study_uid, ahead.shown) == (files.study.study_uid, shown):
            return ahead
        return Images(self._predictor, shown)


def read_only(order: ShadowOrder, predictor: Predictor[Prepared]) -> Mapping[str, Any]:
    """Read a study; runs in the sandbox. Returns it as `reading_json` has it, with `reason` beside."""
    reading = read_study(order.files, order.policy, Images(predictor), order.today)
    return {**reading_json(reading), "reason": reading.selection.reason}
