"""What both models say of the same exams, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from dibmg_node.domain.device import Device
from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.domain.study import Laterality
from dibmg_node.health.shadow_report import compare
from dibmg_node.storage.shadow_facts import FirstReading, ReadTwice, ShadowOutcome

FIRST = (0.9, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.1)
SECOND = (0.8, 0.2, 0.5, 0.5, 0.1, 0.3, 0.1, 0.0)
"""At operating points of 0.5 and 0.4."""
COUNTS = {ShadowOutcome.READ: 8, ShadowOutcome.EXCLUDED: 1, ShadowOutcome.FAILED: 2}
UNITS = (Device("Maker", "A"), Device("Maker", "B"))


def exams(first: Sequence[float] = FIRST, second: Sequence[float] = SECOND) -> list[ReadTwice]:
    return [
        ReadTwice(
            study_uid=f"1.2.{n}",
            first_weights="a" * 64,
            device=UNITS[n % 2],
            first=FirstReading("s", one, 0.5, 1, 2.0),
            score=other,
            threshold=0.4,
            findings=2,
            seconds=3.0,
            breasts=frozenset({Laterality.RIGHT}),
        )
        for n, (one, other) in enumerate(zip(first, second, strict=True))
    ]


def report(known: dict[str, Any] | None = None) -> dict[str, Any]:
    return compare(exams(), COUNTS, known or {})


def test_decisions_are_counted_at_both_operating_points() -> None:
    found = report()

    told = found["decisions"]
    assert [told[name] for name in ("both", "first_only", "shadow_only", "neither")] == [2, 1, 1, 4]
    assert told["agreement"]["value"] == 0.75
    assert told["kappa"] == pytest.approx((0.75 - (9 + 25) / 64) / (1 - (9 + 25) / 64))
    assert (found["recall"]["first"]["value"], found["recall"]["shadow"]["value"]) == (3 / 8, 3 / 8)
    assert (found["shadow_excluded"], found["shadow_failed"]) == (1, 2)


def test_exams_that_change_sides_are_named_with_who_recalls_them() -> None:
    found = report()

    assert [(one["study_uid"], one["recalled_by"]) for one in found["changed"]] == [
        ("1.2.1", "first"),
        ("1.2.3", "shadow"),
    ]
    assert found["changed_in_all"] == 2


def test_scores_are_compared_by_correlation_and_quantiles_of_their_difference() -> None:
    scores = report()["scores"]

    assert scores["pearson"] == pytest.approx(np.corrcoef(FIRST, SECOND)[0, 1])
    assert scores["spearman"] == pytest.approx(spearmanr(FIRST, SECOND).statistic)
    assert (scores["difference"]["0"], scores["difference"]["100"]) == pytest.approx((-0.6, 0.1))


def test_every_device_has_its_own_table() -> None:
    found = report()["devices"]

    assert [(one["model"], one["exams"]) for one in found] == [("A", 4), ("B", 4)]
    assert [one["decisions"]["agreement"]["value"] for one in found] == [1.0, 0.5]


def test_where_outcomes_are_known_areas_and_rates_are_compared_pair_by_pair() -> None:
    cancers = ("1.2.0", "1.2.1", "1.2.3")
    known = {
        f"1.2.{n}": {None: FollowUp(Truth.CANCER if f"1.2.{n}" in cancers else Truth.NORMAL)}
        for n in range(8)
    }

    found = report(known)["outcomes"]

    assert (found["exams"], found["cancers"]) == (8, 3)
    # of 15 pairs 14 are in order; 10 are, and twice half a pair
    assert found["first"]["auc"]["value"] == pytest.approx(14 / 15)
    assert found["shadow"]["auc"]["value"] == pytest.approx(
        np.mean(
            [np.mean([(a > b) + (a == b) / 2 for b in (0.5, 0.1, 0.3, 0.1, 0.0)]) for a in (0.8, 0.2, 0.5)]
        )
    )
    difference = found["auc_difference"]
    assert difference["value"] == pytest.approx(found["shadow"]["auc"]["value"] - 14 / 15)
    assert difference["low"] < difference["value"] < difference["high"]
    assert (found["first"]["sensitivity"]["count"], found["shadow"]["sensitivity"]["count"]) == (2, 2)
    # one cancer more and one less
    assert found["tests"]["sensitivity"]["p"] == 1.0


def test_a_cancer_in_a_breast_that_was_not_read_was_missed_by_neither_model() -> None:
    known = {f"1.2.{n}": {None: FollowUp(Truth.NORMAL)} for n in range(7)}
    known["1.2.6"] = {Laterality.RIGHT: FollowUp(Truth.CANCER, Laterality.RIGHT)}
    known["1.2.7"] = {Laterality.LEFT: FollowUp(Truth.CANCER, Laterality.LEFT)}

    found = report(known)["outcomes"]

    assert (found["exams"], found["cancers"], found["left_out"]) == (7, 1, 1)
    assert found["note"] == "Left out: 1 exam whose cancer is in a breast that was not read."
    assert (found["first"]["sensitivity"]["of"], found["first"]["specificity"]["of"]) == (1, 6)


def test_exams_that_earlier_weights_read_first_are_left_out_and_counted() -> None:
    older = [ReadTwice(**{**vars(one), "first_weights": "c" * 64}) for one in exams()[:3]]

    found = compare([*older, *exams()[3:]], COUNTS, {})

    assert (found["exams"], found["of_other_weights"]) == (5, 3)


def test_models_that_always_say_the_same_have_no_correlation() -> None:
    found = compare(exams([0.1] * 8, [0.1] * 8), COUNTS, {})

    assert (found["scores"]["pearson"], found["decisions"]["kappa"]) == (None, None)
