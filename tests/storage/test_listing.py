from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from dibmg_node.dicom.search_keys import NumberKind, any_keys, search_key, untold_key
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.storage.engine import reading
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.listing import Listing, Place, StudyFilter
from dibmg_node.storage.receipts import Received
from tests.factories import L_CC, PATIENCE, R_CC, START, Clock, instance, received

MAKERS = ("Maker A", "Maker B", "Maker C")


def enter(ledger: Ledger, count: int, **columns: Any) -> list[str]:
    """Studies a second apart, in turns from three senders and three makers; UIDs, the newest first."""
    uids = [f"1.2.{number}" for number in range(count)]
    for number, uid in enumerate(uids):
        one = instance(R_CC, study_uid=uid, sop_uid=f"{uid}.1", manufacturer=MAKERS[number % 3])
        at = START + timedelta(seconds=number)
        ledger.receipts.store(received(one, sender=f"MG{number % 3}"), PATIENCE, at)
    with ledger.engine.begin() as connection:
        for column, value in columns.items():
            connection.execute(text(f"UPDATE studies SET {column} = {value}"))
    return uids[::-1]


def walk(listing: Listing, wanted: StudyFilter, length: int = 7) -> list[str]:
    """Every study of the list, page after page."""
    uids: list[str] = []
    place: Place | None = None
    for _ in range(1000):
        page = listing.page(wanted, place, length)
        uids += [line.study_uid for line in page.lines]
        place = page.following
        if place is None:
            return uids
    raise AssertionError("the list has no end")


def test_pages_show_every_study_once_newest_first(ledger: Ledger) -> None:
    uids = enter(ledger, 30)

    assert walk(ledger.listing, StudyFilter()) == uids


@pytest.mark.parametrize("most", [1, 3, 5, 1000])
def test_studies_of_one_moment_are_all_shown_however_short_the_search(ledger: Ledger, most: int) -> None:
    uids = enter(ledger, 12, last_instance_at="1000", score_exam="0.5")
    listing = Listing(reading(ledger.engine), most)

    found = walk(listing, StudyFilter(lowest_score=0.1), length=5)

    assert sorted(found) == sorted(uids)


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (StudyFilter(sender="MG1"), lambda n: n % 3 == 1),
        (StudyFilter(manufacturer="Maker C"), lambda n: n % 3 == 2),
        (StudyFilter(sender="MG1", manufacturer="Maker B"), lambda n: n % 3 == 1),
        (StudyFilter(sender="MG1", manufacturer="Maker A"), lambda n: False),
        (StudyFilter(state=StudyState.RECEIVING, sender="MG0"), lambda n: n % 3 == 0),
        (StudyFilter(state=StudyState.DELIVERED), lambda n: False),
        (StudyFilter(lowest_score=0.5), lambda n: n >= 15),
        (StudyFilter(highest_score=0.5), lambda n: n <= 15),
        (
            StudyFilter(lowest_score=0.2, highest_score=0.4, sender="MG1"),
            lambda n: 6 <= n <= 12 and n % 3 == 1,
        ),
        (StudyFilter(since=START + timedelta(seconds=20)), lambda n: n >= 20),
        (StudyFilter(until=START + timedelta(seconds=20)), lambda n: n < 20),
        (StudyFilter(sender="nobody"), lambda n: False),
    ],
)
@pytest.mark.parametrize("most", [4, 1000])
def test_a_filter_lets_through_what_it_names_and_all_of_it(
    ledger: Ledger, wanted: StudyFilter, passes: Any, most: int
) -> None:
    uids = enter(ledger, 30, score_exam="CAST(SUBSTR(study_uid, 5) AS REAL) / 30")
    listing = Listing(reading(ledger.engine), most)

    assert walk(listing, wanted) == [uid for uid in uids if passes(int(uid.rpartition(".")[2]))]


def test_a_search_that_finds_little_stops_and_says_where(ledger: Ledger) -> None:
    enter(ledger, 30)

    page = Listing(reading(ledger.engine), 10).page(StudyFilter(lowest_score=0.9))

    assert (page.lines, page.complete) == ([], False)
    assert page.following is not None
    assert page.following.last_instance_at == START + timedelta(seconds=19)


@pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)  # PostgreSQL reads a table of a page as a whole
@pytest.mark.parametrize(
    "wanted",
    [
        StudyFilter(),
        StudyFilter(state=StudyState.FAILED),
        StudyFilter(state=StudyState.DELIVERED, sender="MG1", lowest_score=0.9),
        StudyFilter(state=StudyState.FAILED, sender="MG1", manufacturer="Maker A"),
        StudyFilter(manufacturer="Maker A", lowest_score=0.9, until=START),
        StudyFilter(sender="MG1", lowest_score=0.1, highest_score=0.2, since=START),
    ],
)
def test_no_list_is_sorted_or_read_whole_by_the_database(ledger: Ledger, wanted: StudyFilter) -> None:
    enter(ledger, 3)
    asked: list[tuple[str, Any]] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))

    ledger.listing.page(wanted, Place(START + timedelta(seconds=9), "9"))

    with ledger.engine.connect() as connection:
        plans = [
            (parent, str(step))
            for statement, values in asked
            if statement.startswith("SELECT")
            for _, parent, _, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    # what was found is put in order, a page at most; and studies of one moment by their UID
    page_in_order = (0, "USE TEMP B-TREE FOR ORDER BY")
    searches = [step for _, step in plans if step.startswith("SEARCH studies USING")]
    others = [one for one in plans if one[1] not in searches and not one[1].startswith("LIST SUBQUERY")]
    assert len(searches) >= 2, plans
    assert {one[1] for one in others if one != page_in_order} <= {
        "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"
    }, plans
    assert others.count(page_in_order) == 1, plans


def test_senders_and_makers_are_told_once_each(ledger: Ledger) -> None:
    enter(ledger, 9)

    assert ledger.listing.senders() == ["MG0", "MG1", "MG2"]
    assert ledger.listing.manufacturers() == list(MAKERS)


def test_an_empty_ledger_has_an_empty_list(ledger: Ledger) -> None:
    assert ledger.listing.page(StudyFilter()).lines == []
    assert (ledger.listing.senders(), ledger.listing.find(any_keys("A1"))) == ([], [])


def test_a_study_is_found_by_the_keys_of_any_of_its_images(ledger: Ledger, clock: Clock) -> None:
    for view, number in ((R_CC, "A1"), (L_CC, "A2"), (L_CC, "A2")):
        one = instance(view, study_uid="1.2.3")
        ledger.receipts.store(
            Received(one, 1, 1, "MG1", (search_key(number, NumberKind.PATIENT),)), PATIENCE, clock()
        )

    found = [ledger.listing.find(any_keys(number)) for number in ("A1", "a 2", "A3")]

    assert found == [["1.2.3"], ["1.2.3"], []]


def test_a_number_finds_studies_of_either_kind_and_of_earlier_versions_each_once(
    ledger: Ledger, clock: Clock
) -> None:
    both = search_key("7", NumberKind.ACCESSION), search_key("7", NumberKind.PATIENT)
    for study_uid, keys in (("1.2.1", (untold_key("7"),)), ("1.2.2", both), ("1.2.3", both[1:])):
        one = instance(study_uid=study_uid, sop_uid=f"{study_uid}.1")
        ledger.receipts.store(Received(one, 1, 1, "MG1", keys), PATIENCE, clock())
        clock.advance(1)

    assert ledger.listing.find(any_keys("7")) == ["1.2.3", "1.2.2", "1.2.1"]


def test_a_manufacturer_that_no_database_can_hold_is_stored_as_far_as_it_can(
    ledger: Ledger, clock: Clock
) -> None:
    one = instance(R_CC, manufacturer="Mäker \x00\ud800 " + "x" * 99)

    ledger.receipts.store(received(one), PATIENCE, clock())

    assert ledger.listing.manufacturers() == [("Mäker  " + "x" * 99)[:64]]
