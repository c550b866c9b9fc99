from __future__ import annotations

import pytest

from dibmg_node.domain.follow_up import FollowUp, Truth, corrected
from dibmg_node.domain.study import Laterality

SIDES = {"": None, "R": Laterality.RIGHT, "L": Laterality.LEFT}


def told(text: str) -> list[FollowUp]:
    """`R cancer, normal` is two lines."""
    words = [one.rpartition(" ") for one in text.split(", ")]
    return [FollowUp(Truth(truth), SIDES[side]) for side, _, truth in words]


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ("R cancer, R benign", "R benign"),
        ("R cancer, L normal, benign", "benign"),
        ("cancer, R benign, L normal", "R benign, L normal"),
        # a cancer of the exam may be in the breast that nobody has told of
        ("cancer, R benign", "cancer, R benign"),
        # and which breast it is in says nothing of the other one
        ("cancer, R cancer", "cancer, R cancer"),
        ("normal, L cancer", "normal, L cancer"),
        ("R cancer, normal, L benign", "normal, L benign"),
    ],
)
def test_later_lines_correct_earlier_ones(lines: str, known: str) -> None:
    assert list(corrected({}, told(lines)).values()) == told(known)
