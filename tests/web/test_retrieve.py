from __future__ import annotations

import re
from dataclasses import dataclass
from errno import ETIMEDOUT
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from dibmg_node.storage.archive import Archive
from tests.web.conftest import WebSide
from tests.web.held_results import hold

ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
CAPTURE = "/dicom-web/studies/1.2.1/series/1.2.1.9101/instances/1.2.1.9101.1"


@dataclass(frozen=True)
class Far(Archive):
    """An archive that does not answer for one result."""

    unanswered: str = ""

    def result(self, sop_uid: str) -> Path:
        if sop_uid == self.unanswered:
            raise OSError(ETIMEDOUT, "the storage does not answer")
        return super().result(sop_uid)


@pytest.fixture
def held(web: WebSide) -> list[Dataset]:
    hold(web, "1.2.9")
    return hold(web, "1.2.1", captures=2)


@pytest.fixture
def client(web: WebSide, held: list[Dataset]) -> TestClient:
    return web.client()


def parts(answer: Any) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part."""
    assert answer.status_code == 200, answer.text
    name, boundary = re.fullmatch(
        r'(.*); type="application/dicom"; boundary=(\w+)', answer.headers["content-type"]
    ).groups()
    first, *middle, last = (b"\r\n" + answer.content).split(b"\r\n--" + boundary.encode())
    assert (name, first, last) == ("multipart/related", b"", b"--\r\n")
    heads = [part.partition(b"\r\n\r\n") for part in middle]
    return [(head.decode().removeprefix("\r\nContent-Type: "), content) for head, _, content in heads]


def files(answer: Any) -> list[FileDataset]:
    return [dcmread(BytesIO(content)) for _, content in parts(answer)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/studies/1.2.1", ["1.2.1.9001.1", "1.2.1.9101.1", "1.2.1.9101.2"]),
        ("/studies/1.2.1/series/1.2.1.9101", ["1.2.1.9101.1", "1.2.1.9101.2"]),
        ("/studies/1.2.1/series/1.2.1.9101/instances/1.2.1.9101.2", ["1.2.1.9101.2"]),
    ],
)
def test_a_path_gives_all_results_below_it(client: TestClient, path: str, found: list[str]) -> None:
    answer = client.get(f"/dicom-web{path}", headers={"Accept": ANY})

    assert [str(file.SOPInstanceUID) for file in files(answer)] == found


def test_in_any_transfer_syntax_the_bytes_are_those_of_the_archive(web: WebSide, client: TestClient) -> None:
    answer = client.get(CAPTURE, headers={"Accept": ANY})

    ((content_type, content),) = parts(answer)
    assert content == web.archive.result_path("1.2.1.9101.1").read_bytes()
    assert content_type == f"application/dicom; transfer-syntax={facts.RLE_LOSSLESS}"


@pytest.mark.parametrize(
    "accept", ["", "*/*", 'multipart/related; type="application/dicom"', f"{ANY[:-1]}{facts.EXPLICIT_LE}"]
)
def test_who_names_no_transfer_syntax_gets_explicit_vr(
    client: TestClient, held: list[Dataset], accept: str
) -> None:
    (file,) = files(client.get(CAPTURE, headers={"Accept": accept}))

    assert file.file_meta.TransferSyntaxUID == facts.EXPLICIT_LE
    assert file.PixelData == held[1].PixelData


@pytest.mark.parametrize(
    ("accept", "syntax"),
    [
        ("application/dicom", facts.EXPLICIT_LE),
        ("application/dicom; transfer-syntax=*", facts.RLE_LOSSLESS),
        (f"application/dicom; transfer-syntax={facts.RLE_LOSSLESS}", facts.RLE_LOSSLESS),
        ("multipart/related; type=image/jpeg, application/dicom;q=0.5", facts.EXPLICIT_LE),
    ],
)
def test_one_result_comes_as_one_file_where_that_is_accepted(
    client: TestClient, accept: str, syntax: str
) -> None:
    answer = client.get(CAPTURE, headers={"Accept": accept})

    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
    assert dcmread(BytesIO(answer.content)).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (CAPTURE, f"application/dicom; transfer-syntax={facts.JPEG_2000}"),
        (CAPTURE, "text/html"),
        (CAPTURE, "application/dicom;q=0"),
        (CAPTURE, 'multipart/related; type="image/jpeg"'),
        ("/dicom-web/studies/1.2.1", "application/dicom"),
        ("/dicom-web/studies/1.2.1", f"{ANY[:-1]}{facts.RLE_LOSSLESS}"),
        (f"{CAPTURE}/metadata", "application/dicom+xml"),
    ],
)
def test_what_cannot_be_given_in_the_form_accepted_is_a_406(
    client: TestClient, path: str, accept: str
) -> None:
    assert client.get(path, headers={"Accept": accept}).status_code == 406


@pytest.mark.parametrize("tail", ["", "/metadata"])
@pytest.mark.parametrize(
    "path",
    [
        "/studies/1.2.3",
        "/studies/1.2.1/series/1.2.9.9101",
        "/studies/1.2.9/series/1.2.9.9101/instances/1.2.1.9101.1",
    ],
)
def test_what_the_node_did_not_make_is_not_found(client: TestClient, path: str, tail: str) -> None:
    assert client.get(f"/dicom-web{path}{tail}").status_code == 404


def test_metadata_is_everything_but_the_pixels_in_utf_8(client: TestClient) -> None:
    described = client.get("/dicom-web/studies/1.2.1/metadata").json()

    assert [one["00080018"]["Value"][0] for one in described] == [
        "1.2.1.9001.1",
        "1.2.1.9101.1",
        "1.2.1.9101.2",
    ]
    assert described[1]["00100010"]["Value"] == [{"Alphabetic": "Müller^Anna"}]
    assert described[1]["00080005"]["Value"] == ["ISO_IR 192"]
    assert described[1]["00280010"]["Value"] == [8]
    assert "7FE00010" not in described[1]


def test_received_images_are_not_given_out(web: WebSide, client: TestClient) -> None:
    answer = client.get("/dicom-web/studies/1.2.1/series/1.2.826.0.1.3680043.10.9.1.100")

    assert answer.status_code == 404


@pytest.mark.parametrize("damaged", [False, True])
def test_a_result_that_the_archive_has_lost_leaves_the_others_to_be_retrieved(
    web: WebSide, client: TestClient, damaged: bool
) -> None:
    lost = web.archive.result_path("1.2.1.9001.1")
    lost.unlink()
    if damaged:
        lost.write_bytes(b"no DICOM")

    answer = client.get("/dicom-web/studies/1.2.1", headers={"Accept": ANY})
    described = client.get("/dicom-web/studies/1.2.1/metadata")

    assert [str(file.SOPInstanceUID) for file in files(answer)] == ["1.2.1.9101.1", "1.2.1.9101.2"]
    assert [one["00080018"]["Value"] for one in described.json()] == [["1.2.1.9101.1"], ["1.2.1.9101.2"]]


@pytest.mark.parametrize("tail", ["", "/metadata"])
def test_where_the_archive_has_lost_all_that_is_asked_for_it_is_not_found(
    web: WebSide, client: TestClient, tail: str
) -> None:
    web.archive.result_path("1.2.1.9101.1").unlink()

    assert client.get(CAPTURE + tail).status_code == 404


@pytest.mark.parametrize("tail", ["", "/metadata"])
@pytest.mark.parametrize("path", ["/dicom-web/studies/1.2.1", CAPTURE])
def test_where_the_archive_does_not_answer_it_is_to_be_asked_again(
    web: WebSide, held: list[Dataset], path: str, tail: str
) -> None:
    far = Far(web.archive.root, unanswered="1.2.1.9101.1")
    client = WebSide(far, web.ledger, web.clock).client()

    answer = client.get(path + tail, headers={"Accept": "*/*"})

    assert (answer.status_code, answer.text) == (503, "the archive does not answer")
    assert answer.headers["retry-after"] == "60"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("path", ["/studies", "/studies/1.2.1", "/studies/1.2.1/metadata"])
def test_while_another_folder_is_in_the_archives_place_it_is_to_be_asked_again(
    web: WebSide, path: str
) -> None:
    web.archive_identity = "that of the ledger"
    for file in web.files("results"):
        file.unlink()

    answer = web.client().get(f"/dicom-web{path}", headers={"Accept": "*/*"})

    assert (answer.status_code, answer.headers.get("retry-after")) == (503, "60")
