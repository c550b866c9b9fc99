from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dibmg_node.domain.exam import has_standard_views, select_exam
from dibmg_node.domain.study import ExclusionCode, ImageKind, Instance, View, ViewModifier
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, STUDY_UID, instance, screening

TODAY = date(2026, 3, 4)
OLD = "20200101"


def prior(view: Any = L_MLO, acquired_on: str = OLD) -> Instance:
    return instance(view, sop_uid=f"1.2.9.{view}", acquired_on=acquired_on)


def priors() -> list[Instance]:
    return [prior(view) for view in (R_CC, L_CC, R_MLO, L_MLO)]


def used(instances: list[Instance]) -> list[str]:
    verdicts = select_exam(STUDY_UID, instances, today=TODAY).verdicts
    return [verdict.sop_uid for verdict in verdicts if verdict.used]


def test_an_old_image_does_not_stand_in_for_a_view_that_is_missing() -> None:
    current = screening()[:3]

    selection = select_exam(STUDY_UID, [*current, *priors()], today=TODAY)

    assert selection.exam is not None
    assert set(selection.exam.views) == {R_CC, R_MLO}
    assert selection.reason == "missing views: L-MLO"
    verdict = selection.verdicts[-1]
    assert verdict.code == ExclusionCode.EARLIER_EXAM
    assert verdict.sentence == (
        "acquired on 2020-01-01, more than 30 days before the newest mammogram of the study (2026-03-03): "
        "expected images of one exam"
    )


def test_an_old_exam_does_not_make_a_study_complete() -> None:
    assert not has_standard_views([*screening()[:3], *priors()])
    assert has_standard_views([*screening(), *priors()])


@pytest.mark.parametrize(
    ("acquired_on", "is_read"), [("20260201", True), ("20260131", False), ("2026.01.31", True)]
)
def test_an_image_of_at_most_thirty_days_before_is_of_the_exam(acquired_on: str, is_read: bool) -> None:
    images = [*screening()[:3], prior(acquired_on=acquired_on)]

    assert (len(used(images)) == 4) is is_read


@pytest.mark.parametrize("acquired_on", ["", "2020", "19700101", "20000101", "20263131"])
def test_an_image_without_a_date_that_makes_sense_is_left_alone(acquired_on: str) -> None:
    assert len(used([*screening()[:3], prior(acquired_on=acquired_on)])) == 4


def test_a_date_in_the_future_makes_nothing_a_prior() -> None:
    assert len(used([*screening()[:3], prior(acquired_on="20620303")])) == 4


def test_an_image_of_a_place_where_it_is_tomorrow_is_not_in_the_future() -> None:
    assert len(used([*priors()[:3], prior(acquired_on="20260305")])) == 0


def test_images_that_are_not_read_tell_the_time_of_the_exam_all_the_same() -> None:
    raw = [replace(one, kind=ImageKind.FOR_PROCESSING) for one in screening()]

    assert used([*raw, *priors()]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"modifiers": (ViewModifier.SPOT_COMPRESSION,)},
        {"magnification": 1.5},
        {"view": View.SPECIMEN},
        {"quality_control": True},
        {"kind": ImageKind.SECONDARY_CAPTURE},
    ],
)
def test_a_later_image_that_is_no_exam_makes_no_prior_of_one(changes: dict[str, Any]) -> None:
    later = instance(R_CC, sop_uid="1.2.9", acquired_on="20260304", **changes)
    images = [replace(one, acquired_on="20260101") for one in screening()]

    assert len(used([*images, later])) == 4
