"""Units of an evaluation: exams, breasts or images, with their score, label and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dibmg.data.manifest import CancerType, Density, Feature, ImageRow, Label
from dibmg.evaluation.reading import ImageReading, LeftOut
from dibmg.scores import ExamPooling, score_exam
from dibmg_node.domain.device import Device
from dibmg_node.domain.result import Scores
from dibmg_node.domain.study import Laterality, ViewKey

Value = TypeVar("Value")


class UnitKind(StrEnum):
    """What is counted."""

    EXAM = "exam"
    BREAST = "breast"
    IMAGE = "image"

    def counted(self, number: int) -> str:
        """`1 exam`, `3 images`."""
        return f"{number} {self if number == 1 else self + 's'}"


@dataclass(frozen=True, eq=False)
class Unit:
    """One exam, breast or image.

    Attributes:
        images: Those that its score comes from.
        score: 0..1, as the node reports it.
        label: Benign counts as negative.
        manufacturer, model, software: That of all its images; None where it is not known or there are
            several.
        density: The densest of its images.
        features, size_mm: Of its cancer; the largest size.
        area, brightness: Means over its images.
    """

    patient: str
    images: tuple[ImageReading, ...]
    score: float
    label: Label
    age: int | None
    manufacturer: str | None
    model: str | None
    software: str | None
    density: Density | None
    cancer_type: CancerType | None
    features: frozenset[Feature]
    size_mm: float | None
    area: float
    brightness: float

    @property
    def cancer(self) -> bool:
        """Whether it is a positive."""
        return self.label is Label.CANCER

    @property
    def device(self) -> Device:
        """The device, as far as it is known."""
        return Device(self.manufacturer or "", self.model or "", self.software or "").classes[0]

    @property
    def lines(self) -> tuple[int, ...]:
        """Lines of the manifest that it comes from."""
        return tuple(image.row.line for image in self.images)


@dataclass(frozen=True, eq=False)
class UnitSet:
    """All units of an evaluation, with the columns that statistics need.

    Attributes:
        scores: float64 (n,).
        labels: bool (n,), True = cancer.
        patients: (n,).
    """

    kind: UnitKind
    units: tuple[Unit, ...]
    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]
    patients: tuple[str, ...]

    @property
    def positives(self) -> int:
        """Units with a cancer."""
        return int(self.labels.sum())

    @property
    def sentence(self) -> str:
        """Counts in words."""
        patients = len(set(self.patients))
        people = "1 patient" if patients == 1 else f"{patients} patients"
        return f"{self.kind.counted(len(self.units))} of {people}, {self.positives} with cancer"

    @property
    def dependence(self) -> str:
        """What rates leave out of account, in words; empty where no patient has several units."""
        if len(set(self.patients)) == len(self.units):
            return ""
        return (
            f"Intervals of rates, and tests between rates, take the {self.kind}s of one patient for "
            "independent: as far as these are alike, the intervals are too narrow and p is too small."
        )

    def take(self, chosen: NDArray[np.bool_]) -> UnitSet:
        """The units where `chosen` (n,) is True."""
        return unit_set(self.kind, [unit for unit, taken in zip(self.units, chosen, strict=True) if taken])


def unit_set(kind: UnitKind, units: Sequence[Unit]) -> UnitSet:
    """Units with their columns."""
    return UnitSet(
        kind=kind,
        units=tuple(units),
        scores=np.array([unit.score for unit in units], np.float64),
        labels=np.array([unit.cancer for unit in units], bool),
        patients=tuple(unit.patient for unit in units),
    )


def build_units(
    images: Iterable[ImageReading], kind: UnitKind, pooling: ExamPooling, rows: Iterable[ImageRow]
) -> tuple[UnitSet, tuple[LeftOut, ...]]:
    """Put images together to units.

    Several images of one view count as their mean. A breast has its own label where it is known, else that
    of its exam, unless the exam has two breasts, read or not, and a cancer in one of them that is not
    named: then no one knows, and its breasts and images are left out. So is an exam of whose cancer no
    image is there.

    Args:
        images: Of one or many exams.
        kind: What to count.
        pooling: That of the weights.
        rows: All of the manifest, of images that were not read, too.

    Returns:
        The units in the manifest's order, and what was left out.
    """
    sides: dict[str, set[Laterality]] = {}
    for row in rows:
        sides.setdefault(row.exam, set()).add(row.laterality)
    exams: dict[str, list[ImageReading]] = {}
    for image in images:
        exams.setdefault(image.row.exam, []).append(image)
    units: list[Unit] = []
    left_out: list[LeftOut] = []
    for exam, of_exam in exams.items():
        scores = score_exam(_mean_of_views(of_exam), pooling)
        if kind is UnitKind.EXAM:
            label, groups = _exam_label(of_exam), [of_exam]
            labels: list[Label | None] = [label]
            reason = "no image of the breast with cancer could be read"
        else:
            groups = _by_breast(of_exam) if kind is UnitKind.BREAST else [[image] for image in of_exam]
            labels = [_breast_label(group[0], len(sides[exam])) for group in groups]
            reason = "which breast has the cancer is not known (breast_label is empty)"
        for group, one in zip(groups, labels, strict=True):
            if one is None:
                left_out.extend(LeftOut(image.row.line, reason) for image in group)
            else:
                units.append(_unit(group, one, _score(group, kind, scores, pooling)))
    return unit_set(kind, units), tuple(left_out)


def _score(group: Sequence[ImageReading], kind: UnitKind, scores: Scores, pooling: ExamPooling) -> float:
    if kind is UnitKind.EXAM:
        return scores.exam
    if kind is UnitKind.BREAST:
        return scores.breasts[group[0].row.laterality]
    return score_exam(_mean_of_views(group), pooling).exam


def _mean_of_views(images: Sequence[ImageReading]) -> dict[ViewKey, NDArray[np.float32]]:
    views: dict[ViewKey, list[NDArray[np.float32]]] = {}
    for image in images:
        views.setdefault(image.row.view_key, []).append(image.z)
    return {key: np.mean(several, axis=0, dtype=np.float32) for key, several in views.items()}


def _by_breast(images: Sequence[ImageReading]) -> list[list[ImageReading]]:
    breasts: dict[Laterality, list[ImageReading]] = {}
    for image in images:
        breasts.setdefault(image.row.laterality, []).append(image)
    return list(breasts.values())


def _exam_label(images: Sequence[ImageReading]) -> Label | None:
    label = images[0].row.label
    named = [image.row.breast_label for image in images]
    if label is Label.CANCER and None not in named and Label.CANCER not in named:
        return None
    return label


def _breast_label(image: ImageReading, breasts: int) -> Label | None:
    if image.row.breast_label is not None:
        return image.row.breast_label
    return None if image.row.label is Label.CANCER and breasts > 1 else image.row.label


def _unit(images: Sequence[ImageReading], label: Label, score: float) -> Unit:
    rows = [image.row for image in images]
    sick = [row for row in rows if row.shows_cancer] if label is Label.CANCER else []
    densities = sorted(row.density for row in rows if row.density is not None)
    sizes = [row.size_mm for row in sick if row.size_mm is not None]
    return Unit(
        patient=rows[0].patient,
        images=tuple(images),
        score=score,
        label=label,
        age=_first(row.age for row in rows),
        manufacturer=_common(row.manufacturer for row in rows),
        model=_common(row.model for row in rows),
        software=_common(row.software for row in rows),
        density=densities[-1] if densities else None,
        cancer_type=_first(row.cancer_type for row in sick),
        features=frozenset().union(*(row.features for row in sick)),
        size_mm=max(sizes) if sizes else None,
        area=float(np.mean([image.area for image in images])),
        brightness=float(np.mean([image.brightness for image in images])),
    )


def _common(values: Iterable[Value | None]) -> Value | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _first(values: Iterable[Value | None]) -> Value | None:
    return next((value for value in values if value is not None), None)
