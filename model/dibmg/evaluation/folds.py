"""Folds by patient, for figures on units that a choice had not seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from dibmg.evaluation.units import UnitSet

FOLDS = 5


def folds(units: UnitSet, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of the units to choose on and of those to measure on, no patient in both.

    Args:
        units: Of the evaluation.
        seed: Of the draw.

    Returns:
        Nothing where there are fewer than five patients with, or five without a cancer.
    """
    patients = np.array(units.patients)
    rarest = min(np.unique(patients[units.labels]).size, np.unique(patients[~units.labels]).size)
    if rarest < FOLDS:
        return
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    yield from splitter.split(units.scores[:, None], units.labels, patients)
