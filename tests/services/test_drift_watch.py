"""Drift of devices in a ledger: references, baselines, windows, warnings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from dibmg_node.domain.drift import DriftLimits, DriftState
from dibmg_node.domain.score_reference import ScoreReference, references
from dibmg_node.services.drift import DriftPolicy, DriftWatch
from dibmg_node.storage.ledger import Ledger
from tests.factories import START
from tests.storage.scored_exams import UNIT, WEIGHTS, enter_exams

POLICY = DriftPolicy(exams=200, age=None, limits=DriftLimits(psi=0.2, ks=0.001, recall=0.05, minimum=100))
UPGRADED = replace(UNIT, software="3.0")


def scores(n: int, seed: int, shift: float = 0.0) -> list[float]:
    logits = np.random.default_rng(seed).normal(shift - 1.0, 1.0, n)
    return [float(score) for score in 1.0 / (1.0 + np.exp(-logits))]


def shipped(seed: int = 1) -> list[ScoreReference]:
    return references([(UNIT, score) for score in scores(1000, seed)], 50)


def watch(ledger: Ledger, policy: DriftPolicy = POLICY, weights: str = WEIGHTS) -> DriftWatch:
    return DriftWatch(ledger.exam_scores, ledger.drift_baselines, policy, weights)


def later(at: datetime) -> datetime:
    return at + timedelta(minutes=1)


def test_scores_that_move_raise_a_warning_that_names_the_device_and_the_figures(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(300, 2, 0.8), START)

    report = watch(ledger).look(shipped(), "the file", last)

    (sentence,) = report.warnings.values()
    assert list(report.warnings) == ["Maker Unit 1, software 1.0 2.0"]
    assert sentence.startswith(
        "drift: Maker Unit 1, software 1.0 2.0: the newest 200 exams against 1000 of all devices: PSI 0."
    )
    assert "p below 0.001" in sentence
    assert "recall " in sentence
    assert report.reference == "the file"


def test_the_same_distribution_raises_none(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(300, 3), START)

    report = watch(ledger).look(shipped(), "the file", last)

    assert [one.state for one in report.devices] == [DriftState.STABLE]
    assert report.warnings == {}


def test_a_drift_ends_when_its_exams_have_left_the_window(ledger: Ledger) -> None:
    moved = enter_exams(ledger, scores(200, 4, 0.8), START)
    before = watch(ledger).look(shipped(), "", moved).warnings
    last = enter_exams(ledger, scores(200, 5), later(moved))

    after = watch(ledger).look(shipped(), "", last).warnings

    assert (len(before), len(after)) == (1, 0)


@pytest.mark.parametrize("after", [1, 100, 200])
@pytest.mark.parametrize(("before", "now"), [(0.5, 0.3), (0.3, 0.5)])
def test_another_operating_point_is_no_drift(ledger: Ledger, before: float, now: float, after: int) -> None:
    changed = enter_exams(ledger, scores(200, 31), START, threshold=before)
    newest = scores(after, 32)
    last = enter_exams(ledger, newest, later(changed), threshold=now)

    (device,) = watch(ledger).look(shipped(), "", last).devices

    recent = [*scores(200, 31), *newest][-200:]
    assert device.recall is not None
    assert device.recall.value == sum(score >= now for score in recent) / 200
    assert (device.state, device.threshold) == (DriftState.STABLE, now)


def test_a_device_with_few_exams_is_not_judged(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(99, 6, 2.0), START)

    (device,) = watch(ledger).look(shipped(), "", last).devices

    assert (device.state, device.exams) == (DriftState.TOO_FEW, 99)
    assert device.sentence == "Maker Unit 1, software 1.0 2.0: too few exams (99 recent)"


def test_exams_beyond_the_age_of_the_window_do_not_count(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(150, 7, 2.0), START)
    policy = replace(POLICY, age=timedelta(minutes=110))

    states = [
        watch(ledger, policy).look(shipped(), "", at).devices[0].state
        for at in (last, last + timedelta(minutes=30))
    ]

    assert states == [DriftState.DRIFTED, DriftState.TOO_FEW]


def test_without_a_reference_the_report_says_how_to_get_one(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(150, 8), START)

    report = watch(ledger).look([], "", last)

    assert report.devices[0].state is DriftState.NO_REFERENCE
    assert report.reference == "none: fix one with 'dibmg drift baseline'"
    assert report.warnings == {}


def test_a_baseline_of_the_first_exams_outranks_what_came_with_the_operating_points(ledger: Ledger) -> None:
    fixed = enter_exams(ledger, scores(300, 9, 0.8), START)
    baseline = watch(ledger).fix(300, None, fixed)
    last = enter_exams(ledger, scores(200, 30, 0.8), later(fixed))

    report = watch(ledger).look(shipped(), "the file", last)

    assert baseline is not None
    assert report.reference == "baseline 1 of this node, fixed on 2026-03-04"
    assert [one.state for one in report.devices] == [DriftState.STABLE]


def test_exams_of_a_baseline_are_not_held_against_it(ledger: Ledger) -> None:
    fixed = enter_exams(ledger, scores(300, 11), START)
    watch(ledger).fix(300, None, fixed)
    enter_exams(ledger, scores(30, 12), later(fixed))

    (device,) = watch(ledger).look([], "", fixed + timedelta(hours=1)).devices

    assert (device.exams, device.state) == (30, DriftState.TOO_FEW)


@pytest.mark.parametrize("fixed_ahead", [False, True])
def test_after_a_clock_that_ran_ahead_exams_are_held_against_the_baseline_still(
    ledger: Ledger, fixed_ahead: bool
) -> None:
    ahead = enter_exams(ledger, scores(1, 33), START + timedelta(days=400))
    fixed = enter_exams(ledger, scores(300, 34), START)
    watch(ledger).fix(500, None, ahead if fixed_ahead else fixed)
    last = enter_exams(ledger, scores(200, 35, 0.8), later(fixed))

    (device,) = watch(ledger).look([], "", last).devices

    assert (device.exams, device.state) == (200, DriftState.DRIFTED)


def test_a_baseline_takes_exams_from_one_device_alone_by_when_its_own_were_read(ledger: Ledger) -> None:
    enter_exams(ledger, scores(500, 22), START)
    last = enter_exams(ledger, scores(150, 23), START + timedelta(days=1), UPGRADED)
    watch(ledger).fix(300, None, last)

    report = watch(ledger).look([], "", last)

    assert [(one.device, one.exams) for one in report.devices] == [(UPGRADED, 0), (UNIT, 200)]


def test_new_software_is_held_against_the_device_as_it_was(ledger: Ledger) -> None:
    fixed = enter_exams(ledger, scores(300, 13), START)
    watch(ledger).fix(300, None, fixed)
    last = enter_exams(ledger, scores(200, 14, 0.9), later(fixed), UPGRADED)

    report = watch(ledger).look([], "", last)

    assert list(report.warnings) == ["Maker Unit 1, software 3.0"]


def test_a_baseline_holds_for_its_weights_alone(ledger: Ledger) -> None:
    fixed = enter_exams(ledger, scores(300, 15), START)
    watch(ledger).fix(300, None, fixed)
    last = enter_exams(ledger, scores(200, 16), later(fixed), weights="b" * 64)

    report = watch(ledger, weights="b" * 64).look([], "", last)

    assert [one.state for one in report.devices] == [DriftState.NO_REFERENCE]


def test_a_later_baseline_takes_the_place_of_the_one_before_and_both_are_kept(ledger: Ledger) -> None:
    first = enter_exams(ledger, scores(300, 17), START)
    watch(ledger).fix(300, None, first)
    moved = enter_exams(ledger, scores(200, 18, 0.8), later(first))
    second = watch(ledger).fix(200, later(first), moved)
    last = enter_exams(ledger, scores(200, 19, 0.8), later(moved))

    report = watch(ledger).look([], "", last)

    assert second is not None
    assert (second.version, second.references[0].exams) == (2, 200)
    assert ledger.drift_baselines.newest(WEIGHTS) == second
    assert report.warnings == {}


def test_a_baseline_of_too_few_exams_is_not_fixed(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(99, 20), START)

    assert watch(ledger).fix(500, None, last) is None
    assert ledger.drift_baselines.newest(WEIGHTS) is None


def test_a_report_for_programs_has_figures_and_histograms(ledger: Ledger) -> None:
    last = enter_exams(ledger, scores(300, 21, 0.8), START)

    (device,) = watch(ledger).look(shipped(), "", last).as_json()["devices"]

    assert (device["manufacturer"], device["model"], device["software"]) == ("Maker", "Unit 1", "1.0 2.0")
    assert device["state"] == "drift"
    assert device["psi"]["low"] < device["psi"]["value"] < device["psi"]["high"]
    for histogram in (device["histogram"], device["reference"]["histogram"]):
        assert len(histogram) == 20
        assert sum(histogram) == pytest.approx(1.0, abs=1e-4)
