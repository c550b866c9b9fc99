from __future__ import annotations

from collections.abc import Iterable

import pytest

from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.errors import LedgerUnavailableError
from dibmg_node.services.turned_away import TurnedAwayCount
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.rejections import Rejected, Rejections
from tests.factories import Clock

WHO = TurnedAway("10.0.0.9", "MG9", "DIBMG", "calling AE title not recognized")


def test_knocking_is_counted_until_it_is_entered(ledger: Ledger, clock: Clock) -> None:
    count = TurnedAwayCount(ledger.rejections, clock)
    for _ in range(1000):
        count.tell(WHO)

    before = ledger.rejections.newest()
    count.enter()
    count.enter()

    assert before == []
    assert [(one.calling_aet, one.times) for one in ledger.rejections.newest()] == [("MG9", 1000)]


def test_more_than_can_be_told_apart_are_others(ledger: Ledger, clock: Clock) -> None:
    count = TurnedAwayCount(ledger.rejections, clock)
    for number in range(150):
        count.tell(TurnedAway("10.0.0.9", f"AE{number}", "DIBMG", "x"))

    count.enter()

    found = ledger.rejections.newest(1000)
    assert sum(one.times for one in found if one.reason == "others, too many to tell apart") >= 50
    assert len(found) <= 100


def test_who_may_come_again_is_counted_and_a_self_test_is_not(ledger: Ledger, clock: Clock) -> None:
    count = TurnedAwayCount(ledger.rejections, clock)
    for aet in ("MG9", "MG9", SELFTEST_AET):
        count.tell(TurnedAway("127.0.0.1", aet, "DIBMG", "intake is paused", for_now=True))

    count.enter()

    assert [(one.calling_aet, one.times) for one in ledger.rejections.newest()] == [("MG9", 2)]


class Silent(Rejections):
    """A ledger that does not answer at first."""

    silent = True

    def enter(self, found: Iterable[Rejected]) -> None:
        if self.silent:
            raise LedgerUnavailableError("gone")
        super().enter(found)


def test_what_the_ledger_did_not_take_stays_counted(ledger: Ledger, clock: Clock) -> None:
    rejections = Silent(ledger.engine)
    count = TurnedAwayCount(rejections, clock)
    count.tell(WHO)
    with pytest.raises(LedgerUnavailableError):
        count.enter()
    rejections.silent = False
    count.tell(WHO)

    count.enter()

    assert [one.times for one in rejections.newest()] == [2]
