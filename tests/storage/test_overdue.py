from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import STUDY_UID, Clock
from tests.storage.life import analysis, analyze, make_ready, settle

HOUR = timedelta(hours=1)


def test_a_destination_is_overdue_from_the_moment_on_that_a_result_is_owed_for_so_long(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["archive", "pacs"]))
    owed_since = clock()
    settle(ledger, clock, DeliveryState.STORED, destination="archive")

    early = ledger.overdue.before(clock.advance(3599) - HOUR)
    late = ledger.overdue.before(clock.advance(1) - HOUR)
    settle(ledger, clock, DeliveryState.STORED)

    assert early == ledger.overdue.before(clock() - HOUR) == []
    assert [(one.destination, one.results, one.since) for one in late] == [("pacs", 1, owed_since)]


def test_a_result_that_is_stored_and_not_proven_is_overdue_too(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    (one,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), HOUR)
    stored = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", stored, clock(), Proof.QUERY)

    late = ledger.overdue.before(clock.advance(3600) - HOUR)
    ledger.proofs.settle(STUDY_UID, "pacs", [Evidence(one.sop_uid, Finding.PROVEN)], clock())

    assert [overdue.destination for overdue in late] == ["pacs"]
    assert ledger.overdue.before(clock() - HOUR) == []
