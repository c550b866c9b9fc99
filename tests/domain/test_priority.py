from __future__ import annotations

import pytest

from dibmg_node.domain.priority import Priority


def test_stat_comes_before_routine_and_routine_before_low() -> None:
    assert sorted(Priority, key=lambda one: one.rank) == [Priority.STAT, Priority.ROUTINE, Priority.LOW]


@pytest.mark.parametrize("priority", list(Priority))
def test_a_rank_tells_its_priority(priority: Priority) -> None:
    assert Priority.of_rank(priority.rank) is priority
