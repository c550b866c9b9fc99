from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert, update

from dibmg_node.storage.lacking import MOST_COUNTED, Lacking
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import deliveries, results, studies
from tests.factories import START, STUDY_UID, Clock
from tests.storage.life import make_ready

SECOND = timedelta(seconds=1)


def owe(ledger: Ledger, number: int) -> None:
    """So many results, one a second, the newest of which was tried."""
    result = {
        "study_uid": STUDY_UID,
        "revision": 1,
        "series_uid": "1.2",
        "sop_class_uid": "1.3",
        "transfer_syntax_uid": "1.4",
        "kind": "overlay",
        "variant": "",
        "view": "R-CC",
        "sha256": "",
        "size": 1,
    }
    owed = {"destination": "pacs", "study_uid": STUDY_UID, "revision": 1, "state": "OWED"}
    uids = [f"2.25.{one}" for one in range(number)]
    with ledger.engine.begin() as connection:
        connection.execute(insert(results), [{"sop_uid": uid, **result} for uid in uids])
        connection.execute(
            insert(deliveries),
            [
                {
                    "result_uid": uid,
                    "owed_since": START + place * SECOND,
                    "attempts": int(place == number - 1),
                    **owed,
                }
                for place, uid in enumerate(uids)
            ],
        )


def test_all_that_is_owed_is_counted_with_what_is_late_and_what_failed(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    owe(ledger, 5)

    found = ledger.views.lacking(START + SECOND)

    expected = Lacking(owed=5, failing=1, owed_since=START, late=2, late_since=START)
    assert found == {"pacs": expected}


def test_of_a_long_backlog_the_oldest_are_counted_and_it_is_said_that_there_are_more(
    ledger: Ledger, clock: Clock
) -> None:
    make_ready(ledger, clock)
    owe(ledger, MOST_COUNTED + 2)

    found = ledger.views.lacking(START + MOST_COUNTED * 2 * SECOND)["pacs"]
    view = ledger.views.destination("pacs")

    assert (found.owed, found.more, found.late) == (MOST_COUNTED, True, MOST_COUNTED)
    assert (found.owed_since, found.late_since, found.failing) == (START, START, 0)
    assert (view.owed, view.more) == (MOST_COUNTED, True)


def test_nobody_who_lacks_nothing_is_named(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)

    assert ledger.views.lacking(clock()) == {}


def test_of_what_is_to_be_proven_only_results_of_the_last_reading_count(ledger: Ledger, clock: Clock) -> None:
    make_ready(ledger, clock)
    owe(ledger, 4)
    to_prove = {"state": "STORED", "proof": "query", "next_at": START}
    with ledger.engine.begin() as connection:
        connection.execute(update(studies).values(analyzed_revision=2))
        connection.execute(update(deliveries).values(**to_prove, proof_attempts=2))
        newer = update(deliveries).where(deliveries.c.result_uid != "2.25.0")
        connection.execute(newer.values(revision=2))
        asked_once = update(deliveries).where(deliveries.c.result_uid == "2.25.3")
        connection.execute(asked_once.values(proof_attempts=1))

    found = ledger.views.lacking(START + 2 * SECOND)

    expected = Lacking(unproven=3, doubtful=2, late=2, late_since=START + SECOND)
    assert found == {"pacs": expected}
