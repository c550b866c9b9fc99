from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState, StudyState
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import ViewModifier
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.facts_json import dump_facts, load_facts
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.listing import StudyFilter
from tests.factories import (
    L_MLO,
    PATIENCE,
    R_CC,
    START,
    STUDY_UID,
    Clock,
    a_result,
    instance,
    received,
    screening,
)
from tests.storage.life import analysis, analyze, claim, make_ready, settle, store


def test_facts_survive_the_ledger() -> None:
    one = instance(
        R_CC,
        modifiers=(ViewModifier.SPOT_COMPRESSION, ViewModifier.UNKNOWN),
        magnification=1.8,
        orientation=("A", "R"),
    )

    assert load_facts(dump_facts(one)) == one


def test_facts_without_side_and_view_survive_the_ledger() -> None:
    one = instance(R_CC, laterality=None, view=None, manufacturer="Mäker \x00\ud800")

    assert load_facts(dump_facts(one)) == one


def test_facts_that_an_older_program_did_not_keep_are_empty_and_those_of_a_newer_one_are_left_out() -> None:
    kept = json.loads(dump_facts(instance(R_CC, content_at="20260303101112")))
    del kept["content_at"]
    kept["a_fact_of_tomorrow"] = "x"

    assert load_facts(json.dumps(kept)) == instance(R_CC)


def test_studies_are_counted_in_every_state_zero_included(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    counts = ledger.views.count_by_state()

    assert counts == {state.value: int(state is StudyState.READY) for state in StudyState}


def test_a_ledger_without_studies_has_an_answer_to_everything(ledger: Ledger, clock: Clock) -> None:
    views = ledger.views

    assert views.study("1.2") is None
    assert views.oldest_waiting() is None
    assert (views.failed_since(START), views.last_received(), views.beats()) == (0, {}, [])
    assert (
        ledger.listing.newest(StudyFilter(), 9),
        ledger.overdue.before(clock()),
        ledger.alarms.open(),
    ) == ([], [], [])
    assert (views.destination("pacs").owed, views.destination("pacs").owed_since) == (0, None)


def test_the_study_that_waits_longest_tells_since_when(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)

    assert ledger.views.oldest_waiting() == START


def test_each_sender_has_the_time_of_its_last_instance(ledger: Ledger, clock: Clock) -> None:
    ledger.receipts.store(received(instance(), sender="MG1"), PATIENCE, clock())
    other = instance(L_MLO, study_uid="1.9")
    ledger.receipts.store(received(other, sender="MG2"), PATIENCE, clock.advance(7))

    assert ledger.views.last_received() == {"MG1": START, "MG2": START + timedelta(seconds=7)}


def test_failed_studies_are_counted_from_a_moment_on(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.FAILED, reason="broke"))

    assert ledger.views.failed_since(clock()) == 1
    assert ledger.views.failed_since(clock() + timedelta(seconds=1)) == 0


def test_a_study_whose_results_are_refused_long_after_its_last_image_failed_lately(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]))
    clock.advance(26 * 3600)
    settle(ledger, clock, DeliveryState.REFUSED)

    assert ledger.views.failed_since(clock() - timedelta(days=1)) == 1
    assert ledger.views.failed_since(clock() + timedelta(seconds=1)) == 0


def test_a_destination_shows_what_it_has_what_it_waits_for_and_why(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]))
    analyzed_at = clock()
    settle(ledger, clock, DeliveryState.OWED)

    pacs = ledger.views.destination("pacs")

    assert (pacs.owed, pacs.stored, pacs.refused, pacs.failing) == (2, 0, 0, 2)
    assert (pacs.owed_since, pacs.comment) == (analyzed_at, "a comment")
    assert ledger.overdue.before(analyzed_at - timedelta(seconds=1)) == []
    assert [one.results for one in ledger.overdue.before(analyzed_at)] == [2]


def test_a_destination_that_has_everything_shows_no_old_complaint(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED)
    clock.advance(900)
    settle(ledger, clock, DeliveryState.STORED, "0x0000")

    pacs = ledger.views.destination("pacs")

    assert (pacs.owed, pacs.stored, pacs.failing, pacs.comment) == (0, 1, 0, "")


def test_an_instance_that_was_not_judged_yet_says_so(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock, [instance()])

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    (one,) = study["instances"]
    assert (one["view"], one["laterality"], one["used"], one["code"]) == ("CC", "R", None, "NOT_JUDGED")


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({"exam": 0.7, "probability": 0.25}, {"exam": 0.7, "R": 0.7, "L": 0.1, "probability": 0.25}),
        ({"exam": 0.7}, {"exam": 0.7, "R": 0.7, "L": 0.1}),
    ],
)
def test_a_study_has_a_probability_only_where_its_reading_has_one(
    ledger: Ledger, clock: Clock, scores: dict[str, float], told: dict[str, float]
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, replace(analysis(), reading={"scores": scores}))

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    assert study["scores"] == told


def test_only_the_newest_reading_has_current_results(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.2")]))

    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert [one["sop_uid"] for one in study["results"] if one["current"]] == ["2.25.2"]


def test_signs_of_life_tell_who_lives_since_when(ledger: Ledger, clock: Clock) -> None:
    ledger.beats.start("intake@host", clock(), "port 1")
    ledger.beats.beat("intake@host", clock.advance(5), "port 2")

    (beat,) = ledger.views.beats()

    assert (beat.process, beat.since, beat.at) == ("intake@host", START, clock())
    assert (beat.pid, beat.detail) == (os.getpid(), "port 2")


def test_a_process_that_ended_on_purpose_is_not_missed(ledger: Ledger, clock: Clock) -> None:
    ledger.beats.start("intake@host", clock())
    ledger.beats.start("sweep@host", clock())

    ledger.beats.stop("intake@host")

    assert [beat.process for beat in ledger.views.beats()] == ["sweep@host"]
