"""What becomes of the scores of views whose breast is a little smaller in the network's square."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from dibmg.preprocess import preprocess
from dibmg.recipes.synthetic import TEST
from dibmg.runtime import Runtime, open_runtime
from dibmg.runtime_choice import RuntimeKind
from dibmg.scores import cancer_probability, pool_view
from dibmg.synthesis.exam import synthesize_exam
from dibmg.weights import Weights, load_weights
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.study import ViewKey

SMALLER: Final = 0.08
"""Share of its height and width that a breast loses by the air above and below it."""

_ROWS: Final = 1024
"""Of an image: more than the network's input has, as real ones."""
_NOTEWORTHY: Final = 0.1


@dataclass(frozen=True)
class ScaleChange:
    """How far scores of single views moved.

    Attributes:
        differences: Of the score 0..1 of every view, without their signs.
        exams: That the views are of.
    """

    differences: tuple[float, ...]
    exams: int

    @property
    def sentence(self) -> str:
        """For a model card."""
        moved = np.asarray(self.differences)
        return (
            f"Sensitive to scale: air above and below, by which the breast is {100 * SMALLER:.0f} % smaller "
            f"in the network's square, moved the scores of single views by up to {moved.max():.2f} (median "
            f"{np.median(moved):.3f}; by more than {_NOTEWORTHY:g} in {(moved > _NOTEWORTHY).sum()}), "
            f"measured on {moved.size} views of {self.exams} synthetic exams."
        )


def measure_scale(folder: Path, exams: int = 20) -> ScaleChange:
    """Read views of new synthetic exams as they are, and with air above and below.

    Args:
        folder: A set of weights.
        exams: The first ones of the test series, drawn with finer pixels.
    """
    weights = load_weights(folder)
    runtime = open_runtime(weights, RuntimeKind.OPENVINO)
    found: list[float] = []
    for index in range(exams):
        exam = synthesize_exam(TEST.seed, TEST.first + index, _ROWS)
        for key, mammogram in exam.mammograms.items():
            both = (mammogram, _with_air(mammogram))
            one, other = (_score(weights, runtime, seen, key, exam.orientations[key]) for seen in both)
            found.append(abs(one - other))
    return ScaleChange(tuple(found), exams)


def _with_air(mammogram: Mammogram) -> Mammogram:
    """The same image, with as much air above and below as makes its breast `SMALLER` on the square."""
    added = round(mammogram.shape[0] * SMALLER / (1.0 - SMALLER) / 2.0)
    air = mammogram.pixels.max() if mammogram.inverted else mammogram.pixels.min()
    padded = np.pad(mammogram.pixels, ((added, added), (0, 0)), constant_values=air)
    return replace(mammogram, pixels=padded)


def _score(
    weights: Weights, runtime: Runtime, mammogram: Mammogram, key: ViewKey, orientation: tuple[str, str]
) -> float:
    """Score 0..1 of one view by itself."""
    pixels = preprocess(mammogram, key.laterality, orientation, weights.input_size).pixels
    pooled = pool_view(runtime.maps([pixels])[0], pixels, weights.architecture.view_pooling)
    return float(cancer_probability(pooled))
