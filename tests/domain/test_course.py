from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.course import Life, Owing, course
from dibmg_node.domain.lifecycle import DeliveryState
from tests.factories import START


def at(seconds: float) -> object:
    return START + timedelta(seconds=seconds)


def life(*events: tuple[float, str], owing: tuple[Owing, ...] = ()) -> Life:
    """A study whose four images came within 3 s."""
    moments = [(START + timedelta(seconds=seconds), event) for seconds, event in events]
    return Life(START, START + timedelta(seconds=3), 4, moments, owing)


def owed(destination: str, state: DeliveryState, since: float, settled: float | None = None) -> Owing:
    settled_at = None if settled is None else START + timedelta(seconds=settled)
    return Owing(destination, state, START + timedelta(seconds=since), settled_at)


def test_every_step_has_its_time_and_its_outcome() -> None:
    deliveries = (
        owed("pacs", DeliveryState.STORED, 20, 21),
        owed("pacs", DeliveryState.PROVEN, 20, 24),
        owed("archive", DeliveryState.REFUSED, 20, 22),
    )

    steps = course(life((3, "instance stored"), (8, "claimed"), (20, "reported"), owing=deliveries))

    assert [(step.name, step.seconds, step.outcome) for step in steps] == [
        ("receiving", 3.0, "4 images"),
        ("waiting", 5.0, ""),
        ("analysis", 12.0, "reported"),
        ("delivery to archive", 2.0, "1 refused"),
        ("delivery to pacs", 4.0, "2 stored"),
    ]


def test_what_goes_on_has_no_end_and_what_has_not_begun_is_left_out() -> None:
    waiting = course(life())
    reading = course(life((8, "claimed")))

    assert [(step.name, step.seconds) for step in waiting] == [("receiving", 3.0), ("waiting", None)]
    assert [(step.name, step.seconds) for step in reading][1:] == [("waiting", 5.0), ("analysis", None)]


def test_a_delivery_goes_on_while_anything_is_owed() -> None:
    deliveries = (owed("pacs", DeliveryState.STORED, 20, 21), owed("pacs", DeliveryState.OWED, 20))

    step = course(life((8, "claimed"), (20, "reported"), owing=deliveries))[-1]

    assert (step.seconds, step.outcome) == (None, "1 stored, 1 owed")


def test_failed_attempts_belong_to_the_analysis_and_are_counted() -> None:
    events = (8, "claimed"), (9, "attempt failed"), (10, "claimed"), (15, "reported")

    step = course(life(*events))[-1]

    assert (step.begin, step.seconds, step.outcome) == (at(8), 7.0, "reported, after 1 failed attempt")


def test_a_reading_that_a_person_asked_for_begins_when_it_was_asked_for() -> None:
    first = (8, "claimed"), (20, "reported")
    again = (3600, "retry asked"), (3602, "claimed"), (3610, "excluded")

    steps = course(life(*first, *again))

    assert [(step.name, step.begin, step.seconds) for step in steps[1:]] == [
        ("waiting", at(3600), 2.0),
        ("analysis", at(3602), 8.0),
    ]
    assert steps[-1].outcome == "excluded"


def test_what_was_read_before_the_last_image_came_is_no_step_any_more() -> None:
    steps = course(life((-60, "claimed"), (-50, "reported"), (3, "instance stored")))

    assert [step.name for step in steps] == ["receiving", "waiting"]


def test_a_study_that_was_given_up_waits_no_longer() -> None:
    waiting = course(life((60, "canceled")))
    reading = course(life((8, "claimed"), (10, "canceled")))

    assert (waiting[-1].seconds, waiting[-1].outcome) == (57.0, "canceled")
    assert (reading[-1].seconds, reading[-1].outcome) == (2.0, "canceled")
