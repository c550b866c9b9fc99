from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import LedgerConflictError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.claims import LONGEST_PAUSE, Claim
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_MLO, LEASE, START, STUDY_UID, Clock, a_result, instance, screening
from tests.storage.life import (
    analysis,
    analyze,
    claim,
    deliveries_of,
    make_ready,
    reason_of,
    settle,
    state_of,
    store,
)


def test_of_sixteen_workers_one_gets_the_study(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    def try_claim(number: int) -> str:
        try:
            return claim(ledger, clock, owner=f"worker {number}").owner
        except LedgerConflictError:
            return ""

    with ThreadPoolExecutor(16) as pool:
        owners = [owner for owner in pool.map(try_claim, range(16)) if owner]

    assert len(owners) == 1


def test_a_claim_brings_the_instances_and_what_intake_counted(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    held = claim(ledger, clock)

    assert sorted(held.study.instances, key=lambda i: i.sop_uid) == sorted(
        screening(), key=lambda i: i.sop_uid
    )
    assert held.checksums == {one.sop_uid: (100, 1) for one in screening()}
    assert (held.attempt, held.first_claimed_at, held.delivered) == (1, clock(), ())


@pytest.mark.parametrize("revision", [3, 5])
def test_another_revision_is_not_handed_out(ledger: Ledger, clock: Clock, revision: int) -> None:
    make_ready(ledger, clock)

    with pytest.raises(LedgerConflictError, match="the study is at 4"):
        claim(ledger, clock, revision)


def test_an_unknown_study_is_a_conflict(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(LedgerConflictError, match="no study"):
        claim(ledger, clock)


def test_a_study_that_is_still_received_is_not_handed_out(ledger: Ledger, clock: Clock) -> None:
    store(ledger, clock)

    with pytest.raises(LedgerConflictError):
        claim(ledger, clock)


def test_a_worker_whose_study_was_reopened_cannot_commit(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    stale = claim(ledger, clock, revision=3)
    store(ledger, clock, [instance(L_MLO)])

    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(stale, analysis(), clock())

    assert (state_of(ledger), deliveries_of(ledger)) == ("RECEIVING", [])


def test_a_worker_whose_study_was_reopened_and_claimed_again_cannot_commit(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock, screening()[:3])
    stale = claim(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])
    claim(ledger, clock, revision=4)

    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(stale, analysis(), clock())
    with pytest.raises(LedgerConflictError):
        ledger.claims.renew(stale, clock(), LEASE)
    with pytest.raises(LedgerConflictError):
        ledger.claims.give_back(stale, "late", clock())


@pytest.mark.parametrize("change", [{"owner": "another"}, {"attempt": 2}])
def test_only_the_holder_of_this_attempt_can_commit(
    ledger: Ledger, clock: Clock, change: dict[str, object]
) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)

    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(replace(held, **change), analysis(), clock())


def test_the_worker_of_an_earlier_attempt_cannot_commit(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    stale = claim(ledger, clock)
    ledger.claims.end_expired(clock.advance(20))
    claim(ledger, clock)

    with pytest.raises(LedgerConflictError):
        ledger.claims.commit(stale, analysis(), clock())


def test_a_lease_that_is_renewed_does_not_run_out(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)

    for _ in range(4):
        ledger.claims.renew(held, clock.advance(15), LEASE)
        assert ledger.claims.end_expired(clock()) == 0


def test_a_lease_runs_out_and_the_study_is_ready_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)

    assert ledger.claims.end_expired(clock.advance(19.9)) == 0
    assert ledger.claims.end_expired(clock.advance(0.1)) == 1
    assert state_of(ledger) == "READY"
    assert reason_of(ledger) == "the worker's lease ran out"


def test_claims_of_a_worker_that_is_gone_end_at_once_and_those_of_others_stay(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock, owner="gone")

    assert ledger.claims.end_claims_of("another", clock()) == 0
    assert ledger.claims.end_claims_of("gone", clock()) == 1
    assert state_of(ledger) == "READY"


def test_attempts_count_and_keep_the_time_of_the_first(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    first = clock()
    attempts = []

    for _ in range(3):
        held = claim(ledger, clock)
        attempts.append((held.attempt, held.first_claimed_at, held.reason))
        ledger.claims.give_back(held, f"broke {held.attempt}", clock.advance(5))

    assert attempts == [(1, first, ""), (2, first, "broke 1"), (3, first, "broke 2")]


def test_a_late_instance_starts_the_attempts_anew(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    ledger.claims.give_back(claim(ledger, clock, revision=3), "broke", clock())
    make_ready(ledger, clock, [instance(L_MLO)])

    held = claim(ledger, clock)

    assert (held.attempt, held.first_claimed_at, held.reason) == (1, clock(), "")


def test_a_commit_enters_all_that_was_found(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)
    overlay = a_result("2.25.2", ResultKind.OVERLAY)

    ledger.claims.commit(
        held, replace(analysis([a_result(), overlay]), sha256={screening()[0].sop_uid: "f" * 64}), clock()
    )

    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert (study["state"], study["scores"]) == ("ANALYZED", {"exam": 0.7, "R": 0.7, "L": 0.1})
    assert {one["code"] for one in study["instances"]} == {"USED"}
    assert {one["sop_uid"] for one in study["results"]} == {"2.25.1", "2.25.2"}
    assert deliveries_of(ledger) == [("2.25.1", "OWED"), ("2.25.2", "OWED")]
    assert study["reading"] == {"findings": []}
    with ledger.engine.connect() as connection:
        digests = connection.execute(text("SELECT sha256 FROM instances WHERE sha256 IS NOT NULL")).all()
    assert digests == [("f" * 64,)]


@pytest.mark.parametrize(("outcome", "state"), [(Outcome.EXCLUDED, "EXCLUDED"), (Outcome.FAILED, "FAILED")])
def test_an_unread_study_ends_with_its_reason_and_without_scores(
    ledger: Ledger, clock: Clock, outcome: Outcome, state: str
) -> None:
    make_ready(ledger, clock)

    analyze(ledger, clock, analysis(outcome=outcome, reason="missing views: L-MLO"))

    assert (state_of(ledger), reason_of(ledger)) == (state, "missing views: L-MLO")
    assert deliveries_of(ledger) == [("2.25.1", "OWED")]


def test_what_is_owed_of_an_older_reading_is_superseded(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])

    analyze(ledger, clock, analysis([a_result("2.25.2")]))

    assert deliveries_of(ledger) == [("2.25.1", "SUPERSEDED"), ("2.25.2", "OWED")]


def test_a_result_that_a_destination_has_is_not_owed_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    settle(ledger, clock, DeliveryState.STORED)
    make_ready(ledger, clock, [instance(L_MLO)])

    analyze(ledger, clock)

    assert deliveries_of(ledger) == [("2.25.1", "STORED")]
    assert state_of(ledger) == "DELIVERED"


def test_a_superseded_result_that_is_current_again_is_owed_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:2])
    analyze(ledger, clock, revision=2)
    make_ready(ledger, clock, screening()[2:3])
    analyze(ledger, clock, analysis([a_result("2.25.2")]), revision=3)
    make_ready(ledger, clock, screening()[3:])

    analyze(ledger, clock)

    assert deliveries_of(ledger) == [("2.25.1", "OWED"), ("2.25.2", "SUPERSEDED")]


def test_a_new_reading_names_the_report_that_a_destination_has(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, analysis([a_result(), a_result("2.25.2", ResultKind.OVERLAY)]), revision=3)
    settle(ledger, clock, DeliveryState.STORED)
    make_ready(ledger, clock, [instance(L_MLO)])

    held = claim(ledger, clock)

    assert {one.sop_uid for one in held.delivered if one.kind is ResultKind.CAD_SR} == {"2.25.1"}


def test_a_report_that_nobody_has_is_no_predecessor(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    make_ready(ledger, clock, [instance(L_MLO)])

    assert claim(ledger, clock).delivered == ()


def test_a_ready_study_is_told_once_until_long_ago(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    longest = timedelta(seconds=15)

    told = [
        ledger.claims.unpublished(clock(), clock() - longest),
        ledger.claims.unpublished(clock.advance(14), clock() - longest),
        ledger.claims.unpublished(clock.advance(1), clock() - longest),
    ]

    assert told == [[(STUDY_UID, 4, Priority.ROUTINE)], [], [(STUDY_UID, 4, Priority.ROUTINE)]]


def test_an_attempt_that_failed_is_told_at_once(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    ledger.claims.unpublished(clock(), START)
    ledger.claims.give_back(claim(ledger, clock), "broke", clock())

    assert ledger.claims.unpublished(clock(), START) == [(STUDY_UID, 4, Priority.ROUTINE)]


def test_what_is_put_off_is_told_after_its_pause_and_its_attempt_does_not_count(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.claims.put_off(claim(ledger, clock), "the archive is away", clock(), timedelta(seconds=40))

    told = [ledger.claims.unpublished(clock.advance(20), START) for _ in range(2)]

    assert told == [[], [(STUDY_UID, 4, Priority.ROUTINE)]]
    assert reason_of(ledger) == "the archive is away"
    assert claim(ledger, clock).attempt == 1


def test_a_clock_that_is_set_back_makes_no_pause_longer(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    ledger.claims.put_off(claim(ledger, clock), "the archive is away", clock(), LONGEST_PAUSE)

    clock.advance(-8 * 3600)

    assert ledger.claims.unpublished(clock(), START) == [(STUDY_UID, 4, Priority.ROUTINE)]


def test_the_history_only_grows_and_tells_every_step(ledger: Ledger, clock: Clock) -> None:
    timelines = []

    def look(_: object = None) -> None:
        study = ledger.views.study(STUDY_UID)
        assert study is not None
        timelines.append([(one["event"], one["detail"]) for one in study["timeline"]])

    make_ready(ledger, clock, screening()[:3])
    look()
    ledger.claims.give_back(claim(ledger, clock, revision=3), "broke", clock())
    look()
    make_ready(ledger, clock, [instance(L_MLO)])
    look()
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED, "0x0000")
    look()

    for earlier, later in pairwise(timelines):
        assert later[: len(earlier)] == earlier
    assert [event for event, _ in timelines[-1]] == [
        *["instance stored"] * 3,
        "complete",
        "claimed",
        "attempt failed",
        "instance stored",
        "complete",
        "claimed",
        "reported",
        "sent",
        "all delivered",
    ]


def test_a_claim_of_another_study_is_not_touched_by_a_commit(ledger: Ledger, clock: Clock) -> None:
    other = [replace(one, study_uid="1.9", sop_uid=f"1.9.{one.sop_uid}") for one in screening()]
    store(ledger, clock, other)
    make_ready(ledger, clock)
    held: Claim = ledger.claims.claim("1.9", 4, "worker", clock(), LEASE)

    analyze(ledger, clock)

    ledger.claims.renew(held, clock(), LEASE)
    study = ledger.views.study("1.9")
    assert study is not None
    assert {one["code"] for one in study["instances"]} == {"NOT_JUDGED"}


def test_images_of_a_study_that_was_given_up_are_not_said_to_be_judged_yet(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.decisions.cancel(STUDY_UID, "sent by mistake", clock())

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    assert {one["sentence"] for one in study["instances"]} == {"not judged: the study was given up before"}


def test_a_late_view_takes_the_old_scores_and_verdicts_away_and_says_what_is_waited_for(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock, screening()[:2])
    analyze(ledger, clock, revision=2)
    store(ledger, clock, screening()[2:3])

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    assert (study["state"], study["scores"]["exam"], study["reading"]) == ("RECEIVING", None, None)
    assert {one["code"] for one in study["instances"]} == {"NOT_JUDGED"}
    assert study["reason"].startswith("missing views: L-MLO; further images are waited for until ")
    assert [one["current"] for one in study["results"]] == [False]


def test_a_result_that_is_being_sent_is_not_superseded_and_is_a_predecessor(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(hours=1))
    make_ready(ledger, clock, [instance(L_MLO)])

    held = claim(ledger, clock)
    ledger.claims.commit(held, analysis([a_result("2.25.2")]), clock())

    assert {one.sop_uid for one in held.delivered if one.kind is ResultKind.CAD_SR} == {"2.25.1"}
    assert deliveries_of(ledger) == [("2.25.1", "OWED"), ("2.25.2", "OWED")]


def worker_killed(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
    ledger.outbox.release("", clock())


def answer_lost(ledger: Ledger, clock: Clock) -> None:
    (owed,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
    lost = Settlement(owed.sop_uid, DeliveryState.OWED, "", "no answer", in_doubt=True)
    ledger.outbox.settle(STUDY_UID, "pacs", [lost], clock())


def asked_for_again(ledger: Ledger, clock: Clock) -> None:
    settle(ledger, clock, DeliveryState.STORED)
    ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)


@pytest.mark.parametrize("event", [worker_killed, answer_lost, asked_for_again])
def test_a_report_that_a_destination_may_have_is_a_predecessor_and_not_sent_again(
    ledger: Ledger, clock: Clock, event: Callable[[Ledger, Clock], None]
) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    event(ledger, clock)
    make_ready(ledger, clock, [instance(L_MLO)])

    held = claim(ledger, clock)
    ledger.claims.commit(held, analysis([a_result("2.25.2")]), clock())

    assert [one.sop_uid for one in held.delivered] == ["2.25.1"]
    settle(ledger, clock, DeliveryState.STORED)
    assert deliveries_of(ledger) == [("2.25.1", "SUPERSEDED"), ("2.25.2", "STORED")]
