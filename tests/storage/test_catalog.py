from __future__ import annotations

from dataclasses import replace

from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from tests.factories import L_CC, LEASE, STUDY_UID, Clock, a_result, instance
from tests.storage.life import analysis, analyze, make_ready, store

LATE = instance(L_CC, sop_uid="1.2.9")


def _held(ledger: Ledger, **asked: list[str]) -> list[str]:
    return [one.sop_uid for one in ledger.catalog.newest(**asked)]


def test_what_another_image_made_an_earlier_reading_of_is_not_found(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1")]))
    make_ready(ledger, clock, [LATE])
    analyze(ledger, clock, analysis([a_result("2.25.2")]), revision=5)

    assert _held(ledger) == ["2.25.2"]
    assert _held(ledger, sop_uids=["2.25.1"]) == []


def test_what_a_second_reading_of_the_same_images_replaced_is_not_found(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1"), a_result("2.25.3")]))
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis([a_result("2.25.2"), a_result("2.25.3")]))

    assert _held(ledger) == ["2.25.2", "2.25.3"]


def test_results_of_a_study_that_is_excluded_now_are_not_found(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1")]))
    make_ready(ledger, clock, [LATE])
    excluded = analysis([a_result("2.25.2")], outcome=Outcome.EXCLUDED, reason="another patient")
    analyze(ledger, clock, excluded, revision=5)

    assert _held(ledger, study_uids=[STUDY_UID]) == ["2.25.2"]


def test_results_are_found_until_a_further_image_is_read(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1")]))

    store(ledger, clock, [LATE])

    assert _held(ledger) == ["2.25.1"]
    assert _held(ledger, series_uids=["2.25.1.1"]) == ["2.25.1"]


def test_a_study_none_of_whose_results_hold_takes_no_place_of_another(ledger: Ledger, clock: Clock) -> None:
    other = instance(L_CC, study_uid="1.2.3", sop_uid="1.2.3.1")
    make_ready(ledger, clock, [other])
    claim = ledger.claims.claim("1.2.3", 1, "worker", clock(), LEASE)
    ledger.claims.commit(claim, analysis([a_result("2.25.7")]), clock())
    clock.advance(1)
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1")]))
    make_ready(ledger, clock, [LATE])
    analyze(ledger, clock, replace(analysis(), results=[], owed={}), revision=5)

    assert [one.sop_uid for one in ledger.catalog.newest(most_studies=1)] == ["2.25.7"]
