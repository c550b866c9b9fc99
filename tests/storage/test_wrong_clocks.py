from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import deliveries
from tests.factories import PATIENCE, STUDY_UID, Clock
from tests.storage.life import analyze, claim, make_ready, settle, state_of

HOURS = 9 * 3600.0
LONG_AGO = timedelta(days=-365)


@pytest.fixture
def clock(ledger: Ledger) -> Clock:
    """The right time, which is the server's where there is one."""
    clock = Clock()
    there = ledger.marks.server_time()
    if there is not None:
        clock.advance((there - PATIENCE.longest - clock()).total_seconds())  # a study waits for that long
    return clock


def lease_of(ledger: Ledger) -> bool:
    with ledger.engine.connect() as connection:
        return connection.scalar(select(deliveries.c.lease_until)) is not None


def test_a_claim_of_a_clock_that_was_ahead_ends(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    clock.advance(HOURS)
    claim(ledger, clock)
    clock.advance(-HOURS)
    before = ledger.claims.end_expired(clock())

    assert ledger.wrong_clocks.pull_back(clock()) == 1

    assert (before, ledger.claims.end_expired(clock()), state_of(ledger)) == (0, 1, "READY")


def test_a_study_that_was_published_in_the_future_counts_as_untold(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    ledger.claims.unpublished(clock() + timedelta(seconds=HOURS), clock() + LONG_AGO)

    ledger.wrong_clocks.pull_back(clock())

    assert [uid for uid, *_ in ledger.claims.unpublished(clock(), clock() + LONG_AGO)] == [STUDY_UID]


def test_a_delivery_that_was_published_in_the_future_counts_as_untold(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.due(clock() + timedelta(seconds=HOURS), clock())
    told = ledger.outbox.due(clock(), clock())

    ledger.wrong_clocks.pull_back(clock())

    assert (told, ledger.outbox.due(clock(), clock() + LONG_AGO)) == ([], [(STUDY_UID, 4, "pacs")])


def test_what_a_worker_had_in_hand_in_the_future_is_free_and_in_doubt(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.claim(STUDY_UID, "pacs", clock() + timedelta(seconds=HOURS), timedelta(minutes=5), "dead")

    ledger.wrong_clocks.pull_back(clock())

    (owed,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
    assert owed.in_doubt


def test_a_delivery_that_is_put_off_for_longer_than_a_day_is_due(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    clock.advance(8 * HOURS)
    settle(ledger, clock, DeliveryState.OWED, "0xA700")
    clock.advance(-8 * HOURS)

    ledger.wrong_clocks.pull_back(clock())

    assert ledger.outbox.due(clock(), clock()) == [(STUDY_UID, 4, "pacs")]


def test_what_is_held_waits_or_is_told_as_it_should_be_stays(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    ledger.outbox.due(clock(), clock())
    ledger.outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5), "alive")

    assert ledger.wrong_clocks.pull_back(clock()) == 0
    assert ledger.wrong_clocks.pull_back(clock() - timedelta(minutes=1)) == 0  # of a host a minute behind

    assert lease_of(ledger)


def test_a_host_whose_own_clock_is_behind_the_servers_pulls_nothing_back(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)
    has_server = ledger.marks.server_time() is not None

    # a file has no clock: the time before is of the same machine, and was set back
    assert ledger.wrong_clocks.pull_back(clock() - timedelta(hours=9)) == (0 if has_server else 1)
