from __future__ import annotations

from dibmg_node.web.pages.attempts import MOST_FAILURES, WITHIN_SECONDS, Attempts


class Seconds:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_attempts_are_held_back_after_the_last_allowed_failure_and_not_before() -> None:
    attempts = Attempts(Seconds())
    waits = []
    for _ in range(MOST_FAILURES):
        waits.append(attempts.wait("address a"))
        attempts.failed("address a")

    assert waits == [0] * MOST_FAILURES
    assert attempts.wait("address a") > 0
    assert attempts.wait("address b") == 0


def test_one_held_back_key_is_enough() -> None:
    attempts = Attempts(Seconds())
    for _ in range(MOST_FAILURES):
        attempts.failed("name n")

    assert attempts.wait("address b", "name n") > 0


def test_after_a_while_attempts_are_let_through_again() -> None:
    clock = Seconds()
    attempts = Attempts(clock)
    for _ in range(MOST_FAILURES):
        attempts.failed("name n")

    clock.now = WITHIN_SECONDS - 1
    still = attempts.wait("name n")
    clock.now = WITHIN_SECONDS

    assert (still, attempts.wait("name n")) == (2, 0)


def test_a_success_forgets_the_failures_before_it() -> None:
    attempts = Attempts(Seconds())
    for _ in range(MOST_FAILURES):
        attempts.failed("name n", "address a")

    attempts.succeeded("name n")

    assert (attempts.wait("name n"), attempts.wait("address a") > 0) == (0, True)


def test_a_flood_of_keys_takes_no_more_than_its_room() -> None:
    attempts = Attempts(Seconds())
    for number in range(20_000):
        attempts.failed(f"address {number}")

    assert len(attempts._failures) == 10_000
