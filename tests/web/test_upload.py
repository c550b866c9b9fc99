"""What a multipart body may have besides its parts, and what it may not."""

from __future__ import annotations

import pytest

from dibmg_node.services.file_reception import FileReception
from dibmg_node.services.wire import StoreRequest
from dibmg_node.web.upload import MalformedUploadError, Upload
from tests.factories import mammogram, part10
from tests.services.wire_peers import MemoryStore
from tests.web.multipart import BOUNDARY, body_of

OFFER = StoreRequest("r", 1, "", "", "", "STOW-RS", "", "127.0.0.1", None)
BODY = body_of([part10(mammogram(PixelData=b"\0" * 64))] * 2)
PREAMBLES = [b"", b"\n", b"\r\n", b"\r\n\r\n", b"A multi-part message.\r\n", b"--bound\r\n--other\r\n"]


def take(body: bytes, size: int) -> list[int]:
    """Statuses of the parts of a body that comes in blocks of a size."""
    upload = Upload(BOUNDARY, lambda _: FileReception(MemoryStore().open_instance, OFFER, 100_000), 3)
    try:
        for at in range(0, len(body), size):
            upload.write(body[at : at + size])
        upload.finish()
    finally:
        upload.abort()
    return [file.answer.status for file in upload.files]


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("preamble", PREAMBLES)
def test_what_stands_before_the_first_delimiter_is_passed_over(preamble: bytes, size: int) -> None:
    assert take(preamble + BODY, size) == [0, 0]


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_preamble_without_end_is_refused(size: int) -> None:
    with pytest.raises(MalformedUploadError, match=r"expected .* within the first 4096 bytes"):
        take(b"x" * 5000 + b"\r\n" + BODY, size)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"\r\n", b"\n"),
        BODY.replace(b"--boundary\r\n", b"--boundary \r\n"),
        BODY.replace(b"application/dicom", b"application/dicom;\r\n transfer-syntax=1.2"),
    ],
    ids=["lines end with LF", "blanks after the boundary", "folded header"],
)
def test_a_body_whose_lines_are_not_as_expected_is_refused_with_what_was(body: bytes) -> None:
    with pytest.raises(MalformedUploadError, match=r"expected lines that end with CRLF"):
        take(body, 100_000)
