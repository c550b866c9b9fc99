"""From a choice of thresholds to the file of operating points that the node loads."""

from __future__ import annotations

from dataclasses import replace

from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.units import UnitKind
from dibmg.operating_points import (
    FORMAT,
    ChosenFor,
    MeasuredRate,
    OperatingPoints,
    Threshold,
    version_of,
)


def operating_points(evaluation: Evaluation) -> tuple[OperatingPoints | None, str]:
    """The content of `operating-points.json`.

    Returns:
        None where there is none, and why: the node reads exams, so thresholds chosen on the scores of
        breasts or images are not for it.
    """
    choice, weights = evaluation.choice, evaluation.model.weights
    if evaluation.request.unit is not UnitKind.EXAM:
        return None, f"thresholds for the node are chosen on exams, not on {evaluation.request.unit}s"
    if not choice.points:
        return None, "; ".join(choice.notes)
    measured = (
        "rates cross-validated by patient"
        if choice.points[0].cross_validated
        else "rates measured on the same exams, which flatters them"
    )
    content = OperatingPoints(
        format=FORMAT,
        name=choice.name,
        version="",
        weights=ChosenFor(weights.name, weights.version, weights.sha256),
        preprocessing_version=weights.preprocessing_version,
        chosen_on=f"{evaluation.population}, for a specificity of {choice.target:.2f}; {measured}",
        points=tuple(
            Threshold(
                manufacturer=point.manufacturer,
                threshold=point.threshold,
                sensitivity=_measured(point.performance.sensitivity),
                specificity=_measured(point.performance.specificity),
                normals=point.negatives,
                cancers=point.positives,
            )
            for point in choice.points
        ),
        calibration=evaluation.calibration.fitted,
    )
    return replace(content, version=version_of(content.as_json())), ""


def _measured(rate: Estimate) -> MeasuredRate:
    return MeasuredRate(rate.value, rate.low, rate.high)
