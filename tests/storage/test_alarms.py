from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.outbox import Settlement
from dibmg_node.storage.proofs import Evidence, Finding
from tests.factories import STUDY_UID, Clock
from tests.storage.life import analysis, analyze, make_ready, settle

HOUR = timedelta(hours=1)


def test_an_alarm_begins_once_an_hour_after_a_result_is_owed_and_ends_once(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["archive", "pacs"]))
    owed_since = clock()
    settle(ledger, clock, DeliveryState.STORED, destination="archive")

    early = ledger.alarms.changes(clock.advance(3599), HOUR)
    begun, _ = ledger.alarms.changes(clock.advance(1), HOUR)
    between = ledger.alarms.changes(clock.advance(500), HOUR)
    settle(ledger, clock, DeliveryState.STORED)
    _, ended = ledger.alarms.changes(clock(), HOUR)
    after = ledger.alarms.changes(clock(), HOUR)

    assert early == between == after == ((), ())
    assert [(one.destination, one.results, one.since) for one in begun] == [("pacs", 1, owed_since)]
    assert ended == ["pacs"]


def test_a_result_that_is_stored_and_not_proven_raises_the_alarm_too(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), HOUR)
    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock(), Proof.QUERY)

    late = ledger.alarms.now(clock.advance(3600), HOUR)
    ledger.proofs.settle(STUDY_UID, "pacs", [Evidence(one.sop_uid, Finding.PROVEN)], clock())

    assert [alarm.destination for alarm in late] == ["pacs"]
    assert ledger.alarms.now(clock(), HOUR) == []
