from __future__ import annotations

from datetime import timedelta

import pytest

from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.analyzing import _one_analyzes


@pytest.mark.parametrize(
    ("others", "alone"),
    [
        ([], True),
        ([("intake@b", 0)], True),
        ([("analysis@b", 0)], False),
        ([("analysis@b", 120)], True),  # silent for two minutes: gone, or as good as gone
        ([("analysis@b", -7200)], True),  # it ended with its clock two hours ahead
    ],
)
def test_another_worker_that_analyzes_is_noticed_by_its_signs_of_life(
    ledger: Ledger, others: list[tuple[str, float]], alone: bool
) -> None:
    now = foundation.now()
    ledger.beats.start("analysis@a", now)
    for name, seconds in others:
        ledger.beats.start(name, now - timedelta(seconds=seconds))

    assert _one_analyzes(ledger) is alone
