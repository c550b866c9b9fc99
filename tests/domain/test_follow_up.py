from __future__ import annotations

import pytest

from dibmg_node.domain.follow_up import FollowUp, Truth, cancer_read, corrected
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


@pytest.mark.parametrize(
    ("lines", "read", "cancer"),
    [
        ("normal", "R", False),
        ("L benign", "R", False),
        ("cancer", "R", True),
        ("L cancer", "RL", True),
        ("L cancer", "L", True),
        ("L cancer", "R", None),
        ("R normal, L cancer", "R", None),
        ("normal, L cancer", "R", None),
        # it can only be in the other one
        ("cancer, R benign", "R", None),
        ("cancer, R benign", "RL", True),
        ("cancer, R benign", "L", True),
    ],
)
def test_of_a_cancer_in_a_breast_that_was_not_read_a_score_says_nothing(
    lines: str, read: str, cancer: bool | None
) -> None:
    known = {one.laterality: one for one in told(lines)}

    assert cancer_read(known, [Laterality(side) for side in read]) is cancer
