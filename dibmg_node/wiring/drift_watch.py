"""The drift watch of a configuration: which weights are in use, what their scores are held against."""

from __future__ import annotations

from datetime import datetime, timedelta

from dibmg.operating_choice import OperatingChoice
from dibmg.weights import Weights
from dibmg_node.config import Settings
from dibmg_node.domain.drift import DriftLimits
from dibmg_node.services.drift import DriftPolicy, DriftReport, DriftWatch
from dibmg_node.storage.ledger import Ledger


def open_drift_watch(settings: Settings, ledger: Ledger, weights: Weights) -> DriftWatch:
    """The watch over what these weights read."""
    section = settings.drift
    policy = DriftPolicy(
        exams=section.window_exams,
        age=timedelta(days=section.window_days) if section.window_days else None,
        limits=DriftLimits(
            psi=section.psi_limit,
            ks=section.ks_limit,
            recall=section.recall_limit,
            minimum=section.minimum_exams,
        ),
    )
    return DriftWatch(ledger.exam_scores, ledger.drift_baselines, policy, weights.sha256)


def look_at_drift(
    settings: Settings, ledger: Ledger, weights: Weights, choice: OperatingChoice, now: datetime
) -> DriftReport:
    """Every device, held against the site's own baseline, else against the file of operating points.

    The one function that status, dashboard, metrics and alarms ask; `DriftReport.warnings` is what a person
    should look at.
    """
    file = choice.file
    shipped = [one.reference for one in file.reference] if file else []
    origin = f"operating points {file.name} {file.version}, exams without cancer" if file else ""
    return open_drift_watch(settings, ledger, weights).look(shipped, origin, now)
