"""The paper's rules of inclusion and exclusion, as a flow with counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dibmg.data.cases import Case
from dibmg.data.manifest import Label
from dibmg_node.domain.study import STANDARD_VIEWS, View

_BIRADS: Final = re.compile(r"(?:bi-?rads)?\s*([0-6])(?:\.0)?[abc]?", re.IGNORECASE)


class Views(StrEnum):
    """Which views an exam must have."""

    FOUR = "four"
    CC = "cc"
    ANY = "any"


class RuleName(StrEnum):
    """The rules, in the order in which they are applied."""

    VIEWS = "views"
    SURGERY = "surgery"
    IMPLANT = "implant"
    CLIP = "clip"
    PATHOLOGY = "pathology"
    BIRADS = "birads"
    FOLLOW_UP = "follow_up"
    BENIGN = "benign"


class Outcome(StrEnum):
    """What became of a rule."""

    APPLIED = "applied"
    NOT_CHECKABLE = "not checkable"
    SWITCHED_OFF = "switched off"


@dataclass(frozen=True)
class InclusionPolicy:
    """What is included; the default is the paper's.

    Attributes:
        years_followed: Least follow-up of a normal exam.
        switched_off: Rules that are not applied.
    """

    views: Views = Views.FOUR
    years_followed: float = 2.0
    switched_off: frozenset[RuleName] = frozenset()


@dataclass(frozen=True)
class Step:
    """One rule of a flow.

    Attributes:
        left_out: Exams that it left out, by label.
        not_told: Exams it is about whose manifest does not tell; they are kept.
        remaining: Exams after it, by label.
    """

    rule: RuleName
    sentence: str
    outcome: Outcome
    left_out: Mapping[Label, int]
    not_told: int
    remaining: Mapping[Label, int]


@dataclass(frozen=True)
class Inclusion:
    """What was included, and how it came to that.

    Attributes:
        start: Exams before the first rule, by label.
    """

    cases: tuple[Case, ...]
    start: Mapping[Label, int]
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, object]:
        """The flow, without the cases."""
        return {
            "start": _counts(self.start),
            "steps": [
                {
                    "rule": step.rule.value,
                    "sentence": step.sentence,
                    "outcome": step.outcome.value,
                    "left_out": _counts(step.left_out),
                    "not_told": step.not_told,
                    "remaining": _counts(step.remaining),
                }
                for step in self.steps
            ],
            "included": _counts(_by_label(self.cases)),
        }


def include(cases: Sequence[Case], policy: InclusionPolicy) -> Inclusion:
    """Apply the rules one after the other.

    A rule whose column no exam fills is reported as not checkable; an exam that leaves its cell empty is
    kept and counted.

    Source: Kim et al. 2018, Data collection.
    """
    kept = [narrowed for case in cases if (narrowed := _narrow(case, policy.views)) is not None]
    start, steps = _by_label(cases), []
    kept_views = _by_label(kept)
    left_out = {label: start[label] - kept_views[label] for label in Label}
    steps.append(Step(RuleName.VIEWS, _VIEWS[policy.views], Outcome.APPLIED, left_out, 0, kept_views))
    for rule in _rules(policy):
        passes = {case.exam: rule.passes(case) for case in kept if rule.concerns(case)}
        not_told = sum(passed is None for passed in passes.values())
        outcome = Outcome.APPLIED
        if rule.name in policy.switched_off:
            outcome, not_told = Outcome.SWITCHED_OFF, 0
        elif passes and not_told == len(passes):
            outcome = Outcome.NOT_CHECKABLE
        out = [case for case in kept if outcome is Outcome.APPLIED and passes.get(case.exam) is False]
        gone = {case.exam for case in out}
        kept = [case for case in kept if case.exam not in gone]
        steps.append(Step(rule.name, rule.sentence, outcome, _by_label(out), not_told, _by_label(kept)))
    return Inclusion(tuple(kept), start, tuple(steps))


@dataclass(frozen=True)
class _Rule:
    """`passes` is None where the manifest does not tell."""

    name: RuleName
    sentence: str
    concerns: Callable[[Case], bool]
    passes: Callable[[Case], bool | None]


_VIEWS: Final = {
    Views.FOUR: "four views: R-CC, L-CC, R-MLO and L-MLO",
    Views.CC: "at least one CC view; other views are left out",
    Views.ANY: "at least one view",
}


def _rules(policy: InclusionPolicy) -> list[_Rule]:
    def anyone(_: Case) -> bool:
        return True

    def cancer(case: Case) -> bool:
        return case.label is Label.CANCER

    def normal(case: Case) -> bool:
        return case.label is Label.NORMAL

    def free_of(column: str) -> Callable[[Case], bool | None]:
        return lambda case: "yes" not in case.told(column) if case.told(column) else None

    return [
        _Rule(
            RuleName.SURGERY,
            "no surgery for cancer, nor for benign disease within 2 years",
            anyone,
            free_of("surgery"),
        ),
        _Rule(RuleName.IMPLANT, "no mammoplasty bag", anyone, free_of("implant")),
        _Rule(RuleName.CLIP, "no clip or marker", anyone, free_of("clip")),
        _Rule(RuleName.PATHOLOGY, "cancers confirmed by pathology", cancer, _proven),
        _Rule(RuleName.BIRADS, "normal exams are BI-RADS 1", normal, _negative),
        _Rule(
            RuleName.FOLLOW_UP,
            f"normal exams have at least {policy.years_followed:g} years of follow-up without a cancer",
            normal,
            lambda case: _followed(case, policy.years_followed),
        ),
        _Rule(
            RuleName.BENIGN,
            "benign exams are left out",
            lambda case: case.label is Label.BENIGN,
            lambda _: False,
        ),
    ]


def _narrow(case: Case, views: Views) -> Case | None:
    """A case with the rows that count, or None where it lacks a view."""
    if views is Views.ANY:
        return case
    if views is Views.FOUR:
        rows = [row for row in case.rows if row.view_key in STANDARD_VIEWS]
        return Case(tuple(rows)) if case.views.issuperset(STANDARD_VIEWS) else None
    rows = [row for row in case.rows if row.view is View.CC]
    return Case(tuple(rows)) if rows else None


def _proven(case: Case) -> bool | None:
    told = case.told("pathology_proven")
    return "no" not in told if told else None


def _negative(case: Case) -> bool | None:
    """Whether every row says BI-RADS 1; what is no category tells nothing."""
    found = {match.group(1) for text in case.told("birads") if (match := _BIRADS.fullmatch(text))}
    return found == {"1"} if found else None


def _followed(case: Case, years: float) -> bool | None:
    told = case.told("years_followed")
    return min(map(float, told)) >= years if told else None


def _by_label(cases: Sequence[Case]) -> Counter[Label]:
    return Counter(case.label for case in cases)


def _counts(counts: Mapping[Label, int]) -> dict[str, int]:
    return {label.value: counts.get(label, 0) for label in Label}
