"""From raw maps to scores: two-stage global average pooling and softmax."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import AIR, HALF_LEVEL, ViewPooling
from dibmg_node.domain.result import Scores
from dibmg_node.domain.study import Laterality, ViewKey


class ExamPooling(StrEnum):
    """How the score of an exam follows from its views."""

    MAXIMUM = "maximum"
    MEAN = "mean"


def cancer_probability(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax probability of cancer, 0..1, of raw values (…, 2) [normal, cancer]; shape (…)."""
    difference = np.clip(z[..., 1].astype(np.float64) - z[..., 0], -60.0, 60.0)
    return np.asarray(1.0 / (1.0 + np.exp(-difference)), dtype=np.float32)


def breast_share(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Share of each cell of a map of this shape that is breast, float32 (h, w), 0..1.

    Args:
        pixels: float32 (size, size), the network's input.
        shape: (h, w); both divide the size.
    """
    breast = (pixels > AIR + HALF_LEVEL).astype(np.float32)
    rows, columns = shape
    cells = breast.reshape(rows, pixels.shape[0] // rows, columns, pixels.shape[1] // columns)
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def pool_view(
    raw_map: NDArray[np.float32], pixels: NDArray[np.float32], pooling: ViewPooling = ViewPooling.SQUARE
) -> NDArray[np.float32]:
    """Values z of one view, from its raw map (h, w, 2) as `pooling` says; shape (2,).

    Args:
        raw_map: float32 (h, w, 2) [normal, cancer].
        pixels: float32 (size, size), the network's input that the map is of.
        pooling: That of the weights' architecture.
    """
    values = raw_map.astype(np.float64)
    if pooling is ViewPooling.SQUARE:
        return np.asarray(values.mean(axis=(0, 1)), dtype=np.float32)
    share = breast_share(pixels, (raw_map.shape[0], raw_map.shape[1])).astype(np.float64)
    share /= max(share.sum(), 1e-6)
    z = np.tensordot(share, values, 2)
    if pooling is ViewPooling.PEAK:
        evidence = values[..., 1] - values[..., 0]
        highest = evidence[share > 0].max(initial=evidence.min())
        grown = np.sum(share * np.exp(np.minimum(evidence - highest, 0.0)))
        z[1] = z[0] + highest + np.log(grown + 1e-12)
    return np.asarray(z, dtype=np.float32)


def score_exam(z: Mapping[ViewKey, NDArray[np.float32]], pooling: ExamPooling) -> Scores:
    """Scores of the views, breasts and exam.

    A breast is the softmax of the mean z of its views; the exam its higher breast, or with
    `ExamPooling.MEAN` the softmax of the mean z of all views, as in the paper.

    Args:
        z: (2,) for each view read, at least one.
        pooling: That of the weights.

    Source: Kim et al. 2018, Figure 2: two-stage global average pooling.
    """
    breasts = {}
    for laterality in sorted({key.laterality for key in z}, reverse=True):
        views = np.stack([value for key, value in z.items() if key.laterality is laterality])
        breasts[laterality] = float(cancer_probability(views.mean(axis=0)))
    every = float(cancer_probability(np.stack(list(z.values())).mean(axis=0)))
    return Scores(
        exam=every if pooling is ExamPooling.MEAN else max(breasts.values()),
        breasts={Laterality(laterality): score for laterality, score in breasts.items()},
        views={key: float(cancer_probability(value)) for key, value in z.items()},
    )
