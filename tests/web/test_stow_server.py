from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import (
    CANARY,
    R_CC,
    STANDARD_VIEWS,
    STUDY_UID,
    data_set_bytes,
    mammogram,
    part10,
    sop_uid,
)
from tests.services.test_intake import LEDGER, POLICY, SAFE, Intake, send, traced_steps
from tests.web.conftest import BODY, LIMITS, WebSide
from tests.web.multipart import body_of, content_type

REFERENCED, FAILED, OTHER = "00081199", "00081198", "0008119A"
REASON, UID = "00081197", "00081155"


def post(client: TestClient, parts: Sequence[bytes], path: str = "", **headers: str) -> Any:
    return client.post(
        f"/dicom-web/studies{path}",
        content=body_of(parts),
        headers={"Content-Type": content_type(), **{k.replace("_", "-"): v for k, v in headers.items()}},
    )


def uids(answer: Any, sequence: str = REFERENCED) -> list[str]:
    return [item[UID]["Value"][0] for item in answer.json().get(sequence, {}).get("Value", ())]


def reasons(answer: Any, sequence: str = FAILED) -> list[int]:
    return [item[REASON]["Value"][0] for item in answer.json()[sequence]["Value"]]


def test_four_views_in_one_request_are_stored_and_told_as_200(web: WebSide) -> None:
    answer = post(web.client(), [part10(mammogram(view)) for view in STANDARD_VIEWS])

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    assert uids(answer) == [sop_uid(view) for view in STANDARD_VIEWS]
    assert answer.json()["00081190"]["Value"] == [f"http://node/dicom-web/studies/{STUDY_UID}"]
    assert FAILED not in answer.json()
    assert web.stored(STUDY_UID) == 4
    assert web.files("spool") == []


def test_the_end_of_a_request_ends_the_wait_for_its_study(web: WebSide, ledger: Ledger) -> None:
    post(web.client(), [part10(mammogram(view)) for view in STANDARD_VIEWS])

    assert ledger.receipts.complete_due(web.clock()) == 1


def test_an_instance_by_stow_and_by_c_store_is_one_file_of_the_same_bytes(
    web: WebSide, archive: Archive, ledger: Ledger
) -> None:
    image = mammogram(transfer_syntax_uid=facts.JPEG_LS_LOSSLESS)
    send(Intake(archive, ledger.receipts, POLICY, web.clock), image)
    before = archive.instance_path(sop_uid(R_CC)).read_bytes()
    archive.instance_path(sop_uid(R_CC)).unlink()

    answer = post(web.client(), [part10(image)])

    assert answer.status_code == 200
    assert archive.instance_path(sop_uid(R_CC)).read_bytes() == before
    assert web.stored(STUDY_UID) == 1


STOW = """
import sys
from pathlib import Path
import httpx2
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import open_ledger
from dibmg_node.web.server import WebAddress, WebServer
from tests.factories import Clock, mammogram, part10
from tests.web.conftest import WebSide
from tests.web.multipart import body_of, content_type
folder = Path(sys.argv[1])
ledger = open_ledger(f"sqlite:///{folder}/ledger.sqlite", ExamPolicy())
app = WebSide(Archive(folder / "archive"), ledger, Clock()).app()
server = WebServer(app, WebAddress("127.0.0.1", 0))
server.start()
url = f"http://127.0.0.1:{server.port}/dicom-web/studies"
answer = httpx2.post(url, content=body_of([part10(mammogram())]), headers={"Content-Type": content_type()})
assert answer.status_code == 200, answer.text
server.stop()
"""


def test_no_200_is_sent_before_bytes_name_and_ledger_are_on_the_disk(
    tmp_path: Path, archive: Archive, ledger: Ledger
) -> None:
    steps = traced_steps(STOW, tmp_path)

    assert steps[:5] == SAFE
    assert steps[5 : steps.index("answer")] in (LEDGER, LEDGER * 2)


def test_a_preamble_that_is_a_program_does_not_reach_the_archive(web: WebSide, archive: Archive) -> None:
    program = b"MZ" + b"\x90" * 126
    file = program + part10(mammogram())[128:]

    answer = post(web.client(), [file])

    kept = archive.instance_path(sop_uid(R_CC)).read_bytes()
    assert answer.status_code == 200
    assert kept[:132] == b"\0" * 128 + b"DICM"


def test_a_file_without_the_length_of_its_file_meta_is_stored(web: WebSide) -> None:
    file = part10(mammogram())
    without = file[:132] + file[144:]

    assert post(web.client(), [without]).status_code == 200


@pytest.mark.parametrize("size", [1, 7, 200, 70_000])
def test_a_request_in_pieces_of_any_size_is_stored(web: WebSide, archive: Archive, size: int) -> None:
    body = body_of([part10(mammogram()), part10(mammogram(number=1))])

    answer = web.client().post(
        "/dicom-web/studies",
        content=(body[at : at + size] for at in range(0, len(body), size)),
        headers={"Content-Type": content_type()},
    )

    assert uids(answer) == [sop_uid(R_CC), sop_uid(R_CC, number=1)]
    assert web.stored(STUDY_UID) == 2


def test_an_instance_of_another_study_than_the_urls_fails_alone_with_0110(web: WebSide) -> None:
    files = [part10(mammogram()), part10(mammogram(study_uid="1.2.3"))]

    answer = post(web.client(), files, f"/{STUDY_UID}")

    assert (answer.status_code, reasons(answer)) == (202, [0x0110])
    assert uids(answer) == [sop_uid(R_CC)]
    assert uids(answer, FAILED) == [sop_uid(R_CC, "1.2.3")]
    assert (web.stored(STUDY_UID), web.stored("1.2.3")) == (1, 0)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (part10(mammogram(SOPClassUID="1.2.840.10008.1.1")), StoreStatus.SOP_CLASS_NOT_SUPPORTED),
        (
            part10(mammogram(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6")),
            StoreStatus.SOP_CLASS_NOT_SUPPORTED,
        ),
        (part10(mammogram(StudyInstanceUID=None)), StoreStatus.DATA_SET_MISMATCH),
    ],
    ids=["verification", "a class that is not accepted", "no study"],
)
def test_what_the_scp_refuses_fails_with_its_reason(web: WebSide, file: bytes, reason: int) -> None:
    answer = post(web.client(), [file])

    assert (answer.status_code, reasons(answer)) == (409, [reason])
    assert web.files("spool") + web.files("instances") == []
    (told,) = web.turned_away
    assert (told.calling_aet, told.let_in, told.for_now) == ("STOW-RS", True, False)
    assert told.sentence.startswith(f"instance refused, 0x{reason:04X}: ")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_deflated_and_big_endian_fail_with_c122(web: WebSide, syntax: str) -> None:
    image = mammogram()
    file = part10_prefix(image.SOPClassUID, image.SOPInstanceUID, syntax) + data_set_bytes(image)

    answer = post(web.client(), [file])

    assert (answer.status_code, reasons(answer)) == (409, [0xC122])
    assert web.files("spool") + web.files("instances") == []


@pytest.mark.parametrize(
    "file",
    [b"", b"\0" * 200, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\2\0\1\0UN\0\0\xff\xff\xff\xff"],
)
def test_a_part_that_is_no_dicom_file_is_an_other_failure(web: WebSide, file: bytes) -> None:
    answer = post(web.client(), [file, part10(mammogram())])

    assert (answer.status_code, reasons(answer, OTHER)) == (202, [0xC000])
    assert uids(answer) == [sop_uid(R_CC)]


def test_a_part_of_another_media_type_is_an_other_failure(web: WebSide) -> None:
    body = body_of([part10(mammogram())], headers="Content-Type: text/plain\r\n")

    answer = web.client().post("/dicom-web/studies", content=body, headers={"Content-Type": content_type()})

    assert (answer.status_code, reasons(answer, OTHER)) == (409, [0xC000])
    assert web.files("instances") == []


@pytest.mark.parametrize("length", [1_000_002, 20_000_000])
def test_an_instance_over_the_limit_fails_alone(web: WebSide, length: int) -> None:
    long = part10(mammogram(number=1, PixelData=b"\0" * length))
    limits = replace(LIMITS, body=replace(BODY, longest=30_000_000))

    answer = post(web.client(limits=limits), [long, part10(mammogram())])

    assert (answer.status_code, reasons(answer)) == (202, [0xC000])
    assert uids(answer) == [sop_uid(R_CC)]
    assert web.files("spool") == []


def test_instances_over_the_limit_alone_are_a_409_that_nobody_sends_again(web: WebSide) -> None:
    answer = post(web.client(), [part10(mammogram(PixelData=b"\0" * 1_000_002))])

    assert (answer.status_code, "Retry-After" in answer.headers) == (409, False)


@pytest.mark.parametrize(("keep_first", "status"), [(False, 409), (True, 200)])
def test_other_bytes_under_a_known_uid_are_answered_as_to_a_c_store(
    web: WebSide, keep_first: bool, status: int
) -> None:
    client = web.client(keep_first=keep_first)
    post(client, [part10(mammogram())])

    answer = post(client, [part10(mammogram(PatientAge="067Y"))])

    assert answer.status_code == status
    assert len(web.files("quarantine")) == 1


def test_a_ledger_that_does_not_answer_is_a_503_to_try_again(
    web: WebSide, ledger: Ledger, tmp_path: Path
) -> None:
    with ledger.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout=1"))
        connection.rollback()
    writer = sqlite3.connect(tmp_path / "ledger.sqlite")
    writer.execute("BEGIN IMMEDIATE")

    answer = post(web.client(), [part10(mammogram())])

    writer.close()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert reasons(answer) == [0xA700]


def test_less_free_than_the_reserve_is_a_507_to_try_again(web: WebSide) -> None:
    answer = post(web.client(reserve_bytes=2**62), [part10(mammogram())])

    assert (answer.status_code, answer.headers["Retry-After"]) == (507, "60")
    assert web.files("spool") == []
    told = "request refused, HTTP 507: less disk is free than the reserve"
    assert web.turned_away == [TurnedAway("testclient", "STOW-RS", "", told, for_now=True)]


def test_who_accepts_xml_is_told_in_xml(web: WebSide) -> None:
    answer = post(web.client(), [part10(mammogram())], Accept="application/dicom+xml")

    root = ElementTree.fromstring(answer.text)
    found = root.findall(".//{*}DicomAttribute[@keyword='ReferencedSOPInstanceUID']/{*}Value")
    assert answer.headers["content-type"].startswith("application/dicom+xml")
    assert [value.text for value in found] == [sop_uid(R_CC)]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (406, {"Accept": "text/html"}),
        (415, {"Content-Type": "application/dicom"}),
        (415, {"Content-Type": content_type(kind="application/dicom+json")}),
        (415, {"Content-Encoding": "gzip"}),
        (415, {"Content-Type": ""}),
        (400, {"Content-Type": 'multipart/related; type="application/dicom"'}),
        (400, {"Content-Type": content_type("b" * 300)}),
        (413, {"Content-Length": "10000001"}),
    ],
)
def test_a_request_that_cannot_be_taken_is_refused_by_its_head(
    web: WebSide, status: int, headers: dict[str, str]
) -> None:
    whole = {"Content-Type": content_type(), **headers}

    answer = web.client().post("/dicom-web/studies", content=body_of([part10(mammogram())]), headers=whole)

    assert answer.status_code == status
    assert web.files("instances") == []


def test_a_request_without_a_body_is_a_411(web: WebSide) -> None:
    request = web.client().build_request(
        "POST", "/dicom-web/studies", headers={"Content-Type": content_type()}
    )
    request.headers.pop("content-length")

    assert web.client().send(request).status_code == 411


def test_a_study_in_the_path_that_is_no_uid_is_a_400(web: WebSide) -> None:
    assert post(web.client(), [part10(mammogram())], "/1.2.x").status_code == 400


FILE = part10(mammogram())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--boundary--\r\n",
        body_of([FILE, FILE])[:-4],
        b"preamble" + body_of([FILE]),
        body_of([FILE], boundary="other"),
        b"--boundary\nContent-Type: application/dicom\n\n" + FILE + b"\n--boundary--",
        body_of([FILE], headers="Content-Type : application/dicom\r\n"),
        body_of([FILE], headers="X: " + "x" * 5000 + "\r\n"),
        body_of([FILE], headers="".join(f"X{n}: 1\r\n" for n in range(9))),
    ],
    ids=[
        "empty",
        "no part",
        "cut off",
        "preamble",
        "another boundary",
        "bare line feeds",
        "space in a header",
        "a long header",
        "many headers",
    ],
)
def test_a_body_that_is_not_multipart_is_a_400_and_leaves_nothing_unfinished(
    web: WebSide, body: bytes
) -> None:
    answer = web.client().post("/dicom-web/studies", content=body, headers={"Content-Type": content_type()})

    assert answer.status_code == 400
    assert web.files("spool") == []


def test_more_parts_than_allowed_are_a_413(web: WebSide) -> None:
    answer = post(web.client(), [b""] * 21)

    assert answer.status_code == 413


def test_a_node_that_takes_nothing_answers_405(web: WebSide) -> None:
    assert post(web.client(stow=False), [FILE]).status_code == 405


def test_a_patients_name_is_in_no_log_line_and_no_answer(
    web: WebSide, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = web.client()

    answers = [post(client, [part10(mammogram(**changes))]) for changes in ({}, {"PatientAge": "067Y"})]
    answers.append(post(client, [part10(mammogram(StudyInstanceUID=CANARY))]))

    name = CANARY.partition("^")[0]
    assert [answer.status_code for answer in answers] == [200, 409, 409]
    assert name not in "".join(answer.text for answer in answers)
    assert name not in str(
        [vars(record) for record in caplog.records if record.name.startswith("dibmg_node")]
    )
