"""Slow, endless and silent peers at a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dibmg_node.web.server import WebServer
from tests.factories import STUDY_UID, mammogram, part10
from tests.web.conftest import BODY, LIMITS, Impatient, WebSide
from tests.web.multipart import body_of, content_type

Serve = Callable[..., WebServer]

PATIENCE_SECONDS = 30
FILE = part10(mammogram())
LARGE = [part10(mammogram(number=number, PixelData=b"\0" * 900_000)) for number in (0, 1)]
HALF = body_of(LARGE)[:1_500_000]
"""One whole instance and half of another: more than is written to disk at a time."""
PROMPT = replace(LIMITS, body=replace(BODY, idle=timedelta(seconds=0.2)))


def connect(server: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS)


def head(length: int | None, *more: str) -> bytes:
    lines = ["POST /dicom-web/studies HTTP/1.1", "Host: localhost", f"Content-Type: {content_type()}", *more]
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def status_of(peer: socket.socket) -> int:
    """Status of the answer; 0 where the connection ends without one."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            byte = peer.recv(1)
        except ConnectionError:
            return 0
        if not byte:
            return 0
        line += byte
    return int(line.split()[1])


def is_cut(peer: socket.socket) -> bool:
    """Reads until the peer's end, or fails by time-out."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n"], ids=["silent", "half a head"]
)
def test_who_does_not_finish_a_request_head_is_cut(web: WebSide, serve: Serve, sent: bytes) -> None:
    server = serve(web.app(), Impatient)
    with connect(server) as peer:
        peer.sendall(sent)

        assert is_cut(peer)


def test_a_head_without_end_is_a_400(web: WebSide, serve: Serve) -> None:
    with connect(serve(web.app())) as peer:
        peer.sendall(b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 70_000)

        assert status_of(peer) == 400


def test_a_body_that_stalls_is_a_408_and_leaves_nothing_unfinished(web: WebSide, serve: Serve) -> None:
    with connect(serve(web.app(PROMPT))) as peer:
        peer.sendall(head(5_000_000) + HALF)

        assert status_of(peer) == 408
    assert (web.stored(STUDY_UID), web.files("spool")) == (1, [])


def test_a_body_that_drips_is_a_408(web: WebSide, serve: Serve) -> None:
    slow = replace(LIMITS, body=replace(BODY, grace=timedelta(seconds=0.2)))
    with connect(serve(web.app(slow))) as peer:
        peer.sendall(head(10_000))
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.01):
                try:
                    peer.sendall(b"-")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        status = status_of(peer)
        ended.set()
        thread.join()

    assert status == 408


@pytest.mark.parametrize(
    "start", [body_of([FILE])[:-20], body_of([FILE])], ids=["in a part", "after the last"]
)
def test_a_body_without_end_is_a_413_and_leaves_nothing(web: WebSide, serve: Serve, start: bytes) -> None:
    with connect(serve(web.app(), Impatient)) as peer:
        peer.sendall(head(None))
        content = start
        statuses: list[int] = []
        reader = threading.Thread(target=lambda: statuses.append(status_of(peer)))
        reader.start()
        try:
            while True:
                peer.sendall(b"%x\r\n%b\r\n" % (len(content), content))
                content = b"\0" * 100_000
        except OSError:
            pass  # cut: it had the time to hear why
        reader.join()

    assert statuses == [413]
    assert web.files("spool") == []


def test_the_rest_of_a_refused_body_is_not_read_for_ever(web: WebSide, serve: Serve) -> None:
    with connect(serve(web.app(token="t"), Impatient)) as peer:
        peer.sendall(head(10**7) + b"-" * 1000)
        status = status_of(peer)

        assert (status, is_cut(peer)) == (401, True)


def test_a_sender_that_goes_away_leaves_what_was_whole_and_nothing_else(web: WebSide, serve: Serve) -> None:
    server = serve(web.app())
    with connect(server) as peer:
        peer.sendall(head(5_000_000) + HALF)
        peer.shutdown(socket.SHUT_WR)

        assert is_cut(peer)
    server.stop()

    assert (web.stored(STUDY_UID), web.files("spool")) == (1, [])


def test_one_request_more_than_allowed_is_a_503_to_try_again(web: WebSide, serve: Serve) -> None:
    server = serve(web.app(replace(LIMITS, most_requests=1)))
    with connect(server) as first, connect(server) as second:
        first.sendall(head(10**6, "Expect: 100-continue"))
        taken = status_of(first)
        second.sendall(head(10**6, "Expect: 100-continue"))

        assert (taken, status_of(second)) == (100, 503)


def test_more_connections_than_allowed_are_answered_503(web: WebSide, serve: Serve) -> None:
    server = serve(web.app(), most_connections=3)
    with connect(server) as one, connect(server) as two, connect(server) as three:
        for peer in (one, two, three):
            peer.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")

        assert sorted(map(status_of, (one, two, three)))[-1] == 503


def test_who_does_not_read_its_answer_is_cut(serve: Serve) -> None:
    ended = threading.Event()

    async def long(request: Request) -> Response:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield b"\0" * 100_000
            ended.set()

        return StreamingResponse(content())

    server = serve(Starlette(routes=[Route("/", long)]), Impatient)
    with connect(server) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        # all of it is more than the sockets hold: the answer ends only once the connection is cut
        assert ended.wait(PATIENCE_SECONDS)


def test_a_request_on_its_way_is_finished_when_the_server_stops(web: WebSide, serve: Serve) -> None:
    server = serve(web.app())
    body = body_of([FILE])
    with connect(server) as peer:
        peer.sendall(head(len(body), "Expect: 100-continue"))
        begun = status_of(peer)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        peer.recv(65536)
        peer.sendall(body)

        assert (begun, status_of(peer)) == (100, 200)
        stopping.join()
    assert web.stored(STUDY_UID) == 1


def test_a_request_that_does_not_end_is_cut_when_the_server_stops(web: WebSide, serve: Serve) -> None:
    server = serve(web.app(), drain_seconds=1)
    with connect(server) as peer:
        peer.sendall(head(5_000_000, "Expect: 100-continue") + HALF)
        status_of(peer)

        server.stop()

        assert is_cut(peer)
    assert (web.stored(STUDY_UID), web.files("spool")) == (1, [])
