from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert, update

from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import Laterality
from dibmg_node.storage.follow_ups import Entered, FollowUpEntry
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import studies, study_keys
from tests.factories import START
from tests.storage.scored_exams import UNIT, WEIGHTS, enter_exams

CANCER, NORMAL = FollowUp(Truth.CANCER), FollowUp(Truth.NORMAL)
RIGHT = FollowUp(Truth.CANCER, Laterality.RIGHT, "2026-03-01", "biopsy")
LATER = START + timedelta(days=1)


def entered(ledger: Ledger, scores: list[float]) -> list[str]:
    """UIDs of new exams, in the order of their scores."""
    enter_exams(ledger, scores, START)
    with ledger.engine.connect() as connection:
        rows = connection.execute(studies.select().order_by(studies.c.received_at)).mappings()
        return [row["study_uid"] for row in rows]


def test_an_exam_comes_with_its_score_its_device_and_what_became_of_it(ledger: Ledger) -> None:
    first, second = entered(ledger, [0.7, 0.2])
    with ledger.engine.begin() as connection:
        connection.execute(update(studies).values(score_r=0.7, score_l=0.1))

    ledger.follow_ups.enter({second: [NORMAL], first: [RIGHT]}, LATER)

    one, other = ledger.follow_ups.exams()
    assert (one.study_uid, one.score, one.threshold, one.cancer) == (first, 0.7, 0.5, True)
    assert (one.device, one.weights_sha256, one.read_at) == (UNIT, WEIGHTS, START)
    assert one.breasts == {Laterality.RIGHT: 0.7, Laterality.LEFT: 0.1}
    assert one.known == {Laterality.RIGHT: RIGHT}
    assert (other.study_uid, other.cancer) == (second, False)


def test_the_same_again_changes_nothing_and_leaves_no_trace(ledger: Ledger) -> None:
    (study,) = entered(ledger, [0.7])
    ledger.follow_ups.enter({study: [NORMAL, RIGHT]}, LATER)
    before = ledger.follow_ups.history(study)

    again = ledger.follow_ups.enter({study: [NORMAL, RIGHT]}, LATER + timedelta(days=1))

    assert again == Entered(unchanged=2)
    assert ledger.follow_ups.history(study) == before


def test_a_correction_replaces_what_was_told_and_keeps_it_as_history(ledger: Ledger) -> None:
    (study,) = entered(ledger, [0.7])
    ledger.follow_ups.enter({study: [CANCER]}, LATER)
    corrected_at = LATER + timedelta(days=1)

    found = ledger.follow_ups.enter({study: [NORMAL]}, corrected_at)

    assert found == Entered(corrected=1)
    assert ledger.follow_ups.history(study) == [
        FollowUpEntry(CANCER, LATER, corrected_at),
        FollowUpEntry(NORMAL, corrected_at, None),
    ]
    assert ledger.follow_ups.known([study]) == {study: {None: NORMAL}}


def test_what_is_told_of_the_whole_exam_ends_what_was_told_of_a_breast(ledger: Ledger) -> None:
    (study,) = entered(ledger, [0.7])
    ledger.follow_ups.enter({study: [RIGHT]}, LATER)

    found = ledger.follow_ups.enter({study: [NORMAL]}, LATER)

    assert found == Entered(new=1, withdrawn=1)
    assert [one.cancer for one in ledger.follow_ups.exams()] == [False]


def test_what_is_told_of_both_breasts_ends_what_was_told_of_the_whole_exam(ledger: Ledger) -> None:
    (study,) = entered(ledger, [0.7])
    benign, left = FollowUp(Truth.BENIGN, Laterality.RIGHT), FollowUp(Truth.NORMAL, Laterality.LEFT)
    ledger.follow_ups.enter({study: [CANCER]}, LATER)

    found = ledger.follow_ups.enter({study: [benign, left]}, LATER)

    assert found == Entered(new=2, withdrawn=1)
    assert [one.cancer for one in ledger.follow_ups.exams()] == [False]
    assert ledger.follow_ups.enter({study: [CANCER, benign, left]}, LATER) == Entered(unchanged=2)


def test_self_tests_are_neither_matched_nor_counted(ledger: Ledger) -> None:
    tested, real = entered(ledger, [0.7, 0.2])
    ledger.follow_ups.enter({tested: [CANCER], real: [NORMAL]}, LATER)
    with ledger.engine.begin() as connection:
        mine = studies.c.study_uid == tested
        connection.execute(update(studies).where(mine).values(sender=SELFTEST_AET))
        for study in (tested, real):
            connection.execute(insert(study_keys).values(key="k", study_uid=study))

    assert ledger.follow_ups.matching(["k", "unknown"]) == {"k": [real]}
    assert ledger.follow_ups.present([tested, real]) == {real}
    assert [one.study_uid for one in ledger.follow_ups.exams()] == [real]


def test_of_figures_the_newest_are_kept(ledger: Ledger) -> None:
    ledger.follow_ups.keep_figures({"exams": 1}, START)
    ledger.follow_ups.keep_figures({"exams": 2}, LATER)

    assert ledger.follow_ups.figures() == (LATER, {"exams": 2})
