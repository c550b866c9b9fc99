from __future__ import annotations

from datetime import timedelta

from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.rejections import Rejected
from tests.factories import START, Clock


def rejected(clock: Clock, aet: str = "MG9", times: int = 1) -> Rejected:
    return Rejected("10.0.0.9", aet, "DIBMG", "calling AE title not recognized", times, clock())


def test_who_knocks_again_is_one_entry_with_the_last_time(ledger: Ledger, clock: Clock) -> None:
    ledger.rejections.enter([rejected(clock)])
    clock.advance(60)
    ledger.rejections.enter([rejected(clock, times=3), rejected(clock, "MG8")])

    found = [(one.calling_aet, one.times, one.at) for one in ledger.rejections.newest()]

    assert found == [("MG8", 1, START + timedelta(minutes=1)), ("MG9", 4, START + timedelta(minutes=1))]


def test_a_hundred_entries_are_kept_the_newest(ledger: Ledger, clock: Clock) -> None:
    for number in range(103):
        clock.advance(1)
        ledger.rejections.enter([rejected(clock, f"AE{number}")])

    found = [one.calling_aet for one in ledger.rejections.newest(1000)]

    assert found == [f"AE{number}" for number in range(102, 2, -1)]
