"""What an evaluation is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dibmg.evaluation.rates import RateInterval
from dibmg.evaluation.units import UnitKind
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg_node.domain.study import View

Steps = Callable[[str, int], Callable[[], object]]
"""Called with a description and a number of images before these are read; gives what to call after each."""


@dataclass(frozen=True)
class Request:
    """One evaluation.

    Attributes:
        weights: A released set or a folder.
        operating_point: Where the tables are made: a name in the weights' manifest, or a file of points.
        target_specificity: Of the operating point to be chosen.
        minimum_negatives: Of a device, for a threshold and a reference of its own.
        view: The only one to be read; None: all.
        compare: Other weights, to be read on the same images.
        against: Another manifest, to be read with the same weights.
        seed: Of bootstrap, folds and resampling.
        resample: Whether to read all images again after random resampling and blur.
    """

    manifest: Path
    weights: str = "default"
    runtime: RuntimeKind = RuntimeKind.AUTO
    precision: Precision = Precision.F32
    unit: UnitKind = UnitKind.EXAM
    view: View | None = None
    operating_point: str = "default"
    target_specificity: float = 0.9
    minimum_negatives: int = 50
    compare: str | None = None
    against: Path | None = None
    seed: int = 0
    resample: bool = False
    interval: RateInterval = RateInterval.WILSON
