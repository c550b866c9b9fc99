"""Splits of a data set by woman: training, validation and test, or folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from dibmg.data.cases import Case
from dibmg.data.characteristics import strata
from dibmg.data.manifest import ImageRow, Label
from dibmg.data.stratify import Unit, stratify
from dibmg_node.errors import RejectedError

SPLIT_VERSION: Final = "2"
"""Changes whenever the same cases and seed give another split."""

_RATIO: Final = (5, 1, 1)
"""Training, validation, test. Source: Kim et al. 2018, Data sets."""


class Part(StrEnum):
    """What a case is for."""

    TRAINING = "train"
    VALIDATION = "validation"
    TEST = "test"


class SplitError(RejectedError):
    """There is too little to split."""


@dataclass(frozen=True)
class Split:
    """Cases by the name of their part or fold.

    Attributes:
        notes: Where the rules could not be kept to the letter.
    """

    parts: Mapping[str, tuple[Case, ...]]
    notes: tuple[str, ...] = ()

    def rows(self, column: str) -> dict[str, list[ImageRow]]:
        """Rows of each part, in the order of their file, with the part's name in a further column."""
        return {
            name: sorted(
                (replace(row, other={**row.other, column: name}) for case in cases for row in case.rows),
                key=lambda row: row.line,
            )
            for name, cases in self.parts.items()
        }


@dataclass(frozen=True)
class _Woman:
    """All exams of one patient, and the worst label among them."""

    cases: tuple[Case, ...]
    label: Label

    def count(self, label: Label) -> int:
        return sum(case.label is label for case in self.cases)

    @property
    def sick(self) -> bool:
        return self.label is Label.CANCER

    @property
    def weight(self) -> int:
        return self.count(self.label)

    @property
    def unit(self) -> Unit:
        groups = dict.fromkeys(group for case in self.cases for group in strata(case))
        return Unit(self.weight, tuple(groups))


def split_cases(cases: Sequence[Case], seed: int) -> Split:
    """Split as the paper does.

    Cancers go 5:1:1. Validation and test get as many normal exams as cancers, training the others; where
    normal exams are too few for that, they go 5:1:1 too. Benign exams, where they were kept, go 5:1:1.
    Each is spread evenly over age, density, manufacturer, and cancers over type, feature and size. A
    woman with a cancer takes all her exams with her. Every part has an exam with cancer and one without,
    whatever the shares.

    Args:
        cases: Their order does not matter.
        seed: The same cases and seed give the same split.

    Raises:
        SplitError: Fewer than three women with a cancer, or fewer than three without.

    Source: Kim et al. 2018, Data sets.
    """
    women = _women(cases)
    random = np.random.default_rng(seed)
    parts: list[list[_Woman]] = [[] for _ in Part]
    notes = []
    sick = [woman for woman in women if woman.sick]
    well = [woman for woman in women if not woman.sick]
    if len(sick) < len(Part) or len(well) < len(Part):
        raise SplitError(
            f"{len(sick)} women with a cancer and {len(well)} without, expected at least {len(Part)} of each"
        )
    _deal(sick, _quotas(sum(w.count(Label.CANCER) for w in sick)), random, parts)
    notes += _complete(parts, list(Part), random, sick=True)
    cancers = [sum(w.count(Label.CANCER) for w in part) for part in parts]
    already = [sum(w.count(Label.NORMAL) for w in part) for part in parts]
    normal = [woman for woman in women if woman.label is Label.NORMAL]
    count = sum(w.count(Label.NORMAL) for w in normal)
    share = _quotas(count) if count else [0] * len(Part)
    asked = [max(cancers[part] - already[part], 0) for part in (1, 2)]
    held = [min(asked[place], share[place + 1]) for place in (0, 1)]
    if held != asked:
        notes.append(
            f"{count} normal exams are too few for as many as cancers in validation and test: split 5:1:1"
        )
    _deal(normal, [count - sum(held), *held], random, parts)
    benign = [woman for woman in women if woman.label is Label.BENIGN]
    if benign:
        _deal(benign, _quotas(sum(w.count(Label.BENIGN) for w in benign)), random, parts)
    notes += _complete(parts, list(Part), random, sick=False)
    return Split(
        {name: tuple(case for w in part for case in w.cases) for name, part in zip(Part, parts, strict=True)},
        tuple(notes),
    )


def fold_cases(cases: Sequence[Case], folds: int, seed: int) -> Split:
    """Folds for cross-validation, named 0 to folds - 1: women of each label evenly, then all the rest.

    Every fold has an exam with cancer and one without.

    Raises:
        SplitError: Fewer women with a cancer, or fewer without, than folds.
    """
    women = _women(cases)
    sick = sum(woman.sick for woman in women)
    if min(sick, len(women) - sick) < folds:
        raise SplitError(
            f"{sick} women with a cancer and {len(women) - sick} without: too few for {folds} folds"
        )
    random = np.random.default_rng(seed)
    parts: list[list[_Woman]] = [[] for _ in range(folds)]
    first = 0
    for label in Label:
        some = [woman for woman in women if woman.label is label]
        total = sum(w.count(label) for w in some)
        # what is left over goes on where the label before stopped, so that no fold gets all of it
        extra = {(first + place) % folds for place in range(total % folds)}
        first += total % folds
        _deal(some, [total // folds + (fold in extra) for fold in range(folds)], random, parts)
    names = list(map(str, range(folds)))
    notes = _complete(parts, names, random, sick=True) + _complete(parts, names, random, sick=False)
    return Split(
        {name: tuple(c for w in part for c in w.cases) for name, part in zip(names, parts, strict=True)},
        tuple(notes),
    )


def _women(cases: Iterable[Case]) -> list[_Woman]:
    by_patient: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: (case.patient, case.exam)):
        by_patient.setdefault(case.patient, []).append(case)
    return [_Woman(tuple(own), _worst(case.label for case in own)) for own in by_patient.values()]


def _worst(labels: Iterable[Label]) -> Label:
    found = set(labels)
    return next(label for label in (Label.CANCER, Label.BENIGN, Label.NORMAL) if label in found)


def _quotas(count: int) -> list[int]:
    """5:1:1 of a count; none of them is empty where there are three."""
    held = [max(count * share // sum(_RATIO), min(1, count // len(_RATIO))) for share in _RATIO[1:]]
    return [count - sum(held), *held]


def _deal(
    women: Sequence[_Woman], quotas: Sequence[int], random: np.random.Generator, parts: Sequence[list[_Woman]]
) -> None:
    """Add women to parts."""
    for woman, part in zip(women, stratify([w.unit for w in women], quotas, random), strict=True):
        parts[part].append(woman)


def _complete(
    parts: Sequence[list[_Woman]], names: Sequence[str], random: np.random.Generator, *, sick: bool
) -> list[str]:
    """Move a woman to each part that has no exam with cancer, or none without: the one with fewest exams.

    Shares are of exams, and women may have several: a part whose share is less than any woman's stays
    empty. There are as many women of a kind as parts, so that where one has none another has two.

    Returns:
        What was moved, in words.
    """
    notes = []
    for name, part in zip(names, parts, strict=True):
        if any((case.label is Label.CANCER) is sick for woman in part for case in woman.cases):
            continue
        spare = []
        for other in parts:
            alike = [woman for woman in other if woman.sick is sick]
            if len(alike) > 1:
                spare += [(woman, other) for woman in alike]
        woman, other = min(
            spare, key=lambda one: (one[0].weight, len(one[0].cases), -len(one[1]), random.random())
        )
        other.remove(woman)
        part.append(woman)
        kind = "with a cancer" if sick else "that shows no cancer"
        notes.append(f"the shares left {name} without an exam {kind}: a woman was moved there")
    return notes
