from __future__ import annotations

import pytest

from dibmg_node.domain.subject import is_subject, same_subject, subject_text


def test_attributes_stand_in_their_order_under_their_short_names() -> None:
    assert subject_text([("organizationName", "Clinic"), ("commonName", "mg1")]) == "O=Clinic,CN=mg1"


@pytest.mark.parametrize(
    "text", ["O=Clinic,CN=mg1", "CN=mg1,O=Clinic", "O = Clinic, CN = mg1", "o=Clinic,cn=mg1"]
)
def test_order_blanks_and_case_of_names_do_not_matter(text: str) -> None:
    assert same_subject(text, "O=Clinic,CN=mg1")


@pytest.mark.parametrize(
    "text", ["CN=mg1", "O=clinic,CN=mg1", "O=Clinic,CN=mg1,OU=x", "O=Clinic,CN=mg1,CN=mg1", ""]
)
def test_anything_else_is_another_subject(text: str) -> None:
    assert not same_subject(text, "O=Clinic,CN=mg1")


def test_a_comma_in_a_value_makes_no_further_attribute() -> None:
    forged = subject_text([("organizationName", "Clinic,CN=mg1")])

    assert forged == r"O=Clinic\,CN=mg1"
    assert not same_subject(forged, "O=Clinic,CN=mg1")
    assert same_subject(forged, forged)


@pytest.mark.parametrize("value", ["Müller", "a\nb", "back\\slash", "O'Brien", 'a "b"', "a=b", "日本"])
def test_a_value_of_any_characters_is_ascii_and_itself(value: str) -> None:
    text = subject_text([("commonName", value)])

    assert text.isascii() and text.isprintable()
    assert same_subject(text, text)


def test_an_umlaut_may_be_written_as_it_is() -> None:
    assert same_subject("CN=Müller", subject_text([("commonName", "Müller")]))


def test_what_only_looks_like_an_escaped_umlaut_is_another_one() -> None:
    assert not same_subject(subject_text([("commonName", r"M\xfcller")]), "CN=Müller")


@pytest.mark.parametrize(
    ("text", "is_one"), [("CN=a", True), ("a", False), ("", False), ("CN", False), ("CN=a,", False)]
)
def test_a_subject_is_attributes_with_values(text: str, is_one: bool) -> None:
    assert is_subject(text) is is_one
