from __future__ import annotations

from datetime import timedelta

from dibmg_node.storage.database import describe
from dibmg_node.storage.growth import Inflow
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Received
from tests.factories import PATIENCE, START, Clock, a_result, instance
from tests.storage.life import analysis, analyze, make_ready


def receive(ledger: Ledger, number: int, after: timedelta, size: int) -> None:
    one = instance(study_uid=f"1.2.{number}", sop_uid=f"1.2.{number}.1")
    ledger.receipts.store(Received(one, size, 1, "MG1"), PATIENCE, START + after)


def test_bytes_of_the_last_day_are_counted_and_older_ones_are_not(ledger: Ledger) -> None:
    for number, hours in enumerate((0, 30, 40)):
        receive(ledger, number, timedelta(hours=hours), 10 ** (3 + number))

    found = ledger.growth.lately(START + timedelta(hours=48))

    assert found == Inflow(110_000, timedelta(days=1))


def test_a_node_that_just_began_is_judged_by_the_time_that_it_has_been_receiving(ledger: Ledger) -> None:
    receive(ledger, 1, timedelta(0), 4000)
    receive(ledger, 2, timedelta(hours=1), 4000)

    soon, later = (ledger.growth.lately(START + timedelta(hours=hours)) for hours in (1.01, 4))

    assert (soon.size, later) == (8000, Inflow(8000, timedelta(hours=4)))
    assert later.bytes_per_hour == 2000


def test_results_count_as_well(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([a_result()]))

    assert ledger.growth.lately(clock()).size == 4 * 100 + 1000


def test_of_very_many_studies_the_newest_alone_are_looked_at(ledger: Ledger) -> None:
    for number in range(201):
        receive(ledger, number, timedelta(minutes=number), 10)

    found = ledger.growth.lately(START + timedelta(minutes=300))

    assert found == Inflow(2000, timedelta(minutes=299))


def test_where_nothing_came_nothing_grows(ledger: Ledger) -> None:
    assert ledger.growth.lately(START).bytes_per_hour == 0


def test_a_ledger_says_what_it_is_kept_in(ledger: Ledger) -> None:
    found = describe(ledger.engine)

    assert (
        found.kind.split()[0].lower()
        == ledger.engine.dialect.name.replace("postgresql", "PostgreSQL").lower()
    )
    assert found.schema.startswith("00")
    assert found.size > 50_000


def test_of_a_study_with_a_late_image_that_image_alone_counts(ledger: Ledger) -> None:
    for number, hours in enumerate((0, 40)):
        one = instance(study_uid="1.2.3", sop_uid=f"1.2.3.{number}")
        at = START + timedelta(hours=hours)
        ledger.receipts.store(Received(one, 10 ** (number + 3), 1, "MG1"), PATIENCE, at)

    assert ledger.growth.lately(START + timedelta(hours=48)).size == 10_000
