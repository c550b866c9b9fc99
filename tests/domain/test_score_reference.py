from __future__ import annotations

from dibmg_node.domain.device import ANY_DEVICE, Device
from dibmg_node.domain.score_reference import MOST_KEPT, ranked, references

A1, A2, B1 = Device("A", "one", "1"), Device("A", "one", "2"), Device("B", "two", "1")


def test_every_class_with_enough_exams_has_a_reference_and_all_devices_have_one_in_any_case() -> None:
    exams = [(A1, 0.1)] * 30 + [(A2, 0.2)] * 20 + [(B1, 0.3)] * 9

    found = references(exams, 10)

    assert [(str(one.device), one.exams) for one in found] == [
        ("", 59),
        ("A", 50),
        ("A one, software 1", 30),
        ("A one, software 2", 20),
    ]


def test_without_exams_there_is_no_reference() -> None:
    assert references([], 10) == []


def test_few_scores_are_kept_whole_and_many_at_even_ranks() -> None:
    few, many = ranked([0.3, 0.1, 0.2]), ranked([number / 100_000 for number in range(100_001)])

    assert few == (0.1, 0.2, 0.3)
    assert len(many) == MOST_KEPT
    assert [many[place] for place in (0, 1, 500, 1000)] == [0.0, 0.001, 0.5, 1.0]


def test_a_single_device_needs_no_reference_beside_that_of_all() -> None:
    assert [one.device for one in references([(A1, 0.5)] * 30, 10)] == [ANY_DEVICE]
