from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dibmg_node.domain.pause import Part, Pause
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.exam_scores import ScoredExam
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.shadow_facts import ShadowClaim, ShadowOutcome, ShadowReading
from tests.factories import L_CC, LEASE, R_CC, STUDY_UID, Clock, instance
from tests.storage.life import analysis, analyze, make_ready, state_of, store
from tests.storage.scored_exams import UNIT, WEIGHTS

SHADOW = "b" * 64
FOUND = ShadowReading(ShadowOutcome.READ, "", 0.4, 0.3, 1, 2.5, {"scores": {"exam": 0.4}})


def shadowed() -> Analysis:
    reading = {"findings": [{}, {}], "seconds": {"read": 7.0, "network": 1.0, "localize": 0.5, "write": 9.0}}
    scored = ScoredExam(UNIT, WEIGHTS, 0.7, 0.5)
    return replace(analysis(), reading=reading, scored=scored, shadowed=True)


def claim(ledger: Ledger, clock: Clock) -> ShadowClaim:
    found = ledger.shadow_readings.claim(clock(), LEASE)
    assert found is not None
    return found


def read(ledger: Ledger, clock: Clock, found: ShadowReading = FOUND) -> None:
    ledger.shadow_readings.commit(claim(ledger, clock), SHADOW, found, clock())


def test_what_both_models_found_stands_side_by_side(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    state = state_of(ledger)

    read(ledger, clock)

    (one,) = ledger.shadow_readings.read_twice(SHADOW, None)
    assert (one.study_uid, one.device, one.first_weights) == (STUDY_UID, UNIT, WEIGHTS)
    first = one.first
    assert (first.score, first.threshold, first.findings, first.seconds) == (0.7, 0.5, 2, 1.5)
    assert (one.score, one.threshold, one.findings, one.seconds) == (0.4, 0.3, 1, 2.5)
    assert ledger.shadow_readings.newest_weights() == SHADOW
    assert ledger.shadow_readings.claim(clock(), LEASE) is None
    assert state_of(ledger) == state


def test_without_a_shadow_nothing_waits_for_one(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, replace(shadowed(), shadowed=False))

    assert ledger.shadow_readings.claim(clock(), LEASE) is None
    assert ledger.shadow_readings.backlog(SHADOW, clock()).waiting == 0


def test_an_exam_is_handed_out_once_until_its_lease_runs_out(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    first = claim(ledger, clock)
    meanwhile = ledger.shadow_readings.claim(clock(), LEASE)
    clock.advance(LEASE.total_seconds())

    second = claim(ledger, clock)

    assert meanwhile is None
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(LedgerConflictError):
        ledger.shadow_readings.commit(first, SHADOW, FOUND, clock())
    with pytest.raises(LedgerConflictError):
        ledger.shadow_readings.renew(first, clock(), LEASE)


def test_what_is_given_back_is_handed_out_again_as_if_for_the_first_time(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    ledger.shadow_readings.give_back(claim(ledger, clock))

    assert claim(ledger, clock).attempt == 1


def test_while_a_study_waits_for_the_first_model_the_shadow_gets_nothing(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    other = [
        replace(one, study_uid="1.2.9", sop_uid=f"1.2.9.{n}")
        for n, one in enumerate((instance(R_CC), instance(L_CC)))
    ]
    make_ready(ledger, clock, other)

    waiting = ledger.shadow_readings.claim(clock(), LEASE)
    ledger.claims.claim("1.2.9", 2, "worker", clock(), LEASE)

    assert waiting is None
    assert claim(ledger, clock).study.study_uid == STUDY_UID


def test_while_analysis_is_paused_the_shadow_gets_nothing(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    ledger.pauses.begin(Pause(Part.ANALYSIS, "", clock(), "", ""))

    assert ledger.shadow_readings.claim(clock(), LEASE) is None


def test_a_study_that_moved_on_waits_for_the_shadow_no_more(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])

    assert ledger.shadow_readings.claim(clock(), LEASE) is None
    assert ledger.shadow_readings.backlog(SHADOW, clock()).waiting == 0


def test_a_study_that_is_read_anew_replaces_what_the_shadow_found(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    read(ledger, clock)
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])
    ledger.receipts.complete_due(clock.advance(400))
    analyze(ledger, clock, shadowed(), revision=5)

    read(ledger, clock, replace(FOUND, score=0.9))

    assert [one.score for one in ledger.shadow_readings.read_twice(SHADOW, None)] == [0.9]


def test_an_exam_that_is_excluded_is_not_for_the_shadow(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])
    ledger.receipts.complete_due(clock.advance(400))

    found = replace(shadowed(), outcome=Outcome.EXCLUDED, scored=None, scores=None, reason="an implant")
    analyze(ledger, clock, found, revision=5)

    assert ledger.shadow_readings.backlog(SHADOW, clock()).waiting == 0


def test_a_reading_that_is_withdrawn_is_compared_with_nothing(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    read(ledger, clock)
    store(ledger, clock, [replace(instance(R_CC), sop_uid="1.2.3.9")])
    ledger.receipts.complete_due(clock.advance(400))
    before = ledger.shadow_readings.read_twice(SHADOW, None)

    found = replace(shadowed(), outcome=Outcome.EXCLUDED, scored=None, scores=None, reason="two patients")
    analyze(ledger, clock, found, revision=5)

    assert len(before) == 1
    assert ledger.shadow_readings.read_twice(SHADOW, None) == []
    assert ledger.shadow_readings.counts(SHADOW, None)[ShadowOutcome.READ] == 0


def test_a_failure_is_counted_with_its_reason_and_compared_with_nothing(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, shadowed())
    before = ledger.shadow_readings.backlog(SHADOW, clock())

    read(ledger, clock, ShadowReading(ShadowOutcome.FAILED, "no answer within 120 s"))

    found = ledger.shadow_readings.backlog(SHADOW, clock() - timedelta(days=1))
    assert (before.waiting, before.oldest) == (1, clock())
    assert (found.waiting, found.oldest, found.read, found.failed) == (0, None, 0, 1)
    assert found.last_failure == "no answer within 120 s"
    assert ledger.shadow_readings.counts(SHADOW, None)[ShadowOutcome.FAILED] == 1
    assert ledger.shadow_readings.read_twice(SHADOW, None) == []
