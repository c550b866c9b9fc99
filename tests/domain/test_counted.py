"""Numbers in sentences."""

from __future__ import annotations

import pytest

from dibmg_node.domain.counted import counted


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (counted(0, "line"), "0 lines"),
        (counted(1, "line"), "1 line"),
        (counted(2, "line"), "2 lines"),
        (counted(1, "study", "studies"), "1 study"),
        (counted(3, "study", "studies"), "3 studies"),
        (counted(12_345_678, "line"), "12345678 lines"),
        (counted(1.0, "minute"), "1 minute"),
        (counted(0.5, "minute"), "0.5 minutes"),
    ],
)
def test_one_thing_is_told_of_in_the_singular_and_every_other_number_in_the_plural(
    told: str, expected: str
) -> None:
    assert told == expected
