"""What became of the exams that were read: sensitivity and the like, by the code that evaluates weights.

Needs the extra `evaluate`; commands import it when they are asked, and no process of the node does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np

from dibmg.evaluation.auc import auc
from dibmg.evaluation.performance import perform
from dibmg.evaluation.rates import rate
from dibmg_node.domain.device import Device
from dibmg_node.domain.follow_up import Truth, left_out_sentence
from dibmg_node.storage.follow_ups import FollowedExam

_NOTE: Final = (
    "Exams of one woman count as of different women: the ledger does not know who is who. "
    "Exams whose outcome is not known count nowhere: sensitivity holds for those that are followed up."
)


class Period(StrEnum):
    """What time is divided into."""

    MONTH = "month"
    QUARTER = "quarter"

    def of(self, at: datetime) -> str:
        """Name of the period that a moment (UTC) is in; they sort as they follow each other."""
        if self is Period.MONTH:
            return f"{at:%Y-%m}"
        return f"{at.year}-Q{(at.month + 2) // 3}"


def figures(exams: Sequence[FollowedExam], period: Period) -> dict[str, Any]:
    """Figures of every set of weights: overall, by device, and over time.

    An exam was recalled where its score was at or above the operating point that it was read at. Scores of
    different weights do not compare, so that each set has figures of its own.

    Exams whose cancer is in a breast that was not read are left out, and counted, as `dibmg evaluate` does.

    Args:
        exams: In the order in which they were read.
        period: By the time of the reading.

    Returns:
        Values that JSON has; the weights that read last come first.
    """
    known = [one for one in exams if one.cancer is not None]
    left_out = len(exams) - len(known)
    by_weights = _grouped(known, lambda one: one.weights_sha256)
    newest_first = sorted(by_weights, key=lambda name: by_weights[name][-1].read_at, reverse=True)
    return {
        "exams": len(known),
        "cancers": sum(one.cancer is True for one in known),
        "left_out": left_out,
        "by": period.value,
        "weights": [_of_weights(name, by_weights[name], period) for name in newest_first],
        "note": " ".join(filter(None, (_NOTE, left_out_sentence(left_out)))),
    }


def _of_weights(sha256: str, exams: Sequence[FollowedExam], period: Period) -> dict[str, Any]:
    devices = _grouped(exams, lambda one: one.device)
    periods = _grouped(exams, lambda one: period.of(one.read_at))
    return {
        "sha256": sha256,
        "first": exams[0].read_at.isoformat(timespec="seconds"),
        "last": exams[-1].read_at.isoformat(timespec="seconds"),
        "overall": _of_group(exams),
        "devices": [{**_device(one), **_of_group(devices[one])} for one in sorted(devices)],
        "periods": [{"period": one, **_of_group(periods[one])} for one in sorted(periods)],
    }


def _of_group(exams: Sequence[FollowedExam]) -> dict[str, Any]:
    scores = np.array([one.score for one in exams], np.float64)
    called = np.array([one.score >= one.threshold for one in exams], bool)
    labels = np.array([one.cancer for one in exams], bool)
    found = perform(called, labels).as_json()
    sick = [(one, side) for one in exams for side in one.breasts if _has_cancer(one, side)]
    marked = sum(one.breasts[side] >= one.threshold for one, side in sick)
    return {
        "exams": len(exams),
        "cancers": int(labels.sum()),
        "thresholds": sorted({one.threshold for one in exams}),
        "recall": rate(int(called.sum()), len(exams), "exams").as_json(),
        **{name: found[name] for name in ("sensitivity", "specificity", "ppv", "npv")},
        "breast_sensitivity": rate(marked, len(sick), "breasts known to have a cancer").as_json(),
        "auc": auc(scores, labels, [one.study_uid for one in exams]).as_json(),
    }


def _has_cancer(exam: FollowedExam, side: Any) -> bool:
    told = exam.known.get(side)
    return told is not None and told.truth is Truth.CANCER


def _device(device: Device) -> Mapping[str, str]:
    return vars(device)


def _grouped(
    exams: Sequence[FollowedExam], key: Callable[[FollowedExam], Any]
) -> dict[Any, list[FollowedExam]]:
    found: defaultdict[Any, list[FollowedExam]] = defaultdict(list)
    for one in exams:
        found[key(one)].append(one)
    return dict(found)
