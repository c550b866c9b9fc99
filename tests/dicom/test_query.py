from __future__ import annotations

from time import process_time

import pytest
from pydicom.dataset import Dataset

from dibmg_node.dicom.query import LONGEST_KEY, Level, matches, read_query


def _matches(keyword: str, value: str, wanted: str) -> bool:
    attributes = Dataset()
    setattr(attributes, keyword, value)
    return matches(attributes, read_query([(keyword, wanted)], Level.STUDY).wanted)


@pytest.mark.parametrize("wanted", ["*" * 9 + "x", "*a" * 12 + "x", "*?" * 9 + "x"])
def test_a_key_of_many_wildcards_is_matched_at_once(wanted: str) -> None:
    began = process_time()

    matched = _matches("PatientName", "Mustermann^Erika^Anna^Barbara^Aa" + "a" * 20, wanted)

    assert not matched
    assert process_time() - began < 0.5


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("A-12.5", "A-12.5", True),
        ("A-12x5", "A-12.5", False),
        ("A-12.5", "A-1", False),
        ("A-12.5", "A*", True),
        ("A-12.5", "*5", True),
        ("A-12.5", "*-*.*", True),
        ("A-12.5", "A**5", True),
        ("A-12.5", "*.*-*", False),
        ("A-12.5", "A?12?5", True),
        ("A-12.5", "?????", False),
        ("A-12.5", "*?5", True),
        ("A-12.5", "*A-12.5*", True),
        ("abab", "*ab", True),
        ("aba", "ab*ba", False),
        ("abcab", "*ab*ab", True),
        ("[x]", "[x]", True),
        ("x", "[x]", False),
    ],
)
def test_an_asterisk_is_any_characters_and_a_question_mark_is_one(
    value: str, wanted: str, expected: bool
) -> None:
    assert _matches("AccessionNumber", value, wanted) is expected


@pytest.mark.parametrize("wanted", ["*", "**"])
def test_a_lone_asterisk_matches_where_the_attribute_is_absent(wanted: str) -> None:
    query = read_query([("StudyDescription", wanted)], Level.STUDY)

    assert matches(Dataset(), query.wanted)


def test_a_key_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="PatientName has more than 1024 characters"):
        read_query([("PatientName", "x" * (LONGEST_KEY + 1))], Level.STUDY)


def test_a_list_of_uids_may_be_longer_than_another_key() -> None:
    uids = ",".join(f"1.2.{number}" for number in range(1000))

    assert len(read_query([("StudyInstanceUID", uids)], Level.STUDY).uids("StudyInstanceUID")) == 1000
