"""From a choice of thresholds to the file of operating points that the node loads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.rates import rate
from dibmg.evaluation.units import UnitKind
from dibmg.operating_points import FORMAT, ChosenFor, OperatingPoints, Threshold, version_of
from dibmg.point_fields import MeasuredRate
from dibmg.reference_scores import ReferenceScores
from dibmg_node.domain.score_reference import references


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
                manufacturer=point.device.manufacturer or None,
                threshold=point.threshold,
                sensitivity=_measured(point.performance.sensitivity),
                specificity=_measured(point.performance.specificity),
                normals=point.negatives,
                cancers=point.positives,
                model=point.device.model or None,
                software=point.device.software or None,
            )
            for point in choice.points
        ),
        calibration=evaluation.calibration.fitted,
        reference=_reference(evaluation),
    )
    return replace(content, version=version_of(content.as_json())), ""


def _reference(evaluation: Evaluation) -> tuple[ReferenceScores, ...]:
    """The scores of exams without cancer: what a node's own scores are held against."""
    decision = evaluation.choice.decision()
    assert decision is not None  # there is a threshold, or no file would be written
    well = [unit for unit in evaluation.units.units if not unit.cancer]
    called = Counter(
        one.key
        for unit in well
        if unit.score >= decision.threshold_for(unit.device)
        for one in unit.device.classes
    )
    return tuple(
        ReferenceScores(
            manufacturer=one.device.manufacturer or None,
            model=one.device.model or None,
            software=one.device.software or None,
            exams=one.exams,
            scores=one.scores,
            recall=_measured(rate(called[one.device.key], one.exams, "exams")),
        )
        for one in references(
            ((unit.device, unit.score) for unit in well), evaluation.request.minimum_negatives
        )
    )


def _measured(rate: Estimate) -> MeasuredRate:
    return MeasuredRate(rate.value, rate.low, rate.high)
