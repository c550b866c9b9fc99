from __future__ import annotations

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.services.outcomes import (
    meaning_of,
    meaning_of_http,
    outcome_of,
    outcome_of_failure,
    outcome_of_http,
)


def test_every_status_has_one_outcome() -> None:
    outcomes = {status: outcome_of(status) for status in range(0x10000)}

    stored = {s for s, outcome in outcomes.items() if outcome is DeliveryState.STORED}
    owed = {s for s, outcome in outcomes.items() if outcome is DeliveryState.OWED}
    assert set(outcomes.values()) == {DeliveryState.STORED, DeliveryState.OWED, DeliveryState.REFUSED}
    assert stored == {0x0000, 0x0107, 0x0111, *range(0xB000, 0xC000)}
    assert owed == {0x0110, 0x0213, *range(0xA700, 0xA800)}


def test_of_what_an_answer_calls_failed_only_duplicates_are_stored() -> None:
    outcomes = {reason: outcome_of_failure(reason) for reason in range(0x10000)}

    stored = {r for r, outcome in outcomes.items() if outcome is DeliveryState.STORED}
    owed = {r for r, outcome in outcomes.items() if outcome is DeliveryState.OWED}
    assert stored == {0x0111, 0xB00E}
    assert owed == {0x0110, 0x0213, *range(0xA700, 0xA800)}


def test_every_http_code_has_one_outcome() -> None:
    outcomes = {code: outcome_of_http(code) for code in range(100, 600)}

    stored = {c for c, outcome in outcomes.items() if outcome is DeliveryState.STORED}
    owed = {c for c, outcome in outcomes.items() if outcome is DeliveryState.OWED}
    assert set(outcomes.values()) == {DeliveryState.STORED, DeliveryState.OWED, DeliveryState.REFUSED}
    assert stored == {200}
    assert owed == {202, 408, 429, *range(500, 600)}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x0000, ""),
        (0x0111, "duplicate: the peer has it already"),
        (0xB00E, "duplicate: the peer has it already"),
        (0xB007, "stored with a warning"),
        (0xA701, "out of resources"),
        (0xC122, "transfer syntax not supported"),
        (0xC001, "cannot understand"),
        (0x0999, "an unknown status"),
    ],
)
def test_a_status_is_told_in_words(status: int, words: str) -> None:
    assert meaning_of(status) == words


def test_an_http_status_is_told_in_words() -> None:
    assert (meaning_of_http(409), meaning_of_http(599)) == ("conflict", "an unknown status")
