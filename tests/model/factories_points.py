"""Files of operating points for weights with known content."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from dibmg.operating_points import (
    ChosenFor,
    OperatingPoints,
    PlattCalibration,
    Threshold,
    version_of,
    write_operating_points,
)
from dibmg.point_fields import MeasuredRate
from dibmg.weights import Weights

RATE: Final = MeasuredRate(0.8, 0.7, 0.9)
PLATT: Final = PlattCalibration(
    slope=0.9, intercept=-1.0, population="1000 screening exams", prevalence=0.25, brier=0.1, n=1000
)


def points_for(chosen_for: Weights, **changes: Any) -> OperatingPoints:
    """Operating points chosen for these weights: 0.5 for all, 0.625 for images of Maker."""
    points = OperatingPoints(
        format=2,
        name="specificity-0.90",
        version="",
        weights=ChosenFor(chosen_for.name, chosen_for.version, chosen_for.sha256),
        preprocessing_version=chosen_for.preprocessing_version,
        chosen_on="200 exams for a specificity of 0.90",
        points=(Threshold(None, 0.5, RATE, RATE, 100, 80), Threshold("Maker", 0.625, RATE, RATE, 60, 50)),
        calibration=PLATT,
    )
    points = replace(points, **changes)
    return replace(points, version=version_of(points.as_json(), date(2026, 3, 1)))


def write_points(folder: Path, chosen_for: Weights, **changes: Any) -> Path:
    """The file of `points_for`."""
    path = folder / "operating-points.json"
    write_operating_points(points_for(chosen_for, **changes), path)
    return path
