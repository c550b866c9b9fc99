"""The shadow model beside the first one: how far they agree, and what an upgrade would change.

Differences of areas need the extra `evaluate`; all else does without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.device import Device
from dibmg_node.domain.drift import rate
from dibmg_node.domain.follow_up import FollowUp, cancer_read, left_out_sentence
from dibmg_node.domain.study import Laterality
from dibmg_node.storage.shadow_facts import ReadTwice, ShadowOutcome

MOST_LISTED: Final = 1000
"""Exams that change sides, in a report."""
_QUANTILES: Final = (0, 5, 25, 50, 75, 95, 100)

Known = Mapping[str, Mapping[Laterality | None, FollowUp]]
Flags = NDArray[np.bool_]
Figures = NDArray[np.float64]


def compare(exams: Sequence[ReadTwice], counts: Mapping[ShadowOutcome, int], known: Known) -> dict[str, Any]:
    """Both models on the same exams.

    Only exams that the newest of the first model's weights read are compared.

    Args:
        exams: That both read, in their order; at least one.
        counts: How the readings of the shadow ended.
        known: What became of exams, by study and breast.

    Returns:
        Values that JSON has.
    """
    first_weights = exams[-1].first_weights
    same = [one for one in exams if one.first_weights == first_weights]
    first = np.array([one.first.score for one in same], np.float64)
    second = np.array([one.score for one in same], np.float64)
    calls = np.array([one.first.score >= one.first.threshold for one in same], bool)
    other_calls = np.array([one.score >= one.threshold for one in same], bool)
    changed = [one for one, turned in zip(same, calls != other_calls, strict=True) if turned]
    return {
        "exams": len(same),
        "of_other_weights": len(exams) - len(same),
        "shadow_excluded": counts[ShadowOutcome.EXCLUDED],
        "shadow_failed": counts[ShadowOutcome.FAILED],
        "first_sha256": first_weights,
        "thresholds": {
            "first": sorted({one.first.threshold for one in same}),
            "shadow": sorted({one.threshold for one in same}),
        },
        **_agreement(calls, other_calls),
        "scores": {
            "pearson": _correlation(first, second),
            "spearman": _correlation(_ranks(first), _ranks(second)),
            "first": _quantiles(first),
            "shadow": _quantiles(second),
            "difference": _quantiles(second - first),
        },
        "findings": {
            "first": float(np.mean([one.first.findings for one in same])),
            "shadow": float(np.mean([one.findings for one in same])),
        },
        "seconds": {
            "first": _quantiles(np.array([one.first.seconds for one in same], np.float64)),
            "shadow": _quantiles(np.array([one.seconds for one in same], np.float64)),
        },
        "devices": _devices(same, calls, other_calls, second - first),
        "changed": [_change(one) for one in changed[-MOST_LISTED:]],
        "changed_in_all": len(changed),
        "outcomes": _outcomes(same, calls, other_calls, known),
        "points": [[one.first.score, one.score] for one in same[-2000:]],
    }


def _agreement(calls: Flags, other: Flags) -> dict[str, Any]:
    """Decisions of both at their own operating points."""
    n, agreed = calls.size, int((calls == other).sum())
    by_chance = float(calls.mean() * other.mean() + (1 - calls.mean()) * (1 - other.mean()))
    kappa = (agreed / n - by_chance) / (1 - by_chance) if by_chance < 1 else None
    return {
        "recall": {"first": asdict(rate(int(calls.sum()), n)), "shadow": asdict(rate(int(other.sum()), n))},
        "decisions": {
            "both": int((calls & other).sum()),
            "first_only": int((calls & ~other).sum()),
            "shadow_only": int((~calls & other).sum()),
            "neither": int((~calls & ~other).sum()),
            "agreement": asdict(rate(agreed, n)),
            "kappa": kappa,
        },
    }


def _devices(
    exams: Sequence[ReadTwice], calls: Flags, other: Flags, differences: Figures
) -> list[dict[str, Any]]:
    places: defaultdict[Device, list[int]] = defaultdict(list)
    for place, one in enumerate(exams):
        places[one.device].append(place)
    return [
        {
            **asdict(device),
            "exams": len(mine),
            **_agreement(calls[mine], other[mine]),
            "difference": _quantiles(differences[mine]),
        }
        for device, mine in sorted(places.items())
    ]


def _change(one: ReadTwice) -> dict[str, Any]:
    return {
        "study_uid": one.study_uid,
        "device": str(one.device),
        "first": one.first.score,
        "first_threshold": one.first.threshold,
        "shadow": one.score,
        "shadow_threshold": one.threshold,
        "recalled_by": "first" if one.first.score >= one.first.threshold else "shadow",
    }


def _outcomes(exams: Sequence[ReadTwice], calls: Flags, other: Flags, known: Known) -> dict[str, Any]:
    """Both against what became of the exams, as far as that is known.

    Exams whose cancer is in a breast that was not read are left out.
    """
    told = {
        place: cancer_read(known[one.study_uid], one.breasts)
        for place, one in enumerate(exams)
        if one.study_uid in known
    }
    cancers = {place: cancer for place, cancer in told.items() if cancer is not None}
    places = list(cancers)
    labels = np.array(list(cancers.values()), bool)
    left_out = len(told) - len(places)
    counts = {
        "exams": len(places),
        "cancers": int(labels.sum()),
        "left_out": left_out,
        "note": left_out_sentence(left_out),
    }
    if not places:
        return counts
    try:
        from dibmg.evaluation.auc import auc, compare_paired
        from dibmg.evaluation.performance import perform
        from dibmg.evaluation.rates import compare_paired_rates
    except ModuleNotFoundError:
        return {**counts, "missing": "dibmg-node[evaluate]"}
    studies = [exams[at].study_uid for at in places]
    scores = {
        "first": np.array([exams[at].first.score for at in places], np.float64),
        "shadow": np.array([exams[at].score for at in places], np.float64),
    }
    decided = {"first": calls[places], "shadow": other[places]}
    difference, test = compare_paired(scores["shadow"], scores["first"], labels, studies)
    gained, lost = decided["shadow"] & ~decided["first"], decided["first"] & ~decided["shadow"]
    rates = {
        name: compare_paired_rates(int((lost & among).sum()), int((gained & among).sum())).as_json()
        for name, among in (("sensitivity", labels), ("specificity", ~labels))
    }
    return {
        **counts,
        **{
            name: {"auc": auc(one, labels, studies).as_json(), **perform(decided[name], labels).as_json()}
            for name, one in scores.items()
        },
        "auc_difference": {**difference.as_json(), "test": test.as_json()},
        "tests": rates,
    }


def _quantiles(values: Figures) -> dict[str, float]:
    """Quantiles by their percentage."""
    found = np.quantile(values, np.array(_QUANTILES) / 100)
    return {str(at): float(value) for at, value in zip(_QUANTILES, found, strict=True)}


def _correlation(first: Figures, second: Figures) -> float | None:
    """Pearson's; None where one of the two is the same everywhere."""
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Figures) -> Figures:
    """Ranks, those of equal values being their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
