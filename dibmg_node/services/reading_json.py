"""A reading for programs: what `result.json`, the ledger and `dibmg study --json` say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dibmg_node.domain.result import Calibration
from dibmg_node.domain.study import Laterality
from dibmg_node.services.reading import Reading

_NO_SCORES: Final[Mapping[str, object]] = {"exam": None, "R": None, "L": None, "views": {}}


def reading_json(reading: Reading) -> dict[str, Any]:
    """A reading for programs: the content of `result.json`."""
    study: dict[str, Any] = {"study_uid": reading.study_uid}
    result = reading.result
    if result is None:
        study |= {
            "model": None,
            "operating_point": None,
            "scores": _NO_SCORES,
            "findings": [],
            "seconds": {},
            "unlike_training": [],
            "notes": {},
        }
    else:
        point = result.operating_point
        study |= {
            "model": {
                "name": result.model.name,
                "version": result.model.version,
                "sha256": result.model.sha256,
                "runtime": result.model.runtime,
                "precision": result.model.precision,
                "preprocessing_version": result.model.preprocessing_version,
                "trained_on": result.model.trained_on,
            },
            "operating_point": {
                "name": point.name,
                "label": point.label,
                "manufacturer": point.device.manufacturer or None,
                "model": point.device.model or None,
                "software": point.device.software or None,
                "threshold": point.threshold,
                "version": point.version,
                "sensitivity": point.sensitivity,
                "specificity": point.specificity,
                "chosen_on": point.chosen_on,
                "calibration": _calibration(point.calibration),
            },
            "scores": {
                "exam": result.scores.exam,
                "R": result.scores.breasts.get(Laterality.RIGHT),
                "L": result.scores.breasts.get(Laterality.LEFT),
                "views": {str(key): score for key, score in result.scores.views.items()},
                # without a calibration not even the word stands there
                **({} if result.probability is None else {"probability": result.probability}),
            },
            "findings": [
                {
                    "number": finding.number,
                    "view": str(finding.view),
                    "score": finding.score,
                    "center": list(finding.center),
                    "outline": [list(point) for point in finding.outline],
                    "sop_uid": finding.sop_uid,
                }
                for finding in result.findings
            ],
            "seconds": dict(result.seconds),
            "unlike_training": [str(key) for key in result.unlike_training],
            "notes": {str(key): list(notes) for key, notes in result.notes.items()},
        }
    # a plain text, not the enum's member: the answers of the shadow's process are made of nothing else
    excluded = [
        {"sop_uid": verdict.sop_uid, "code": str(verdict.code), "sentence": verdict.sentence}
        for verdict in reading.selection.verdicts
        if not verdict.used
    ]
    study["exclusions"] = excluded + [
        {"sop_uid": exclusion.sop_uid, "code": exclusion.code.value, "sentence": exclusion.sentence}
        for exclusion in reading.selection.exclusions
    ]
    return study


def _calibration(calibration: Calibration | None) -> dict[str, object] | None:
    if calibration is None:
        return None
    return {
        "kind": calibration.kind,
        "population": calibration.population,
        "prevalence": calibration.prevalence,
        "brier": calibration.brier,
        "n": calibration.n,
    }
