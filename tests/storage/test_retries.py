"""What a person may have tried again."""

from __future__ import annotations

import pytest

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.result import ResultKind, Wanted
from dibmg_node.errors import LedgerConflictError, PermanentError
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.records import Records
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_MLO, LEASE, STUDY_UID, Clock, a_result, instance, screening
from tests.storage.life import (
    analysis,
    analyze,
    claim,
    deliveries_of,
    make_ready,
    reason_of,
    settle,
    state_of,
)


def test_a_retry_reads_a_delivered_study_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)

    assert ledger.retries.ask(STUDY_UID, clock()) == "analysis"
    assert claim(ledger, clock).attempt == 1


def test_a_retry_of_a_failed_analysis_reads_it_again_whatever_the_destinations_owe(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.FAILED, reason="broke"))
    assert deliveries_of(ledger) == [("2.25.1", "OWED")]

    assert ledger.retries.ask(STUDY_UID, clock()) == "analysis"
    assert state_of(ledger) == "READY"


def test_a_retry_sends_what_was_refused(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")
    assert state_of(ledger) == "FAILED"

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    assert (state_of(ledger), reason_of(ledger)) == ("ANALYZED", "")
    settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == "DELIVERED"


def test_a_retry_makes_what_waits_for_its_backoff_due_at_once(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.OWED)
    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    assert len(ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)) == 1


def test_a_retry_takes_nothing_from_a_worker_that_is_sending_it(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)

    assert ledger.retries.ask(STUDY_UID, clock()) == "delivery"
    with pytest.raises(LedgerConflictError):
        ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)


def test_a_study_that_is_being_read_cannot_be_retried(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)

    with pytest.raises(PermanentError, match="ANALYZING"):
        ledger.retries.ask(STUDY_UID, clock())


def test_a_study_that_nobody_knows_cannot_be_retried(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(PermanentError, match="no study"):
        ledger.retries.ask("1.2.3", clock())


def test_a_person_may_have_a_study_read_again_although_a_delivery_was_refused(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")

    assert ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS) is Retry.ANALYSIS
    assert state_of(ledger) == "READY"
    analyze(ledger, clock)
    assert deliveries_of(ledger) == [("2.25.1", "OWED")]


def test_a_person_may_have_everything_sent_again_to_a_destination_that_lost_it(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED)
    assert state_of(ledger) == "DELIVERED"

    assert ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY) is Retry.DELIVERY
    assert (state_of(ledger), deliveries_of(ledger)) == ("ANALYZED", [("2.25.1", "OWED")])


def test_nothing_can_be_sent_again_of_a_study_without_results(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    with pytest.raises(PermanentError, match="no result to deliver"):
        ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)


def test_what_another_result_has_replaced_is_not_sent_again(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock, screening()[:3])
    analyze(ledger, clock, revision=3)
    settle(ledger, clock, DeliveryState.STORED)
    make_ready(ledger, clock, [instance(L_MLO)])
    analyze(ledger, clock, analysis([a_result("2.25.2")]))
    settle(ledger, clock, DeliveryState.STORED)

    ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)

    assert deliveries_of(ledger) == [("2.25.1", "STORED"), ("2.25.2", "OWED")]


def read_twice(ledger: Ledger, clock: Clock) -> None:
    """A study whose first reading was delivered, and which other weights have read since: delivered, too."""
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1"), a_result("2.25.2", ResultKind.OVERLAY)]))
    settle(ledger, clock, DeliveryState.STORED)
    ledger.retries.ask(STUDY_UID, clock.advance(10))
    analyze(ledger, clock, analysis([a_result("2.25.3"), a_result("2.25.2", ResultKind.OVERLAY)]))
    settle(ledger, clock, DeliveryState.STORED)


def test_what_a_second_reading_of_the_same_images_replaced_is_not_sent_again(
    ledger: Ledger, clock: Clock
) -> None:
    read_twice(ledger, clock)

    ledger.retries.ask(STUDY_UID, clock.advance(10), Retry.DELIVERY)

    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    assert [one.sop_uid for one in owed] == ["2.25.2", "2.25.3"]


def test_what_a_second_reading_replaced_is_no_result_of_the_study_any_more(
    ledger: Ledger, clock: Clock
) -> None:
    read_twice(ledger, clock)

    study = ledger.views.study(STUDY_UID)
    record = Records(ledger.engine).of(STUDY_UID)

    assert study is not None
    assert {one["sop_uid"]: one["current"] for one in study["results"]} == {
        "2.25.1": False,
        "2.25.2": True,
        "2.25.3": True,
    }
    assert record is not None
    assert sorted(one.sop_uid for one in record.results) == ["2.25.2", "2.25.3"]


def test_what_a_first_reading_found_holds_again_where_a_third_finds_it_again(
    ledger: Ledger, clock: Clock
) -> None:
    read_twice(ledger, clock)
    ledger.retries.ask(STUDY_UID, clock.advance(10))
    analyze(ledger, clock, analysis([a_result("2.25.1"), a_result("2.25.2", ResultKind.OVERLAY)]))

    ledger.retries.ask(STUDY_UID, clock.advance(10), Retry.DELIVERY)

    owed = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    assert [one.sop_uid for one in owed] == ["2.25.2", "2.25.1"]


def test_a_study_whose_first_reading_nobody_was_owed_may_be_purged_when_a_second_one_was(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=(), outcome=Outcome.FAILED, reason="broke"))
    ledger.retries.ask(STUDY_UID, clock())
    analyze(ledger, clock, analysis([a_result("2.25.5")]))
    settle(ledger, clock, DeliveryState.STORED)

    assert [one.study_uid for one in ledger.purges.oldest(clock.advance(1), 10)] == [STUDY_UID]


def test_a_reading_after_a_destination_was_renamed_leaves_nothing_to_the_old_name(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED)
    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)
    analyze(ledger, clock, analysis(destinations=["archive"]))
    settle(ledger, clock, DeliveryState.STORED, destination="archive")

    study = ledger.views.study(STUDY_UID)

    assert study is not None
    assert study["state"] == "DELIVERED"
    assert {one["destination"]: one["state"] for one in study["deliveries"]} == {
        "pacs": "SUPERSEDED",
        "archive": "STORED",
    }


REPORT, OVERLAY = (ResultKind.CAD_SR, ""), (ResultKind.OVERLAY, "")


def refused_overlay(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result("2.25.1"), a_result("2.25.2", ResultKind.OVERLAY)]))
    overlay, report = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [
        Settlement(overlay.sop_uid, DeliveryState.REFUSED, "0x0122", ""),
        Settlement(report.sop_uid, DeliveryState.STORED, "0x0000", ""),
    ]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock())


@pytest.mark.parametrize("wanted", [{"pacs": {REPORT}}, {}], ids=["another kind", "no such destination"])
def test_a_retry_gives_up_what_no_destination_is_to_get_any_more(
    ledger: Ledger, clock: Clock, wanted: Wanted
) -> None:
    refused_overlay(ledger, clock)
    assert state_of(ledger) == "FAILED"

    assert ledger.retries.ask(STUDY_UID, clock(), wanted=wanted) == "delivery"

    assert (state_of(ledger), reason_of(ledger)) == ("DELIVERED", "")
    assert dict(deliveries_of(ledger)) == {"2.25.1": "STORED", "2.25.2": "SUPERSEDED"}


def test_a_retry_sends_what_a_destination_still_is_to_get(ledger: Ledger, clock: Clock) -> None:
    refused_overlay(ledger, clock)

    assert ledger.retries.ask(STUDY_UID, clock(), wanted={"pacs": {OVERLAY}}) == "delivery"

    assert dict(deliveries_of(ledger)) == {"2.25.1": "STORED", "2.25.2": "OWED"}


def test_a_retry_does_not_send_again_what_is_not_wanted_any_more(ledger: Ledger, clock: Clock) -> None:
    refused_overlay(ledger, clock)

    ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY, wanted={"pacs": {OVERLAY}})

    assert [one.sop_uid for one in ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)] == ["2.25.2"]


def store_to_be_proven(ledger: Ledger, clock: Clock) -> None:
    (owed,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    stored = [Settlement(owed.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock(), Proof.COMMITMENT)


def test_what_a_second_reading_replaced_need_not_be_proven_unless_a_third_finds_it_again(
    ledger: Ledger, clock: Clock
) -> None:
    unproven = []
    for result in ("2.25.1", "2.25.3", "2.25.1"):
        if unproven:
            ledger.retries.ask(STUDY_UID, clock.advance(10), Retry.ANALYSIS)
        else:
            make_ready(ledger, clock)
        analyze(ledger, clock, analysis([a_result(result)]))
        if len(unproven) < 2:
            store_to_be_proven(ledger, clock)
        due = ledger.proofs.claim(STUDY_UID, "pacs", clock(), LEASE)
        unproven.append([one.sop_uid for one in due])
        assert ledger.views.lacking(clock())["pacs"].unproven == 1
        clock.advance(LEASE.total_seconds() + 1)

    assert unproven == [["2.25.1"], ["2.25.3"], ["2.25.1"]]


def test_what_is_given_up_stands_in_the_history_of_its_study(ledger: Ledger, clock: Clock) -> None:
    refused_overlay(ledger, clock)

    ledger.retries.ask(STUDY_UID, clock(), wanted={"pacs": {REPORT}})

    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert "1 result that the configuration has nobody for any more" in str(study["timeline"])


def test_a_delivered_study_is_read_again_where_nothing_but_what_was_given_up_is_lacked(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["pacs", "old"]))
    settle(ledger, clock, DeliveryState.STORED)
    ledger.decisions.cancel(STUDY_UID, "canceled", clock())

    assert ledger.retries.ask(STUDY_UID, clock(), wanted={"pacs": {REPORT, OVERLAY}}) == "analysis"


def refuse_at(ledger: Ledger, clock: Clock, *destinations: str) -> None:
    """A study of which some destinations refused the report."""
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=destinations))
    for name in destinations:
        settle(ledger, clock, DeliveryState.REFUSED, "0x0122", name)
    assert state_of(ledger) == "FAILED"


def test_studies_that_a_destination_refused_are_found_until_they_are_sent_again(
    ledger: Ledger, clock: Clock
) -> None:
    before = clock()
    refuse_at(ledger, clock, "pacs", "archive")

    found = [ledger.retries.refused_by(name, before) for name in ("pacs", "archive", "elsewhere")]
    asked = ledger.retries.send_again(STUDY_UID, "pacs", clock())

    assert found == [[STUDY_UID], [STUDY_UID], []]
    assert ledger.retries.refused_by("pacs", clock()) == []  # no image of it came that late
    assert asked
    assert state_of(ledger) == "ANALYZED"
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert {one["destination"]: one["state"] for one in study["deliveries"]} == {
        "pacs": "OWED",
        "archive": "REFUSED",
    }
    assert ledger.retries.refused_by("pacs", before) == []
    settle(ledger, clock, DeliveryState.STORED)
    assert (state_of(ledger), reason_of(ledger)) == ("FAILED", "archive refused (0x0122)")


def test_what_a_destination_is_not_to_get_any_more_is_given_up_instead_of_sent_again(
    ledger: Ledger, clock: Clock
) -> None:
    refuse_at(ledger, clock, "pacs")

    assert not ledger.retries.send_again(STUDY_UID, "pacs", clock(), wanted={})

    assert (state_of(ledger), deliveries_of(ledger)) == ("DELIVERED", [("2.25.1", "SUPERSEDED")])


def test_studies_whose_analysis_failed_are_found_and_others_are_not(ledger: Ledger, clock: Clock) -> None:
    before = clock()
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.FAILED, reason="broke"))

    assert ledger.retries.unread(before) == [STUDY_UID]
    assert ledger.retries.unread(clock.advance(60)) == []
    ledger.retries.ask(STUDY_UID, clock())
    assert ledger.retries.unread(before) == []
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")
    assert state_of(ledger) == "FAILED"
    assert ledger.retries.unread(before) == []


def test_what_other_destinations_are_owed_stays_though_this_host_does_not_know_them(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["pacs", "new"]))
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")
    wanted: Wanted = {"pacs": {(ResultKind.CAD_SR, "")}}

    assert ledger.retries.send_again(STUDY_UID, "pacs", clock(), wanted)

    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert [(one["destination"], one["state"]) for one in study["deliveries"]] == [
        ("new", "OWED"),
        ("pacs", "OWED"),
    ]
