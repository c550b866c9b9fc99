"""The node's reading held against the direct one, with faults that were planted in it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dibmg_node.errors import SelfTestBrokenError
from dibmg_node.selftest.agreement import check_agreement, sees_lesion
from dibmg_node.selftest.specimen import LesionCircle, Specimen
from tests.factories import R_CC, R_MLO, STUDY_UID

SPECIMEN = Specimen(STUDY_UID, {}, {R_CC: LesionCircle(100, 200, 30), R_MLO: LesionCircle(120, 220, 30)})


def finding(view: str, column: float, row: float, score: float = 0.9) -> dict[str, Any]:
    outline = [[column - 9, row - 9], [column + 9, row - 9], [column, row + 9]]
    return {"view": view, "score": score, "center": [column, row], "outline": outline}


def reading(*findings: dict[str, Any], score: float = 0.9, **model: str) -> dict[str, Any]:
    identity = {"sha256": "a" * 64, "runtime": "openvino", "precision": "f32"}
    return {"model": identity | model, "scores": {"exam": score}, "findings": list(findings)}


SEEN = reading(finding("R-CC", 110, 205), finding("R-MLO", 120, 220), finding("R-CC", 500, 500, 0.2))


def complaint(found: dict[str, Any], expected: dict[str, Any] = SEEN) -> str:
    with pytest.raises(SelfTestBrokenError) as caught:
        check_agreement(found, expected, SPECIMEN)
    assert caught.value.remedy
    return str(caught.value)


def test_the_same_reading_agrees_and_says_that_the_lesion_was_found() -> None:
    assert "lies in the lesion in 2 views" in check_agreement(deepcopy(SEEN), SEEN, SPECIMEN)


def test_weights_that_do_not_see_the_lesion_are_compared_and_that_is_said() -> None:
    blind = reading(finding("R-CC", 500, 500))

    told = check_agreement(deepcopy(blind), blind, SPECIMEN)

    assert "these weights do not see this lesion" in told


def test_the_lesion_is_seen_only_where_the_hottest_finding_of_each_view_is_inside() -> None:
    hotter_elsewhere = reading(*SEEN["findings"], finding("R-MLO", 500, 500, 0.95))

    assert sees_lesion(SEEN, SPECIMEN)
    assert not sees_lesion(hotter_elsewhere, SPECIMEN)
    assert not sees_lesion(reading(finding("R-CC", 110, 205)), SPECIMEN)


def test_other_weights_than_the_configured_ones_are_told_first() -> None:
    found = reading(finding("R-CC", 110, 205), score=0.1, sha256="b" * 64)

    assert complaint(found) == f"the node reads with weights {'b' * 12}, the configuration names {'a' * 12}"


def test_another_score_breaks_it() -> None:
    found = reading(*SEEN["findings"], score=0.902)

    assert complaint(found) == "the exam scores 0.9020 in the node and 0.9000 by direct analysis"


def test_another_runtime_may_differ_a_little_and_no_more() -> None:
    check_agreement(reading(*SEEN["findings"], score=0.93, runtime="tensorflow"), SEEN, SPECIMEN)

    assert "scores 0.9600" in complaint(reading(*SEEN["findings"], score=0.96, runtime="tensorflow"))


def test_a_lesion_that_only_direct_analysis_finds_breaks_it() -> None:
    assert "outside the known lesion" in complaint(reading(finding("R-CC", 110, 205)))


def test_another_outline_breaks_it_although_its_center_is_inside() -> None:
    found = reading(finding("R-CC", 110, 205), finding("R-MLO", 130, 220))

    assert complaint(found) == "R-MLO: the hottest finding has another outline than by direct analysis"


def test_of_weights_that_do_not_see_it_other_findings_break_it() -> None:
    blind = reading(finding("R-CC", 500, 500))

    assert "another outline" in complaint(reading(finding("R-CC", 600, 600)), blind)
    assert "another outline" in complaint(reading(), blind)
