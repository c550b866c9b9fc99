"""The number of delivered studies: kept by the database, whoever writes."""

from __future__ import annotations

from sqlalchemy import func, select, text

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.schema import delivered_tally
from tests.factories import STUDY_UID, Clock
from tests.storage.life import analyze, make_ready, settle
from tests.storage.scored_exams import enter_exams


def delivered(ledger: Ledger) -> int:
    return ledger.views.count_by_state()["DELIVERED"]


def deliver(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock)
    settle(ledger, clock, DeliveryState.STORED, "0x0000")


def test_a_delivered_study_counts_and_one_that_is_read_again_does_not(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger, clock)
    before = delivered(ledger)

    ledger.retries.ask(STUDY_UID, clock(), Retry.ANALYSIS)

    assert (before, delivered(ledger)) == (1, 0)


def test_a_study_that_is_removed_does_not_count(ledger: Ledger, clock: Clock) -> None:
    enter_exams(ledger, [0.1, 0.2, 0.3], clock())
    before = delivered(ledger)

    with ledger.engine.begin() as connection:
        connection.execute(text("DELETE FROM exam_scores"))
        connection.execute(text("DELETE FROM studies"))

    assert (before, delivered(ledger)) == (3, 0)


def test_adding_up_leaves_one_row_and_the_same_number(ledger: Ledger, clock: Clock) -> None:
    enter_exams(ledger, [0.1, 0.2, 0.3], clock())

    ledger.tally.add_up()
    ledger.tally.add_up()

    with ledger.engine.connect() as connection:
        rows = connection.execute(select(func.count()).select_from(delivered_tally)).scalar_one()
    assert (rows, delivered(ledger)) == (1, 3)
