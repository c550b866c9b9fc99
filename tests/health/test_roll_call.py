from __future__ import annotations

from datetime import timedelta

from dibmg_node.health.roll_call import call_roll
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import NodeEntry
from tests.factories import START, Clock

ROLES = ("intake", "sweep", "analysis", "delivery")


def enter(ledger: Ledger, clock: Clock, name: str, *roles: str, but: str = "") -> None:
    """A node that is up with its processes, but one."""
    ledger.nodes.enter(NodeEntry(name, f"token {name}", roles, "1.0", "0010", clock(), clock()))
    for role in roles:
        if role != but:
            ledger.beats.start(f"{role}@{name}", clock())


def test_everything_is_well_where_every_process_of_every_node_lives(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "a", "intake", "sweep", "delivery")
    enter(ledger, clock, "b", "analysis")

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert (roll.down, roll.degraded) == ([], [])
    assert [one["process"] for one in roll.processes] == ["analysis@b", "delivery@a", "intake@a", "sweep@a"]
    assert [(one["name"], one["alive"]) for one in roll.nodes] == [("a", True), ("b", True)]


def test_one_intake_of_two_that_does_not_run_is_no_reason_to_be_down(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "a", *ROLES)
    enter(ledger, clock, "b", "intake", but="intake")

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert (roll.down, roll.degraded) == ([], ["intake does not run on b"])


def test_without_any_intake_the_node_is_down(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "a", *ROLES, but="intake")
    enter(ledger, clock, "b", "intake", but="intake")

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert roll.down == ["intake runs on no node"]


def test_a_role_that_no_node_has_is_told(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "a", "intake", "sweep", "delivery")

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert (roll.down, roll.degraded) == ([], ["analysis runs on no node"])


def test_a_host_that_died_is_told_until_it_is_forgotten(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "a", *ROLES)
    clock.advance(30)
    enter(ledger, clock, "b", *ROLES)

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert roll.degraded == [f"{role} does not run on a" for role in sorted(ROLES)]
    assert [(one["name"], one["alive"]) for one in roll.nodes] == [("a", False), ("b", True)]


def test_a_host_whose_clock_was_ahead_when_it_died_does_not_live_until_then(
    ledger: Ledger, clock: Clock
) -> None:
    clock.advance(9 * 3600)
    enter(ledger, clock, "a", "sweep")
    clock.advance(-9 * 3600)
    enter(ledger, clock, "b", *ROLES)

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert roll.degraded == ["sweep does not run on a"]


def test_processes_of_a_program_that_enters_no_node_are_seen(ledger: Ledger, clock: Clock) -> None:
    enter(ledger, clock, "new", *ROLES)
    ledger.beats.start("analysis@old", clock())

    roll = call_roll(ledger, "elsewhere", ROLES, clock())

    assert "analysis@old" in [one["process"] for one in roll.processes]
    assert (roll.down, roll.degraded) == ([], [])


def test_a_node_that_was_never_up_or_has_ended_is_down(ledger: Ledger) -> None:
    roll = call_roll(ledger, "a", ROLES, START + timedelta(hours=1))

    assert roll.down == ["intake does not run"]


def test_the_process_of_this_node_that_is_gone_is_seen_before_it_is_silent(
    ledger: Ledger, clock: Clock
) -> None:
    enter(ledger, clock, "a", *ROLES)

    assert call_roll(ledger, "a", ROLES, clock()).down == []
    gone = 2**22 + 1  # above the highest process ID that Linux gives
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE beats SET pid = {gone} WHERE process = 'intake@a'")
    assert call_roll(ledger, "a", ROLES, clock()).down == ["intake does not run"]
    assert call_roll(ledger, "b", ROLES, clock()).down == []
