"""Whatever bytes come as a request's body, they are taken or refused, and every sink ends exactly once."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dibmg_node.services.file_reception import FileReception
from dibmg_node.services.wire import StoreRequest
from dibmg_node.web.media import read_media_type
from dibmg_node.web.upload import MalformedUploadError, OversizedUploadError, Upload
from tests.factories import mammogram, part10
from tests.services.test_wire_fuzz import damaged
from tests.services.wire_peers import MemoryStore
from tests.web.multipart import BOUNDARY, body_of

BOUNDED = settings(max_examples=300, deadline=None)
OFFER = StoreRequest("r", 1, "", "", "", "STOW-RS", "", "127.0.0.1", None)
FILE = part10(mammogram(PixelData=b"\0" * 64))
WHOLE = body_of([FILE, FILE])
LONGEST, MOST_PARTS = 4000, 3


@BOUNDED
@given(
    body=st.binary(max_size=500)
    | damaged(WHOLE)
    | damaged(body_of([b"", b"x", FILE[:200]]))
    | st.lists(
        st.sampled_from([b"--boundary", b"--", b"\r\n", b"X: y", b"DICM", FILE[:140], b"\0"]), max_size=40
    ).map(b"".join),
    size=st.integers(1, 3000),
)
@example(body=WHOLE, size=1)
@example(body=body_of([FILE + b"\0" * 10_000]), size=500)
@example(body=body_of([b"x"] * 5), size=7)
def test_any_body_is_taken_or_refused_and_every_sink_ends_once(body: bytes, size: int) -> None:
    store = MemoryStore()
    upload = Upload(BOUNDARY, lambda _: FileReception(store.open_instance, OFFER, LONGEST), MOST_PARTS)

    try:
        for at in range(0, len(body), size):
            upload.write(body[at : at + size])
        upload.finish()
    except (MalformedUploadError, OversizedUploadError):
        pass
    finally:
        upload.abort()

    assert all(sink.commits + sink.aborts == 1 for sink in store.sinks)
    assert all(len(sink.content) <= LONGEST for sink in store.sinks)
    assert sum(file.answer.status == 0 for file in upload.files) == len(store.committed)
    assert len(upload.files) <= MOST_PARTS


@BOUNDED
@given(
    st.text(st.characters(max_codepoint=255), max_size=100)
    | st.text(st.sampled_from('multipart/related;=" \\,boundary'), max_size=60)
)
def test_any_content_type_is_read(text: str) -> None:
    read = read_media_type(text)

    assert read.name == read.name.lower()


@BOUNDED
@given(st.binary(min_size=1, max_size=75) | st.text(min_size=1, max_size=75).map(str.encode))
def test_any_boundary_is_one_or_is_refused(boundary: bytes) -> None:
    text = boundary.decode("latin-1")
    store = MemoryStore()

    try:
        upload = Upload(text, lambda _: FileReception(store.open_instance, OFFER, LONGEST), MOST_PARTS)
        upload.write(b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + FILE)
    except MalformedUploadError:
        return
    upload.abort()

    assert all(sink.commits + sink.aborts == 1 for sink in store.sinks)
