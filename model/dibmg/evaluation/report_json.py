"""The report for programs: `report.json`, and `scores.csv` with one line a unit."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dibmg.evaluation.confound import SENTENCE
from dibmg.evaluation.evaluate import Evaluation
from dibmg.evaluation.performance import Decision, Performance
from dibmg.evaluation.rates import RateInterval


def report(evaluation: Evaluation, points_version: str | None, points_reason: str) -> dict[str, Any]:
    """Every figure, as JSON can hold it: what is not known is null, with a reason beside it.

    Args:
        evaluation: The figures.
        points_version: Version of the file of operating points; None: none was written.
        points_reason: Then, why.
    """
    units, weights = evaluation.units, evaluation.model.weights
    exact = evaluation.request.interval is RateInterval.EXACT
    return {
        "purpose": "research use only, not for diagnosis",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "manifest": evaluation.manifest.path.name,
        "unit": str(units.kind),
        "view": evaluation.request.view,
        "n": len(units.units),
        "positives": units.positives,
        "patients": len(set(units.patients)),
        "images": len(evaluation.readings.images),
        "unlike_training": _unlike(evaluation),
        "auc": evaluation.area.as_json() | {"bootstrap": evaluation.area_bootstrap.as_json()},
        "operating_points": [_point(*pair) for pair in evaluation.decisions],
        "localization": evaluation.localization.as_json(),
        "froc": evaluation.froc.as_json(),
        "subgroups": {table.factor.name: table.as_json() for table in evaluation.tables},
        "calibration": evaluation.calibration.as_json(),
        "baselines": {one.name: one.as_json() for one in evaluation.baselines},
        "resampled": _resampled(evaluation),
        "comparison": {
            "models": None if evaluation.models is None else evaluation.models.as_json(),
            "sets": None if evaluation.sets is None else evaluation.sets.as_json(),
        },
        "chosen": _chosen(evaluation, points_version, points_reason),
        "exclusions": [
            {"line": one.line, "reason": one.reason, "image_read": one.image_read}
            for one in evaluation.left_out
        ],
        "model": {
            "name": weights.name,
            "version": weights.version,
            "sha256": weights.sha256,
            "preprocessing_version": weights.preprocessing_version,
            "runtime": evaluation.model.runtime.name,
            "precision": str(evaluation.model.runtime.precision),
            "trained_on": weights.trained_on,
        },
        "methods": {
            "rates": "Clopper-Pearson" if exact else "Wilson",
            "auc": "DeLong, patients as clusters (Obuchowski 1997); bootstrap by patient, 2000 samples",
            "seed": evaluation.request.seed,
            **({"note": units.dependence} if units.dependence else {}),
        },
    }


def write_report(content: dict[str, Any], path: Path) -> None:
    """Write `report.json`: strict JSON, so NaN or infinity would be an error."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Write one line for each unit; the lines of the manifest, not its names, say which one."""
    called = evaluation.decisions[0][0].calls(evaluation.units)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["unit", "lines", "breasts", "label", "score", "called", "images", "area", "brightness"]
        )
        for number, (unit, call) in enumerate(zip(evaluation.units.units, called, strict=True), start=1):
            writer.writerow(
                [
                    number,
                    ";".join(map(str, unit.lines)),
                    ";".join(sorted({image.row.laterality for image in unit.images}, reverse=True)),
                    unit.label,
                    f"{unit.score:.7g}",
                    int(call),
                    len(unit.images),
                    f"{unit.area:.4f}",
                    f"{unit.brightness:.4f}",
                ]
            )


def _point(decision: Decision, performance: Performance) -> dict[str, object]:
    return {
        "name": decision.name,
        "threshold": decision.threshold,
        "by_device": {str(device): threshold for device, threshold in decision.by_device.items()},
        "chosen_on": decision.chosen_on,
        **performance.as_json(),
    }


def _unlike(evaluation: Evaluation) -> dict[str, object] | None:
    """Lines of the manifest whose images look unlike those of training; None where nobody knows of any."""
    usual = evaluation.model.weights.local_contrast
    if usual is None:
        return None
    lines = [image.row.line for image in evaluation.readings.unlike]
    return {"local_contrast": usual.as_json(), "lines": lines}


def _resampled(evaluation: Evaluation) -> dict[str, object] | None:
    if evaluation.resampled is None:
        return None
    return {"auc": evaluation.resampled.as_json(), "sentence": SENTENCE}


def _chosen(evaluation: Evaluation, version: str | None, reason: str) -> dict[str, object]:
    choice = evaluation.choice
    return {
        "target_specificity": choice.target,
        "points": [
            {
                "manufacturer": point.device.manufacturer or None,
                "model": point.device.model or None,
                "software": point.device.software or None,
                "threshold": point.threshold,
                "normals": point.negatives,
                "cancers": point.positives,
                "cross_validated": point.cross_validated,
                **point.performance.as_json(),
            }
            for point in choice.points
        ],
        "notes": list(choice.notes),
        "file_version": version,
        **({"reason": reason} if reason else {}),
    }
