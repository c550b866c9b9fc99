from __future__ import annotations

import json

import pytest

from dibmg_node.services.stow_answer import (
    AnswerUnreadableError,
    NoStoreAnswerError,
    StoreAnswer,
    read_answer,
)
from tests.services.web_peers import item

JSON = "application/dicom+json"
XML = "application/dicom+xml"

NATIVE = """<?xml version="1.0" encoding="UTF-8"?>
<NativeDicomModel {namespace}>
  <DicomAttribute tag="00081190" vr="UR"><Value number="1">http://pacs/studies/1.2.3</Value></DicomAttribute>
  <DicomAttribute tag="00081199" vr="SQ">
    <Item number="1">
      <DicomAttribute tag="00081150" vr="UI"><Value number="1">1.2</Value></DicomAttribute>
      <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.1</Value></DicomAttribute>
    </Item>
    <Item number="2">
      <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.2</Value></DicomAttribute>
      <DicomAttribute tag="00081196" vr="US"><Value number="1">45056</Value></DicomAttribute>
    </Item>
  </DicomAttribute>
  <DicomAttribute tag="00081198" vr="SQ">
    <Item number="1">
      <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.3</Value></DicomAttribute>
      <DicomAttribute tag="00081197" vr="US"><Value number="1">290</Value></DicomAttribute>
    </Item>
  </DicomAttribute>
</NativeDicomModel>"""

BOTH_SEQUENCES = StoreAnswer({"2.25.1": None, "2.25.2": 0xB000}, {"2.25.3": 0x0122})


def in_json(**sequences: list[object]) -> bytes:
    tags = {"stored": "00081199", "failed": "00081198", "other": "0008119a"}
    return json.dumps(
        {tags[name]: {"vr": "SQ", "Value": items} for name, items in sequences.items()}
    ).encode()


@pytest.mark.parametrize("namespace", ["", 'xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'])
def test_xml_says_of_each_instance_what_became_of_it(namespace: str) -> None:
    assert read_answer(XML, NATIVE.format(namespace=namespace).encode()) == BOTH_SEQUENCES


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/DICOM+JSON"])
@pytest.mark.parametrize("as_array", [True, False])
def test_json_says_of_each_instance_what_became_of_it(content_type: str, as_array: bool) -> None:
    body = in_json(
        stored=[item("2.25.1"), item("2.25.2", "00081196", 0xB000)],
        failed=[item("2.25.3", "00081197", 0x0122)],
    )

    assert read_answer(content_type, b"[" + body + b"]" if as_array else body) == BOTH_SEQUENCES


def test_tags_are_read_in_either_case_and_uids_without_their_padding() -> None:
    body = in_json(
        stored=[{"00081155": {"vr": "UI", "Value": ["2.25.1\0"]}}], other=[item("", "00081197", 0xA700)]
    )

    assert read_answer(JSON, body) == StoreAnswer({"2.25.1": None}, {}, (0xA700,))


@pytest.mark.parametrize("reason", [None, 0, -1, 0x10000, "many", 1.5, [], {}])
def test_a_reason_that_is_no_reason_is_none(reason: object) -> None:
    body = in_json(failed=[{"00081155": {"Value": ["2.25.1"]}, "00081197": {"Value": [reason]}}])

    assert read_answer(JSON, body).failed == {"2.25.1": None}


def test_a_reason_written_as_text_is_a_reason() -> None:
    body = in_json(failed=[{"00081155": {"Value": ["2.25.1"]}, "00081197": {"Value": ["272"]}}])

    assert read_answer(JSON, body).failed == {"2.25.1": 272}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{"error": "not signed in"}'),
        ("application/json", b'[{"00100020": {"vr": "LO", "Value": ["1"]}}]'),
        ("text/xml", b"<Envelope><Body><Fault/></Body></Envelope>"),
        ("application/dicom+xml", b'<NativeDicomModel><DicomAttribute tag="00100020"/></NativeDicomModel>'),
    ],
)
def test_json_or_xml_of_somebody_else_is_no_store_answer(content_type: str, body: bytes) -> None:
    with pytest.raises(NoStoreAnswerError):
        read_answer(content_type, body)


def test_an_answer_may_name_the_place_of_the_study_alone() -> None:
    body = b'{"00081190": {"vr": "UR", "Value": ["http://pacs/studies/1"]}}'

    assert read_answer(JSON, body) == StoreAnswer()


@pytest.mark.parametrize("content_type", ["", JSON, "text/html"])
def test_an_empty_body_names_nothing(content_type: str) -> None:
    assert read_answer(content_type, b" \r\n") == StoreAnswer()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[{},{}]",
        b"[1]",
        b'{"00081199": 1}',
        b'{"00081199": {"Value": 1}}',
        b'{"00081199": {"Value": [1]}}',
        b'{"00081199": {"Value": [{"00081155": 1}]}}',
        b"[" * 100_000,
        b'{"00081199":{"Value":[' * 50_000,
    ],
)
def test_json_that_is_broken_is_unreadable(body: bytes) -> None:
    with pytest.raises(AnswerUnreadableError):
        read_answer(JSON, body)


@pytest.mark.parametrize(
    "body",
    [
        b"<NativeDicomModel>",
        b"{}",
        b'<?xml version="1.0" encoding="no-such"?><NativeDicomModel/>',
        b'<!DOCTYPE a [<!ENTITY x "1"><!ENTITY y "&x;&x;">]><a>&y;</a>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY x "1">]><a>&x;</a>'.encode("utf-16"),
    ],
)
def test_xml_that_is_broken_or_brings_entities_is_unreadable(body: bytes) -> None:
    with pytest.raises(AnswerUnreadableError):
        read_answer(XML, body)


def test_xml_may_nest_as_deep_as_it_likes() -> None:
    deep = b"<Item><DicomAttribute tag='00081199'>" * 20_000 + b"</DicomAttribute></Item>" * 20_000

    assert read_answer(XML, b"<NativeDicomModel>" + deep + b"</NativeDicomModel>") == StoreAnswer()


@pytest.mark.parametrize("content_type", ["", "text/html; charset=utf-8", "text/plain", "multipart/related"])
def test_a_body_of_another_type_is_no_store_answer(content_type: str) -> None:
    with pytest.raises(NoStoreAnswerError):
        read_answer(content_type, b"<html>please log in</html>")
