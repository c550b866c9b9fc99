"""Purging on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from dibmg_node.services.purge import Purge, PurgePolicy
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring.purging import purging
from tests.factories import STUDY_UID, Clock
from tests.storage.life import analysis, analyze, claim, make_ready

EVERYTHING = PurgePolicy(high_water=1, keep=timedelta(0), after=timedelta(0))
OFTEN = 0.01


@dataclass(frozen=True, kw_only=True)
class SlowArchive(Archive):
    """An archive that removes nothing until it may."""

    asked: threading.Event = field(default_factory=threading.Event)
    may: threading.Event = field(default_factory=threading.Event)

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        self.asked.set()
        assert self.may.wait(60)
        return super().remove(instance_uids, result_uids)


def exclude_a_study(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="why", destinations=[]))
    clock.advance(60)


def is_removed(ledger: Ledger) -> bool:
    return ledger.purges.removals.studies() == []


def purged_at(ledger: Ledger) -> str | None:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    at: str | None = study["purged_at"]
    return at


def test_nobody_waits_for_an_archive_that_is_slow(ledger: Ledger, archive: Archive, clock: Clock) -> None:
    exclude_a_study(ledger, clock)
    slow = SlowArchive(archive.root)

    with purging(Purge(slow, ledger.purges, EVERYTHING, clock), ledger, slow, clock, lambda: True, OFTEN):
        assert slow.asked.wait(60)
        before = is_removed(ledger)
        slow.may.set()

    assert not before
    assert is_removed(ledger)
    assert purged_at(ledger) == clock().isoformat()


def test_a_machine_that_is_not_on_turn_purges_nothing(ledger: Ledger, archive: Archive, clock: Clock) -> None:
    exclude_a_study(ledger, clock)
    asked: list[None] = []
    asked_twice = threading.Event()

    def is_on_turn() -> bool:
        if asked:
            asked_twice.set()
        asked.append(None)
        return False

    purge = Purge(archive, ledger.purges, EVERYTHING, clock)
    with purging(purge, ledger, archive, clock, is_on_turn, OFTEN):
        assert asked_twice.wait(60)

    assert purged_at(ledger) is None


def test_what_a_wrong_clock_left_ahead_is_brought_back_on_that_thread(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    make_ready(ledger, clock)
    clock.advance(9 * 3600)
    claim(ledger, clock)
    clock.advance(-9 * 3600)
    asked: list[None] = []
    done_once = threading.Event()

    def is_on_turn() -> bool:
        if asked:
            done_once.set()
        asked.append(None)
        return True

    purge = Purge(archive, ledger.purges, EVERYTHING, clock)
    with purging(purge, ledger, archive, clock, is_on_turn, OFTEN):
        assert done_once.wait(60)

    assert ledger.claims.end_expired(clock()) == 1
