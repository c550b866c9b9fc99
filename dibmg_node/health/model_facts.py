"""The model in use and the drift of its scores, as status, dashboard and metrics tell them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg.operating_choice import OperatingChoice, choose_operating_point
from dibmg.weights import Weights, load_weights
from dibmg_node.config import Settings
from dibmg_node.errors import DibmgError
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring.drift_watch import look_at_drift

_DAY: Final = timedelta(days=1)


def weights_in_use(settings: Settings, degraded: list[str]) -> tuple[Weights | None, OperatingChoice | None]:
    """The weights and the operating points in use.

    Args:
        settings: Of the node.
        degraded: What is wrong is added to it.

    Returns:
        None for what cannot be used.
    """
    try:
        weights = load_weights(settings.weights)
    except DibmgError as error:
        degraded.append(f"model.weights: {error}")
        return None, None
    try:
        return weights, choose_operating_point(weights, settings.operating_point)
    except DibmgError as error:
        degraded.append(f"model.operating_point: {error}")
        return weights, None


def model_facts(
    settings: Settings, weights: Weights | None, choice: OperatingChoice | None
) -> dict[str, Any]:
    """The model in use, and its operating points."""
    point: dict[str, Any] = {"name": settings.model.operating_point, "version": None}
    if choice is not None:
        chosen = choice.overall
        point = {
            "name": chosen.name,
            "version": chosen.version,
            "threshold": chosen.threshold,
            "sensitivity": chosen.sensitivity,
            "specificity": chosen.specificity,
            "chosen_on": chosen.chosen_on,
            "devices": _own_points(choice),
        }
    if weights is None:
        named = settings.model.weights
        return {"name": named, "version": None, "trained_on": None, "operating_point": point}
    return {
        "name": weights.name,
        "version": weights.version,
        "sha256": weights.sha256,
        "preprocessing_version": weights.preprocessing_version,
        "input_size": weights.input_size,
        "members": weights.members,
        "whole_members": 0 if weights.context is None else weights.context.members,
        "license": weights.license,
        "trained_on": weights.trained_on,
        "operating_point": point,
    }


def shadow_facts(
    settings: Settings, ledger: Ledger, now: datetime, degraded: list[str]
) -> dict[str, Any] | None:
    """The shadow model and how far it is behind; None where there is none.

    That it fails at an exam does not make the node degraded: nobody waits for what it finds.
    """
    if settings.shadow is None:
        return None
    try:
        weights = load_weights(settings.shadow[0])
    except DibmgError as error:
        degraded.append(f"model.shadow.weights: {error}")
        return None
    behind = ledger.shadow_readings.backlog(weights.sha256, now - _DAY)
    return {
        "name": weights.name,
        "version": weights.version,
        "sha256": weights.sha256,
        "waiting": behind.waiting,
        "oldest": behind.oldest,
        "read_last_day": behind.read,
        "excluded_last_day": behind.excluded,
        "failed_last_day": behind.failed,
        "last_failure": behind.last_failure,
    }


def _own_points(choice: OperatingChoice) -> list[dict[str, Any]]:
    """The thresholds of single manufacturers, models and versions."""
    points = choice.file.points if choice.file else ()
    return [
        {
            **asdict(one.device),
            "threshold": one.threshold,
            "sensitivity": one.sensitivity.value,
            "specificity": one.specificity.value,
        }
        for one in points
        if one.manufacturer
    ]


def drift_facts(
    settings: Settings,
    ledger: Ledger,
    weights: Weights | None,
    choice: OperatingChoice | None,
    now: datetime,
    degraded: list[str],
) -> dict[str, Any]:
    """Scores of every device against their reference; what has moved is added to `degraded`."""
    if weights is None or choice is None:
        told, minimum = "unknown: the model cannot be used", settings.drift.minimum_exams
        return {"reference": told, "minimum": minimum, "devices": []}
    report = look_at_drift(settings, ledger, weights, choice, now)
    degraded += report.warnings.values()
    return report.as_json()
