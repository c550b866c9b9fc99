"""Prepared synthetic exams for training and measuring, made once by several processes and kept on disk."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.preprocess import PREPROCESSING_VERSION, preprocess
from dibmg.synthesize import SYNTHESIS_VERSION, SyntheticExam, synthesize_exam
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality

LEVELS: Final = 255
"""Inputs are kept as uint8: a quarter of the room, and finer than the grain of any film."""


@dataclass(frozen=True)
class SyntheticSettings:
    """Which exams a set holds.

    Attributes:
        first: Index of its first exam; sets of one seed must not overlap.
        cancer_share: Share of exams with a cancer.
        visibility: As in `synthesize_exam`.
    """

    seed: int
    first: int
    count: int
    input_size: int
    cancer_share: float = 0.5
    visibility: float = 1.0


@dataclass(frozen=True, eq=False)
class ExamSet:
    """Exams of the four standard views.

    Attributes:
        views: uint8 (n, 4, size, size), order of STANDARD_VIEWS; 0 = air.
        cancers: bool (n, 2), right and left breast.
        lesions: float32 (n, 4, 3): column, row, radius in network pixels; NaN where there is none.
    """

    views: NDArray[np.uint8]
    cancers: NDArray[np.bool_]
    lesions: NDArray[np.float32]

    def inputs(self, exams: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Network inputs float32 (len(exams), 4, size, size, 1) in -1..1."""
        picked = self.views[np.asarray(exams)].astype(np.float32)
        return np.asarray(picked * np.float32(2.0 / LEVELS) - np.float32(1.0), dtype=np.float32)[..., None]


def make_exam_set(settings: SyntheticSettings, folder: Path, processes: int = 2) -> ExamSet:
    """Make a set, or read it back where `folder` holds it already."""
    text = f"{asdict(settings)} {SYNTHESIS_VERSION} {PREPROCESSING_VERSION}"
    path = folder / f"exams-{sha256(text.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        indices = range(settings.first, settings.first + settings.count)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            rows = pool.map(partial(_prepare, settings), indices, chunksize=4)
        views, cancers, lesions = (np.stack(column) for column in zip(*rows, strict=True))
        partial_path = path.with_suffix(".partial.npz")
        np.savez(partial_path, views=views, cancers=cancers, lesions=lesions)
        partial_path.rename(path)
    with np.load(path) as stored:
        return ExamSet(stored["views"], stored["cancers"], stored["lesions"])


def exam_of(settings: SyntheticSettings, index: int) -> SyntheticExam:
    """One exam of a set before preprocessing; cancers are spread evenly over the indices."""
    share = settings.cancer_share
    cancer = int((index + 1) * share) > int(index * share)
    return synthesize_exam(settings.seed, index, settings.input_size, cancer, settings.visibility)


def _prepare(
    settings: SyntheticSettings, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    cv2.setNumThreads(1)
    exam = exam_of(settings, index)
    size = settings.input_size
    views = np.zeros((4, size, size), np.uint8)
    lesions = np.full((4, 3), np.nan, np.float32)
    for number, key in enumerate(STANDARD_VIEWS):
        prepared = preprocess(exam.mammograms[key], key.laterality, exam.orientations[key], size)
        views[number] = np.round((prepared.pixels + 1.0) * (LEVELS / 2.0))
        if key in exam.lesions:
            lesion = exam.lesions[key]
            column, row = prepared.placement.to_network(lesion.center)
            lesions[number] = (column, row, lesion.radius * prepared.placement.scale)
    return views, np.array([exam.cancers[Laterality.RIGHT], exam.cancers[Laterality.LEFT]]), lesions
