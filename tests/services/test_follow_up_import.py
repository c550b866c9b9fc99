"""Which exam a line of a table is entered for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import insert, select

from dibmg_node.dicom.search_keys import search_keys, untold_key
from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.services.follow_up_file import ToldLine
from dibmg_node.services.follow_up_import import HeaderOf, import_follow_ups
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import exam_scores, study_keys
from tests.factories import START
from tests.storage.scored_exams import enter_exams

CANCER = FollowUp(Truth.CANCER)


def header(accession: str, patient: str) -> Dataset:
    found = Dataset()
    found.AccessionNumber, found.PatientID = accession, patient
    return found


def nothing_is_asked(study_uid: str) -> Dataset | None:
    raise AssertionError(f"{study_uid} has keys that tell their kinds")


def enter_keys(ledger: Ledger, *keys: tuple[str, ...]) -> list[str]:
    """As many exams as there are keys; returns their UIDs."""
    enter_exams(ledger, [0.5] * len(keys), START)
    with ledger.engine.begin() as connection:
        uids = list(connection.scalars(select(exam_scores.c.study_uid).order_by(exam_scores.c.at)))
        for uid, of_study in zip(uids, keys, strict=True):
            for key in of_study:
                connection.execute(insert(study_keys).values(key=key, study_uid=uid))
    return uids


def line(accession: str, study_uid: str = "") -> ToldLine:
    return ToldLine(2, accession, study_uid, CANCER)


def test_the_patient_id_of_one_woman_is_not_the_accession_number_of_another(ledger: Ledger) -> None:
    hers, others = enter_keys(ledger, search_keys(header("1", "7")), search_keys(header("7", "1")))

    import_follow_ups(ledger.follow_ups, [line("7")], START, nothing_is_asked)

    assert set(ledger.follow_ups.known([hers, others])) == {others}


def test_a_patient_id_in_the_column_of_accession_numbers_names_no_exam(ledger: Ledger) -> None:
    enter_keys(ledger, search_keys(header("1", "7")))

    found = import_follow_ups(ledger.follow_ups, [line("7")], START, nothing_is_asked)

    assert (found.studies, found.unmatched) == (0, [2])


@pytest.mark.parametrize(
    ("archived", "entered", "left_out"),
    [
        (header("7", "1"), 1, {}),
        (header("1", "7"), 0, {"unmatched_lines": [2]}),
        (None, 0, {"unchecked_lines": [2]}),
        (header("", ""), 0, {"unchecked_lines": [2]}),
    ],
    ids=["accession number", "patient ID", "purged", "neither"],
)
def test_of_a_study_of_an_earlier_version_the_archived_header_says_whose_number_it_is(
    ledger: Ledger, archived: Dataset | None, entered: int, left_out: Mapping[str, list[int]]
) -> None:
    enter_keys(ledger, (untold_key("7"),))

    found = import_follow_ups(ledger.follow_ups, [line("7")], START, lambda _: archived)

    told = {name: lines for name, lines in found.as_json().items() if name.endswith("_lines") and lines}
    assert (found.entered.new, told) == (entered, left_out)


def test_an_exam_that_the_number_may_be_of_keeps_a_line_from_another_one(ledger: Ledger) -> None:
    enter_keys(ledger, search_keys(header("7", "1")), (untold_key("7"),))

    found = import_follow_ups(ledger.follow_ups, [line("7")], START, lambda _: None)

    assert (found.studies, found.unchecked) == (0, [2])


@pytest.mark.parametrize("header_of", [lambda _: None, lambda _: header("7", "1")])
def test_a_study_uid_names_its_exam_whatever_is_left_of_the_header(
    ledger: Ledger, header_of: HeaderOf
) -> None:
    (study,) = enter_keys(ledger, (untold_key("7"),))

    found = import_follow_ups(ledger.follow_ups, [line("7", study)], START, header_of)

    assert (found.entered.new, found.contradictory) == (1, [])
