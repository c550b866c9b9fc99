from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete

from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import SILENT_AFTER, NodeEntry
from dibmg_node.storage.schema import nodes, turns
from tests.factories import START, Clock

A = NodeEntry("a", "token of a", ("intake", "sweep"), "1.0", "0010", START, START)
TURN = timedelta(seconds=10)


def test_a_node_that_is_up_is_there_until_it_leaves(ledger: Ledger) -> None:
    ledger.nodes.enter(A)
    before = ledger.nodes.all()

    ledger.nodes.leave(A)

    assert (before, ledger.nodes.all()) == ([A], [])


def test_a_node_comes_back_after_it_was_killed(ledger: Ledger, clock: Clock) -> None:
    ledger.nodes.enter(A)
    later = replace(A, since=clock.advance(1), at=clock())

    assert ledger.nodes.enter(later)
    assert ledger.nodes.all() == [later]


def test_the_name_of_a_node_that_is_up_is_taken(ledger: Ledger) -> None:
    ledger.nodes.enter(A)

    assert not ledger.nodes.enter(replace(A, token="another folder"))
    assert ledger.nodes.all() == [A]


def test_the_name_of_a_node_that_is_silent_is_free(ledger: Ledger) -> None:
    ledger.nodes.enter(A)
    late = START + SILENT_AFTER + timedelta(seconds=1)

    assert ledger.nodes.enter(replace(A, token="another folder", since=late, at=late))
    assert not ledger.nodes.beat(A, late)


def test_a_sign_of_life_is_entered(ledger: Ledger, clock: Clock) -> None:
    ledger.nodes.enter(A)

    assert ledger.nodes.beat(A, clock.advance(5))

    (found,) = ledger.nodes.all()
    assert (found.at, found.is_silent(clock())) == (clock(), False)


def right_time(ledger: Ledger, clock: Clock) -> datetime:
    """The server's where there is one: it says whose clock is right."""
    return ledger.marks.server_time() or clock()


@pytest.mark.parametrize(("ahead", "is_up"), [(0, True), (59, True), (61, False)])
def test_a_node_that_died_with_its_clock_hours_ahead_is_not_up(
    ledger: Ledger, clock: Clock, ahead: float, is_up: bool
) -> None:
    now = right_time(ledger, clock)
    ledger.nodes.enter(replace(A, at=now + timedelta(minutes=ahead)))

    assert [one.name for one in ledger.nodes.up(now)] == (["a"] if is_up else [])


def test_a_node_that_is_silent_is_not_up(ledger: Ledger) -> None:
    ledger.nodes.enter(A)

    assert ledger.nodes.up(START + SILENT_AFTER + timedelta(seconds=1)) == []


def test_the_name_of_a_node_that_died_with_its_clock_hours_ahead_is_free(
    ledger: Ledger, clock: Clock
) -> None:
    now = right_time(ledger, clock)
    ledger.nodes.enter(replace(A, at=now + timedelta(hours=9)))

    assert ledger.nodes.enter(replace(A, token="another folder", since=now, at=now))


def test_a_clock_that_is_behind_the_servers_takes_nobody_for_gone(server_ledger: Ledger) -> None:
    with server_ledger.engine.begin() as connection:
        connection.execute(delete(nodes))
    now = server_ledger.marks.server_time()
    assert now is not None
    server_ledger.nodes.enter(replace(A, at=now))
    behind = now - timedelta(hours=9)

    assert [one.name for one in server_ledger.nodes.up(behind)] == ["a"]
    assert not server_ledger.nodes.enter(replace(A, token="another folder", since=behind, at=behind))


def test_a_node_that_is_silent_for_a_day_is_forgotten(ledger: Ledger, clock: Clock) -> None:
    ledger.nodes.enter(A)
    ledger.beats.start("intake@a", clock())
    late = clock.advance(86_401)

    ledger.nodes.enter(replace(A, name="b", since=late, at=late))

    assert [one.name for one in ledger.nodes.all()] == ["b"]
    assert ledger.views.beats() == []


def test_a_turn_is_one_process_at_a_time(ledger: Ledger, clock: Clock) -> None:
    assert ledger.turns.take("sweep", "a", clock(), TURN)
    assert not ledger.turns.take("sweep", "b", clock.advance(9), TURN)
    assert ledger.turns.take("sweep", "a", clock(), TURN)
    assert not ledger.turns.take("sweep", "b", clock.advance(9), TURN)


def test_a_turn_goes_to_another_once_its_owner_is_silent(ledger: Ledger, clock: Clock) -> None:
    ledger.turns.take("sweep", "a", clock(), TURN)

    assert ledger.turns.take("sweep", "b", clock.advance(10), TURN)
    assert not ledger.turns.take("sweep", "a", clock(), TURN)


def test_a_turn_that_is_given_up_is_free_at_once(ledger: Ledger, clock: Clock) -> None:
    ledger.turns.take("sweep", "a", clock(), TURN)

    ledger.turns.give_up("sweep", "a")

    assert ledger.turns.take("sweep", "b", clock(), TURN)


def test_a_turn_of_a_clock_that_was_hours_ahead_is_over(ledger: Ledger, clock: Clock) -> None:
    there = ledger.marks.server_time()
    now = clock() if there is None else there  # where there is a server, it says whose clock is right
    ledger.turns.take("sweep", "a", now + timedelta(hours=9), TURN)

    assert ledger.turns.take("sweep", "b", now, TURN)


def test_a_clock_that_is_behind_the_servers_ends_no_turn(server_ledger: Ledger) -> None:
    with server_ledger.engine.begin() as connection:
        connection.execute(delete(turns))
    now = server_ledger.marks.server_time()
    assert now is not None
    server_ledger.turns.take("sweep", "a", now, TURN)

    assert not server_ledger.turns.take("sweep", "b", now - timedelta(hours=9), TURN)


def test_a_sign_of_life_from_hours_ahead_is_none(clock: Clock) -> None:
    assert replace(A, at=clock() + timedelta(hours=9)).is_silent(clock())


def test_the_first_archive_of_a_ledger_stays_its_own(ledger: Ledger) -> None:
    assert ledger.marks.archive() is None
    assert ledger.marks.enter_archive("one") == "one"
    assert ledger.marks.enter_archive("another") == "one"
    assert ledger.marks.archive() == "one"


def test_only_a_server_has_a_clock(ledger: Ledger) -> None:
    has_one = ledger.engine.dialect.name == "postgresql"

    assert (ledger.marks.server_time() is not None) == has_one
