from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import RetryableError
from dibmg_node.services.sweep import REPUBLISH_AFTER, Sweep
from dibmg_node.storage.ledger import Ledger
from tests.factories import STUDY_UID, Clock, screening
from tests.storage.life import analyze, claim, make_ready, settle, state_of, store


@dataclass
class MemoryPublisher:
    """Keeps what it was told to publish."""

    analyses: list[tuple[str, int]] = field(default_factory=list)
    deliveries: list[tuple[str, int, str]] = field(default_factory=list)
    priorities: list[Priority] = field(default_factory=list)
    queued: Mapping[Priority, int] = field(default_factory=dict)
    down: bool = False
    lost: set[str] = field(default_factory=set)

    def analyze(self, study_uid: str, revision: int, priority: Priority) -> None:
        if study_uid in self.lost:
            raise RetryableError("the broker went away in this moment")
        self.analyses.append((study_uid, revision))
        self.priorities.append(priority)

    def deliver(self, study_uid: str, revision: int, destination: str) -> None:
        self.deliveries.append((study_uid, revision, destination))

    def waiting(self) -> tuple[Mapping[Priority, int], int]:
        if self.down:
            raise RetryableError("the broker does not answer")
        return {one: self.queued.get(one, 0) for one in Priority}, 0


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
def sweep(ledger: Ledger, publisher: MemoryPublisher, clock: Clock) -> Sweep:
    return Sweep(ledger, publisher, clock)


def test_a_study_is_published_once_it_is_complete(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    store(ledger, clock)
    sweep.run()
    early = list(publisher.analyses)
    clock.advance(2)

    sweep.run()
    sweep.run()

    assert (early, publisher.analyses) == ([], [(STUDY_UID, 4)])
    assert state_of(ledger) == "READY"


def test_a_message_that_was_lost_is_published_again_after_a_while(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    sweep.run()
    clock.advance(14.9)
    sweep.run()
    assert len(publisher.analyses) == 1

    clock.advance(0.1)
    sweep.run()

    assert publisher.analyses == [(STUDY_UID, 4)] * 2


def test_while_messages_are_queued_none_is_published_again(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    publisher.queued = {Priority.ROUTINE: 1}

    for _ in range(5):
        sweep.run()
        clock.advance(60)

    assert publisher.analyses == [(STUDY_UID, 4)]


def test_a_lost_message_does_not_wait_for_those_that_are_less_urgent(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.decisions.set_priority(STUDY_UID, Priority.STAT, "", clock())
    sweep.run()
    publisher.queued = {Priority.ROUTINE: 40, Priority.LOW: 400}
    clock.advance(REPUBLISH_AFTER.total_seconds())

    sweep.run()

    assert publisher.analyses == [(STUDY_UID, 4)] * 2


def test_what_could_not_be_published_counts_as_told_to_nobody(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    others = [
        replace(one, study_uid=uid, sop_uid=f"{uid}.{one.sop_uid}")
        for uid in ("1.8", "1.9")
        for one in screening()
    ]
    store(ledger, clock, others)
    make_ready(ledger, clock)
    publisher.lost = {"1.9"}
    publisher.queued = {Priority.ROUTINE: 1}
    with pytest.raises(RetryableError):
        sweep.run()
    before = list(publisher.analyses)

    publisher.lost = set()
    sweep.run()

    assert before == [("1.8", 4)]
    assert publisher.analyses == [("1.8", 4), ("1.9", 4), (STUDY_UID, 4)]


def test_a_dead_workers_study_is_published_again_at_once(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    sweep.run()
    claim(ledger, clock)
    clock.advance(20)

    sweep.run()

    assert publisher.analyses == [(STUDY_UID, 4)] * 2


def test_a_study_whose_message_is_lost_after_the_clock_was_set_back_is_published_again(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    sweep.run()
    clock.advance(-8 * 3600)
    make_ready(ledger, clock)
    sweep.run()
    clock.advance(REPUBLISH_AFTER.total_seconds())

    sweep.run()

    assert publisher.analyses == [(STUDY_UID, 4)] * 2


def test_a_study_that_is_being_read_is_not_published(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    claim(ledger, clock)

    sweep.run()

    assert publisher.analyses == []


def test_a_delivery_whose_message_is_lost_is_published_and_again_after_its_backoff(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    sweep.run()
    clock.advance(REPUBLISH_AFTER.total_seconds())
    sweep.run()
    settle(ledger, clock, DeliveryState.OWED)
    sweep.run()
    first = list(publisher.deliveries)
    clock.advance(1)

    sweep.run()

    assert first == [(STUDY_UID, 4, "pacs")]
    assert publisher.deliveries == [(STUDY_UID, 4, "pacs")] * 2


def test_with_the_broker_down_studies_still_become_ready_and_nothing_counts_as_told(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    store(ledger, clock)
    clock.advance(2)
    publisher.down = True
    with pytest.raises(RetryableError):
        sweep.run()
    assert state_of(ledger) == "READY"

    publisher.down = False
    sweep.run()

    assert publisher.analyses == [(STUDY_UID, 4)]


def test_nothing_is_published_while_it_is_paused_and_all_of_it_at_once_afterwards(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    sweep.run()
    ledger.pauses.begin(Pause(Part.ANALYSIS, "", clock(), "anna", ""))
    clock.advance(3600)
    sweep.run()
    paused = list(publisher.analyses)
    ledger.pauses.end(Part.ANALYSIS, "", clock())

    sweep.run()

    assert paused == [(STUDY_UID, 4)]
    assert publisher.analyses == [(STUDY_UID, 4)] * 2


def test_a_study_is_published_with_its_priority(
    sweep: Sweep, ledger: Ledger, publisher: MemoryPublisher, clock: Clock
) -> None:
    make_ready(ledger, clock)
    ledger.decisions.set_priority(STUDY_UID, Priority.STAT, "", clock())

    sweep.run()

    assert publisher.priorities == [Priority.STAT]
