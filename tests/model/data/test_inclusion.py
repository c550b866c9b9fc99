"""The paper's rules of inclusion: who is left out, who is kept, and what cannot be checked."""

from __future__ import annotations

import pytest

from dibmg.data.cases import Case
from dibmg.data.inclusion import Inclusion, InclusionPolicy, Outcome, RuleName, Views, include
from dibmg.data.manifest import Label
from dibmg_node.domain.study import STANDARD_VIEWS, View
from tests.model.data.factories_data import case


def names(inclusion: Inclusion) -> list[str]:
    return [one.exam for one in inclusion.cases]


def step(inclusion: Inclusion, rule: RuleName) -> tuple[Outcome, int, int]:
    """What became of a rule, how many exams it left out, and how many did not tell."""
    found = next(one for one in inclusion.steps if one.rule is rule)
    return found.outcome, sum(found.left_out.values()), found.not_told


def with_column(label: Label, column: str, *values: str) -> list[Case]:
    return [case(f"e{n}", label, other={column: value} if value else {}) for n, value in enumerate(values)]


def test_an_exam_without_its_four_views_is_left_out() -> None:
    inclusion = include([case("whole"), case("half", views=STANDARD_VIEWS[:3])], InclusionPolicy())

    assert names(inclusion) == ["whole"]
    assert step(inclusion, RuleName.VIEWS) == (Outcome.APPLIED, 1, 0)


def test_with_cc_alone_other_views_are_taken_out_of_the_exam() -> None:
    cases = [case("both"), case("mlo", views=STANDARD_VIEWS[2:])]

    inclusion = include(cases, InclusionPolicy(views=Views.CC))

    assert names(inclusion) == ["both"]
    assert {row.view for row in inclusion.cases[0].rows} == {View.CC}


def test_any_view_is_enough_where_any_is_asked_for() -> None:
    assert names(include([case("one", views=STANDARD_VIEWS[3:])], InclusionPolicy(views=Views.ANY))) == [
        "one"
    ]


@pytest.mark.parametrize("rule", [RuleName.SURGERY, RuleName.IMPLANT, RuleName.CLIP])
@pytest.mark.parametrize("label", [Label.CANCER, Label.NORMAL])
def test_surgery_implants_and_clips_are_left_out_and_what_is_not_told_is_kept(
    rule: RuleName, label: Label
) -> None:
    inclusion = include(with_column(label, rule.value, "yes", "no", ""), InclusionPolicy())

    assert names(inclusion) == ["e1", "e2"]
    assert step(inclusion, rule) == (Outcome.APPLIED, 1, 1)


@pytest.mark.parametrize(
    ("rule", "label", "column", "good", "bad"),
    [
        (RuleName.PATHOLOGY, Label.CANCER, "pathology_proven", "yes", "no"),
        (RuleName.BIRADS, Label.NORMAL, "birads", "1", "2"),
        (RuleName.BIRADS, Label.NORMAL, "birads", "BI-RADS 1", "4a"),
        (RuleName.FOLLOW_UP, Label.NORMAL, "years_followed", "2", "1.9"),
    ],
)
def test_cancers_need_pathology_and_normal_exams_birads_1_and_two_years(
    rule: RuleName, label: Label, column: str, good: str, bad: str
) -> None:
    inclusion = include(with_column(label, column, good, bad), InclusionPolicy())

    assert names(inclusion) == ["e0"]
    assert step(inclusion, rule) == (Outcome.APPLIED, 1, 0)


def test_rules_for_normal_exams_leave_cancers_alone() -> None:
    cancer = case("e", Label.CANCER, other={"birads": "5", "years_followed": "0"})

    assert names(include([cancer], InclusionPolicy())) == ["e"]


def test_a_rule_whose_column_is_missing_is_not_checkable_and_leaves_nobody_out() -> None:
    inclusion = include([case("a"), case("b", Label.CANCER)], InclusionPolicy())

    outcomes = {one.rule: one.outcome for one in inclusion.steps}
    assert names(inclusion) == ["a", "b"]
    assert [rule for rule, outcome in outcomes.items() if outcome is Outcome.NOT_CHECKABLE] == [
        RuleName.SURGERY,
        RuleName.IMPLANT,
        RuleName.CLIP,
        RuleName.PATHOLOGY,
        RuleName.BIRADS,
        RuleName.FOLLOW_UP,
    ]


def test_a_rule_that_is_switched_off_leaves_nobody_out() -> None:
    policy = InclusionPolicy(switched_off=frozenset({RuleName.BIRADS}))

    inclusion = include(with_column(Label.NORMAL, "birads", "1", "3"), policy)

    assert names(inclusion) == ["e0", "e1"]
    assert step(inclusion, RuleName.BIRADS)[0] is Outcome.SWITCHED_OFF


@pytest.mark.parametrize(("kept", "expected"), [(False, ["n"]), (True, ["n", "b"])])
def test_benign_exams_are_left_out_unless_they_are_kept(kept: bool, expected: list[str]) -> None:
    policy = InclusionPolicy(switched_off=frozenset({RuleName.BENIGN} if kept else set()))

    assert names(include([case("n"), case("b", Label.BENIGN)], policy)) == expected


def test_the_flow_adds_up() -> None:
    cases = [
        case("a", Label.CANCER, other={"clip": "yes"}),
        case("b", Label.CANCER, views=STANDARD_VIEWS[:2]),
        case("c", Label.CANCER),
        case("d", other={"birads": "2"}),
        case("e", other={"birads": "1"}),
        case("f", Label.BENIGN),
    ]

    inclusion = include(cases, InclusionPolicy())

    left = sum(inclusion.start.values())
    for one in inclusion.steps:
        left -= sum(one.left_out.values())
        assert sum(one.remaining.values()) == left
    assert left == len(inclusion.cases) == 2
    assert inclusion.as_json()["included"] == {"cancer": 1, "normal": 1, "benign": 0}
