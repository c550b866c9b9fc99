"""What operators pause: kept in the ledger, and honored by everybody who hands out work."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import LEASE, START, STUDY_UID, Clock
from tests.storage.life import analysis, analyze, claim, make_ready, settle

HOUR = timedelta(hours=1)


def pause(ledger: Ledger, clock: Clock, part: Part, name: str = "", by: str = "anna") -> Pause:
    return ledger.pauses.begin(Pause(part, name, clock(), by, "a reason"))


def test_what_is_paused_is_told_until_it_is_resumed(ledger: Ledger, clock: Clock) -> None:
    begun = pause(ledger, clock, Part.INTAKE)
    other = pause(ledger, clock, Part.DESTINATION, "pacs")

    told, found = ledger.pauses.all(), ledger.pauses.find(Part.INTAKE)
    ended = ledger.pauses.end(Part.INTAKE, "", clock.advance(5))

    assert (ledger.pauses.resumed_at(Part.INTAKE), ledger.pauses.resumed_at(Part.ANALYSIS)) == (clock(), None)
    assert told == [other, begun]
    assert found == ended == begun
    assert (ledger.pauses.all(), ledger.pauses.find(Part.INTAKE)) == ([other], None)


def test_who_pauses_what_is_paused_changes_who_and_why_and_not_since_when(
    ledger: Ledger, clock: Clock
) -> None:
    pause(ledger, clock, Part.ANALYSIS)
    clock.advance(60)

    again = pause(ledger, clock, Part.ANALYSIS, by="otto")

    assert ledger.pauses.all() == [again]
    assert (again.by, again.since) == ("otto", START)


def test_a_pause_after_a_resume_begins_anew(ledger: Ledger, clock: Clock) -> None:
    pause(ledger, clock, Part.ANALYSIS)
    ledger.pauses.end(Part.ANALYSIS, "", clock())
    clock.advance(60)

    again = pause(ledger, clock, Part.ANALYSIS)

    assert (ledger.pauses.all(), again.since) == ([again], clock())


@pytest.mark.parametrize("name", ["pacs", "archive"])
def test_what_is_not_paused_cannot_be_resumed(ledger: Ledger, clock: Clock, name: str) -> None:
    pause(ledger, clock, Part.DESTINATION, "pacs")
    ledger.pauses.end(Part.DESTINATION, "pacs", clock())

    with pytest.raises(PermanentError, match=f"destination {name} is not paused"):
        ledger.pauses.end(Part.DESTINATION, name, clock())


def test_while_analysis_is_paused_no_study_is_claimed_or_told_of(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    pause(ledger, clock, Part.ANALYSIS)

    told = ledger.claims.unpublished(clock(), START)

    assert told == []
    with pytest.raises(LedgerConflictError, match="analysis is paused"):
        claim(ledger, clock)


def test_an_analysis_that_runs_is_finished_although_analysis_is_paused(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    held = claim(ledger, clock)
    pause(ledger, clock, Part.ANALYSIS)

    ledger.claims.renew(held, clock(), LEASE)
    ledger.claims.commit(held, analysis(), clock())

    assert ledger.views.count_by_state()["ANALYZED"] == 1


def test_a_study_that_was_told_of_before_a_pause_is_told_of_again_at_once_when_it_is_over(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.claims.unpublished(clock(), START)
    pause(ledger, clock, Part.ANALYSIS)

    ledger.pauses.end(Part.ANALYSIS, "", clock())

    assert ledger.claims.unpublished(clock(), START) == [(STUDY_UID, 4, Priority.ROUTINE)]


def test_a_paused_destination_gets_nothing_and_the_others_do(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["archive", "pacs"]))
    pause(ledger, clock, Part.DESTINATION, "pacs")

    due = ledger.outbox.due(clock(), clock())

    assert due == [(STUDY_UID, 4, "archive")]
    with pytest.raises(LedgerConflictError, match="destination pacs is paused"):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    settle(ledger, clock, DeliveryState.STORED, destination="archive")
    assert ledger.views.destination("pacs").owed == 1


def test_what_a_paused_destination_is_sent_just_now_is_settled(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    pause(ledger, clock, Part.DESTINATION, "pacs")

    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock())

    assert ledger.views.destination("pacs").stored == 1


def test_a_destination_that_is_resumed_is_due_at_once_whatever_its_backoff(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED)
    pause(ledger, clock, Part.DESTINATION, "pacs")

    ledger.pauses.end(Part.DESTINATION, "pacs", clock())

    assert ledger.outbox.due(clock(), START) == [(STUDY_UID, 4, "pacs")]


def test_a_paused_destination_is_not_asked_for_proof_until_it_is_resumed(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock(), Proof.QUERY)
    pause(ledger, clock, Part.DESTINATION, "pacs")

    due = ledger.proofs.due(clock(), START)
    with pytest.raises(LedgerConflictError, match="paused"):
        ledger.proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
    ledger.pauses.end(Part.DESTINATION, "pacs", clock())

    assert due == []
    assert ledger.proofs.due(clock(), START) == [(STUDY_UID, 4, "pacs")]


def test_a_paused_destination_raises_no_alarm_until_an_hour_after_it_is_resumed(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    pause(ledger, clock, Part.DESTINATION, "pacs")

    paused = ledger.overdue.before(clock.advance(7200) - HOUR)
    ledger.pauses.end(Part.DESTINATION, "pacs", clock())
    early = ledger.overdue.before(clock.advance(3599) - HOUR)
    late = ledger.overdue.before(clock.advance(1) - HOUR)

    assert paused == early == []
    assert [one.destination for one in late] == ["pacs"]
