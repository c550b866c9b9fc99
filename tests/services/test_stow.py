from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Anonymous, Basic, Bearer, Credentials
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.outcomes import outcome_of_http
from dibmg_node.services.stow import MOST_RESULTS, StowSender
from dibmg_node.services.tls import TlsFiles
from dibmg_node.storage.settlement import Settlement
from tests.factories import CANARY, Clock
from tests.services.parcels import OVERLAY, PIXELS, REPORT, make_parcels_of
from tests.services.web_peers import (
    Asked,
    Script,
    Told,
    WebPeer,
    make_certificates,
    openssl,
    raw_peer,
    server_tls,
    store_all,
    store_answer,
)

STORED, OWED, REFUSED = DeliveryState.STORED, DeliveryState.OWED, DeliveryState.REFUSED
SECRET = "geheim-4711"


def sender(
    url: str, credentials: Credentials = Anonymous(), tls: TlsFiles = TlsFiles(), seconds: float = 60
) -> StowSender:
    return StowSender(url, credentials, tls, Clock(), seconds, slowest=math.inf)


def sent(script: Script, parcels: Sequence[Parcel]) -> list[Settlement]:
    with WebPeer(script).running() as peer:
        return list(sender(peer.url).send(parcels))


def told(settlements: Sequence[Settlement]) -> list[tuple[str, DeliveryState, str]]:
    return [(one.sop_uid, one.state, one.status) for one in settlements]


def test_all_results_of_a_study_go_in_one_request_with_the_report_last(parcels: list[Parcel]) -> None:
    with WebPeer().running() as peer:
        settlements = sender(peer.url).send(parcels)

    (asked,) = peer.asked
    assert (asked.method, asked.path) == ("POST", "/dicom-web/studies")
    overlay, document = asked.files
    assert (overlay.SOPInstanceUID, overlay.file_meta.TransferSyntaxUID) == (OVERLAY, facts.RLE_LOSSLESS)
    assert (document.SOPInstanceUID, document.PatientName) == (REPORT, CANARY)
    assert told(settlements) == [(OVERLAY, STORED, "200"), (REPORT, STORED, "200")]


def test_the_bytes_of_a_result_arrive_as_they_are_and_with_their_length(parcels: list[Parcel]) -> None:
    large = replace(parcels[0], content=parcels[0].content + b"\0" * 3_000_001)

    with WebPeer(lambda asked: store_answer([OVERLAY])).running() as peer:
        sender(peer.url).send([large])

    (asked,) = peer.asked
    assert large.content in asked.body
    assert asked.headers["content-length"] == str(len(asked.body))
    assert "transfer-encoding" not in asked.headers


def test_dicom_json_is_asked_for_and_nothing_compressed(parcels: list[Parcel]) -> None:
    with WebPeer().running() as peer:
        sender(peer.url).send(parcels)

    headers = peer.asked[0].headers
    assert headers["accept"].startswith("application/dicom+json")
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


def test_a_202_settles_each_result_by_itself(parcels: list[Parcel]) -> None:
    found = sent(lambda _: store_answer([OVERLAY], {REPORT: 0x0122}, status=202), parcels)

    assert told(found) == [(OVERLAY, STORED, "202"), (REPORT, REFUSED, "202 0x0122")]
    assert found[1].comment == "SOP class not supported"


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (202, 0xA700, OWED),
        (202, 0x0110, OWED),
        (202, 0x0213, OWED),
        (202, 0xA900, REFUSED),
        (202, 0xC000, REFUSED),
        (202, 0x0124, REFUSED),
        (202, 0xB000, REFUSED),
        (202, None, REFUSED),
        (202, 0x0111, STORED),
        (200, 0xA900, REFUSED),
        (409, 0x0111, STORED),
        (409, 0xB00E, STORED),
        (409, 0xA700, OWED),
        (409, 0x0110, REFUSED),
        (409, 0xA900, REFUSED),
        (409, None, REFUSED),
    ],
)
def test_a_failed_result_is_settled_by_its_reason(
    parcels: list[Parcel], status: int, reason: int | None, outcome: DeliveryState
) -> None:
    (found,) = sent(lambda _: store_answer(failed={REPORT: reason}, status=status), parcels[1:])

    code = str(status) if reason is None else f"{status} 0x{reason:04X}"
    assert (found.state, found.status) == (outcome, code)


def test_a_409_that_names_nobody_refuses_everything(parcels: list[Parcel]) -> None:
    found = sent(lambda _: Told(409), parcels)

    assert told(found) == [(OVERLAY, REFUSED, "409"), (REPORT, REFUSED, "409")]


def test_a_warning_is_stored_and_kept(parcels: list[Parcel]) -> None:
    (found,) = sent(lambda _: store_answer(warned={REPORT: 0xB000}, status=202), parcels[1:])

    assert (found.state, found.status, found.comment) == (STORED, "202 0xB000", "stored with a warning")


def test_a_failure_of_which_the_server_does_not_know_the_instance_is_no_success(
    parcels: list[Parcel],
) -> None:
    body = b'{"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]}}'

    (found,) = sent(lambda _: Told(200, body, {"Content-Type": "application/dicom+json"}), parcels[1:])

    assert (found.state, found.status) == (REFUSED, "200 0xC000")


def test_an_answer_in_xml_is_read(parcels: list[Parcel]) -> None:
    body = (
        '<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1">'
        f'<DicomAttribute tag="00081155"><Value number="1">{REPORT}</Value></DicomAttribute>'
        '<DicomAttribute tag="00081197"><Value number="1">290</Value></DicomAttribute>'
        "</Item></DicomAttribute></NativeDicomModel>"
    )

    (found,) = sent(
        lambda _: Told(202, body.encode(), {"Content-Type": "application/dicom+xml"}), parcels[1:]
    )

    assert (found.state, found.status) == (REFUSED, "202 0x0122")


def test_every_http_code_settles_every_result_once(parcels: list[Parcel]) -> None:
    codes = list(range(200, 600))
    answers = iter(codes)
    expected = [outcome_of_http(code) for code in codes]
    # a server must not send a body with these, and the client does not wait for one
    empty = {204, 205, 304}

    with WebPeer(lambda _: Told(next(answers))).running() as peer:
        found = [sender(peer.url).send(parcels[1:]) for _ in codes]

    assert empty < set(codes)
    assert [one.state for (one,) in found] == expected
    assert [one.status for (one,) in found] == [str(code) for code in codes]


def test_a_server_that_only_ever_says_that_it_goes_on_is_tried_later(parcels: list[Parcel]) -> None:
    def go_on(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)

    with raw_peer(go_on) as url, pytest.raises(PeerUnavailableError):
        sender(url).send(parcels)


def test_a_server_that_switches_protocols_is_tried_later(parcels: list[Parcel]) -> None:
    def switch(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")

    with raw_peer(switch) as url, pytest.raises(PeerUnavailableError):
        sender(url).send(parcels)


@pytest.mark.parametrize(
    ("status", "in_doubt"), [(408, False), (429, False), (500, True), (502, True), (503, False), (504, True)]
)
def test_a_server_that_broke_off_may_have_stored_and_one_that_was_too_busy_has_not(
    parcels: list[Parcel], status: int, in_doubt: bool
) -> None:
    (found,) = sent(lambda _: Told(status), parcels[1:])

    assert (found.state, found.in_doubt) == (OWED, in_doubt)


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_wait_that_is_asked_for_in_seconds_is_told(parcels: list[Parcel], status: int) -> None:
    (found,) = sent(lambda _: Told(status, headers={"Retry-After": "120"}), parcels[1:])

    assert (found.state, found.status, found.retry_after) == (OWED, str(status), timedelta(seconds=120))


def test_a_wait_that_is_asked_for_by_date_counts_from_the_servers_own_clock(parcels: list[Parcel]) -> None:
    headers = {"Date": "Fri, 01 Jan 1999 00:00:00 GMT", "Retry-After": "Fri, 01 Jan 1999 00:03:00 GMT"}

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"HTTP/1.1 503 Busy\r\n{lines}Content-Length: 0\r\n\r\n".encode())
        _drain(connection)

    with raw_peer(answer) as url:
        (found,) = sender(url).send(parcels[1:])

    assert found.retry_after == timedelta(minutes=3)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", timedelta(0)),
        ("9" * 5000, timedelta(days=1)),
        ("999999", timedelta(days=1)),
        ("Wed, 01 Jan 2200 00:00:00 GMT", timedelta(days=1)),
        ("Fri, 01 Jan 1999 00:00:00 GMT", timedelta(0)),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Fri, 99 Jan 1999 00:00:00 GMT", None),
        ("Fri, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Fri, 01 Jan 1999 00:00:00 -0000", None),
    ],
)
def test_a_wait_is_at_most_a_day_and_nonsense_is_none(
    parcels: list[Parcel], text: str, wait: timedelta | None
) -> None:
    (found,) = sent(lambda _: Told(503, headers={"Retry-After": text}), parcels[1:])

    assert (found.state, found.retry_after) == (OWED, wait)


def test_a_wait_means_nothing_where_nothing_is_tried_again(parcels: list[Parcel]) -> None:
    (found,) = sent(lambda _: Told(413, headers={"Retry-After": "120"}), parcels[1:])

    assert (found.state, found.retry_after) == (REFUSED, None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_target_is_named(parcels: list[Parcel], status: int) -> None:
    with WebPeer().running() as other:
        target = f"{other.url}/studies?token=x"
        with WebPeer(lambda _: Told(status, headers={"Location": target})).running() as peer:
            (found,) = sender(peer.url, Bearer(lambda: SECRET)).send(parcels[1:])

    assert other.asked == []
    assert found.state is REFUSED
    assert found.comment.endswith(f"to http://localhost:{other.port}, which is not followed")


def test_a_login_page_is_no_store(parcels: list[Parcel]) -> None:
    page = Told(200, b"<html>log in</html>", {"Content-Type": "text/html"})

    (found,) = sent(lambda _: page, parcels[1:])

    assert found.state is REFUSED
    assert "not by a STOW-RS service" in found.comment


def test_a_result_that_is_not_named_among_those_stored_comes_again(parcels: list[Parcel]) -> None:
    body = json.dumps({"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [OVERLAY]}}]}})

    found = sent(lambda _: Told(200, body.encode(), {"Content-Type": "application/dicom+json"}), parcels)

    assert told(found) == [(OVERLAY, STORED, "200"), (REPORT, OWED, "200")]
    assert "names other results" in found[1].comment


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"00081199": ', {}),
        (b"{}" + b" " * (2 << 20), {}),
        (b"\x1f\x8b", {"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(
    parcels: list[Parcel], status: int, body: bytes, headers: dict[str, str]
) -> None:
    broken = Told(status, body, {"Content-Type": "application/dicom+json", **headers})

    (found,) = sent(lambda _: broken, parcels[1:])

    assert (found.state, found.status) == (OWED, str(status))
    assert "cannot be read" in found.comment


def test_a_409_that_cannot_be_read_is_refused(parcels: list[Parcel]) -> None:
    (found,) = sent(lambda _: Told(409, b"{", {"Content-Type": "application/dicom+json"}), parcels[1:])

    assert (found.state, found.status) == (REFUSED, "409")


def test_an_answer_without_an_end_is_not_read_to_its_end(parcels: list[Parcel]) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    ended = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head)
        with suppress(OSError):
            while True:
                connection.sendall(chunk)
        ended.set()

    with raw_peer(flood) as url:
        (found,) = sender(url).send(parcels[1:])
        assert ended.wait(30)

    assert found.state is OWED


def _drain(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def _drip(connection: socket.socket, head: bytes) -> None:
    connection.recv(1 << 16)
    connection.sendall(head)
    pause = threading.Event()
    while True:
        connection.sendall(b" ")
        pause.wait(0.02)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Drip: ",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 1000000\r\n\r\n",
        b"",
    ],
)
def test_a_peer_that_drips_is_cut_off_in_time(parcels: list[Parcel], head: bytes) -> None:
    with (
        raw_peer(lambda connection: _drip(connection, head)) as url,
        pytest.raises(PeerUnavailableError, match=r"no whole answer within 0\.3 s|not HTTP"),
    ):
        sender(url, seconds=0.3).send(parcels)


def test_a_peer_that_says_nothing_is_cut_off_in_time(parcels: list[Parcel]) -> None:
    with (
        raw_peer(_drain) as url,
        pytest.raises(PeerUnavailableError, match=r"no whole answer within 0\.3 s"),
    ):
        sender(url, seconds=0.3).send(parcels)


def test_a_peer_that_never_ends_its_handshake_is_cut_off_in_time(parcels: list[Parcel]) -> None:
    with (
        raw_peer(_drain) as url,
        pytest.raises(PeerUnavailableError, match=r"no whole answer within 0\.3 s"),
    ):
        sender(url.replace("http:", "https:"), seconds=0.3).send(parcels)


def test_the_time_that_a_request_may_take_grows_with_its_bytes(parcels: list[Parcel]) -> None:
    large = replace(parcels[0], content=b"\0" * 1000)
    with (
        raw_peer(_drain) as url,
        pytest.raises(PeerUnavailableError, match=r"no whole answer within 0\.[34]\d* s"),
    ):
        replace(sender(url, seconds=0.1), slowest=5000).send([large])


def small(peer: WebPeer, parcels: Sequence[Parcel]) -> StowSender:
    return replace(sender(peer.url), largest_request=len(parcels[0].content) + 1)


def test_results_that_are_too_large_for_one_request_go_in_several_with_the_report_last(
    parcels: list[Parcel],
) -> None:
    with WebPeer().running() as peer:
        found = small(peer, parcels).send(make_parcels_of(3))

    assert [one.state for one in found] == [STORED] * 4
    assert [asked.sop_uids for asked in peer.asked] == [
        [f"{OVERLAY}.0"],
        [f"{OVERLAY}.1"],
        [f"{OVERLAY}.2"],
        [REPORT],
    ]


def test_more_results_than_a_request_may_hold_go_in_several(parcels: list[Parcel]) -> None:
    with WebPeer().running() as peer:
        found = sender(peer.url).send(make_parcels_of(MOST_RESULTS + 1))

    assert {one.state for one in found} == {STORED}
    assert [len(asked.sop_uids) for asked in peer.asked] == [MOST_RESULTS, 2]


def test_what_one_request_was_refused_does_not_keep_the_next_away(parcels: list[Parcel]) -> None:
    def refuse_first(asked: Asked) -> Told:
        return Told(403) if f"{OVERLAY}.0" in asked.sop_uids else store_answer(asked.sop_uids)

    with WebPeer(refuse_first).running() as peer:
        found = small(peer, parcels).send(make_parcels_of(2))

    assert [(one.state, one.status) for one in found] == [(REFUSED, "403"), (STORED, "200"), (STORED, "200")]


def test_a_report_waits_for_the_images_that_the_server_does_not_take_now(parcels: list[Parcel]) -> None:
    with WebPeer(lambda _: Told(503, b"", {"Retry-After": "7"})).running() as peer:
        found = small(peer, parcels).send(make_parcels_of(2))

    assert [(one.state, one.retry_after) for one in found] == [(OWED, timedelta(seconds=7))] * 3
    assert [asked.sop_uids for asked in peer.asked] == [[f"{OVERLAY}.0"]]


def test_what_the_first_request_stored_stays_so_when_the_peer_goes_away_before_the_second(
    parcels: list[Parcel],
) -> None:
    def leave(asked: Asked) -> Told:
        if f"{OVERLAY}.0" in asked.sop_uids:
            return store_answer(asked.sop_uids)
        return Told(200, b"", {"Content-Length": "no number"})

    with WebPeer(leave).running() as peer:
        found = small(peer, parcels).send(make_parcels_of(2))

    assert [one.state for one in found] == [STORED, OWED, OWED]


def _reset(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_connection_that_is_reset_in_mid_body_is_tried_later(parcels: list[Parcel]) -> None:
    large = replace(parcels[0], content=parcels[0].content + b"\0" * 30_000_000)

    with raw_peer(_reset) as url, pytest.raises(PeerUnavailableError, match="the connection broke") as broke:
        sender(url).send([large])

    assert broke.value.in_doubt


def test_an_answer_before_the_whole_body_was_sent_is_read(parcels: list[Parcel]) -> None:
    large = replace(parcels[0], content=parcels[0].content + b"\0" * 30_000_000)

    def refuse(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        _drain(connection)

    with raw_peer(refuse) as url:
        (found,) = sender(url).send([large])

    assert (found.state, found.status) == (REFUSED, "413")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_something_that_speaks_no_whole_http_is_tried_later(parcels: list[Parcel], answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(answer)

    with raw_peer(serve) as url, pytest.raises(PeerUnavailableError):
        sender(url).send(parcels)


def test_nobody_listening_is_tried_later(parcels: list[Parcel]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(PeerUnavailableError, match=f"http://127.0.0.1:{port}: no connection") as refused:
        sender(f"http://127.0.0.1:{port}").send(parcels)

    assert not refused.value.in_doubt


def test_a_name_that_does_not_resolve_is_tried_later(parcels: list[Parcel]) -> None:
    with pytest.raises(PeerUnavailableError, match="no connection"):
        sender("http://no-such-host.invalid").send(parcels)


def only_plain(asked: Asked) -> Told:
    """A server that takes nothing compressed."""
    compressed = {
        str(one.SOPInstanceUID): 0xC122
        for one in asked.files
        if one.file_meta.TransferSyntaxUID != facts.EXPLICIT_LE
    }
    stored = [uid for uid in asked.sop_uids if uid not in compressed]
    return store_answer(stored, compressed, status=202 if compressed else 200)


def test_what_is_refused_for_its_compression_goes_once_more_without(parcels: list[Parcel]) -> None:
    with WebPeer(only_plain).running() as peer:
        found = sender(peer.url).send(parcels)

    assert told(found) == [(OVERLAY, STORED, "200"), (REPORT, STORED, "202")]
    (plain,) = peer.asked[1].files
    assert plain.SOPInstanceUID == OVERLAY
    assert plain.PixelData == PIXELS.tobytes()


@dataclass
class Once:
    """A token server that lets us in a single time."""

    asked: int = 0

    def authorization(self, deadline: Deadline, now: datetime) -> str:
        self.asked += 1
        if self.asked > 1:
            raise PeerRefusedError("the token server refuses us")
        return "Bearer one"

    def renew(self) -> bool:
        return False


def test_what_was_stored_stays_so_when_the_token_server_refuses_the_second_request(
    parcels: list[Parcel],
) -> None:
    with WebPeer(only_plain).running() as peer:
        found = sender(peer.url, Once()).send(parcels)

    assert told(found) == [(OVERLAY, REFUSED, ""), (REPORT, STORED, "202")]


def test_a_server_that_takes_no_such_media_type_is_asked_once_more_without_compression(
    parcels: list[Parcel],
) -> None:
    with WebPeer(lambda _: Told(415)).running() as peer:
        found = sender(peer.url).send(parcels)

    assert told(found) == [(OVERLAY, REFUSED, "415"), (REPORT, REFUSED, "415")]
    assert [asked.sop_uids for asked in peer.asked] == [[OVERLAY, REPORT], [OVERLAY], [REPORT], [OVERLAY]]
    assert peer.asked[-1].files[0].file_meta.TransferSyntaxUID == facts.EXPLICIT_LE


@pytest.mark.parametrize("status", [400, 413])
def test_a_result_that_spoils_the_request_does_not_keep_the_others_away(
    parcels: list[Parcel], status: int
) -> None:
    def refuse_overlays(asked: Asked) -> Told:
        return Told(status) if OVERLAY in asked.sop_uids else store_answer(asked.sop_uids)

    with WebPeer(refuse_overlays).running() as peer:
        found = sender(peer.url).send(parcels)

    assert told(found) == [(OVERLAY, REFUSED, str(status)), (REPORT, STORED, "200")]
    assert [asked.sop_uids for asked in peer.asked] == [[OVERLAY, REPORT], [OVERLAY], [REPORT]]


def test_what_was_stored_before_the_peer_went_away_stays_stored(parcels: list[Parcel]) -> None:
    def refuse_then_leave(asked: Asked) -> Told:
        if len(asked.files) == 1:
            return Told(200, b"", {"Content-Length": "no number"})
        return only_plain(asked)

    found = sent(refuse_then_leave, parcels)

    assert told(found) == [(OVERLAY, OWED, ""), (REPORT, STORED, "202")]


def test_what_a_server_says_about_a_patient_is_repeated_nowhere(
    parcels: list[Parcel], caplog: pytest.LogCaptureFixture
) -> None:
    page = f"<html>{CANARY}</html>".encode()
    answers = [
        Told(400, page, {"Content-Type": "text/html", "Location": f"/{CANARY}", "Retry-After": CANARY}),
        Told(200, page, {"Content-Type": f"text/{CANARY}"}),
        Told(302, page, {"Location": f"http://localhost/{CANARY}"}),
    ]
    caplog.set_level("DEBUG", "dibmg_node")

    found = [one for answer in answers for one in sent(lambda _, a=answer: a, parcels)]

    assert len(found) == 6
    assert CANARY not in repr(found) + caplog.text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_peer(certificates: Path) -> Iterator[Callable[..., WebPeer]]:
    """Starts servers that speak TLS."""
    with ExitStack() as stack:
        yield lambda name="server", *, asks=False: stack.enter_context(
            WebPeer(tls=server_tls(certificates, name, asks=asks)).running()
        )


def test_results_go_to_a_server_whose_authority_is_trusted(
    parcels: list[Parcel], tls_peer: Callable[..., WebPeer], certificates: Path
) -> None:
    peer = tls_peer()

    found = sender(peer.url, tls=TlsFiles(ca=certificates / "ca.pem")).send(parcels)

    assert [one.state for one in found] == [STORED, STORED]


@pytest.mark.parametrize(
    ("name", "ca", "why"),
    [
        ("server", None, "its certificate is not trusted: self-signed certificate in certificate chain"),
        ("server", "other-ca.pem", "its certificate is not trusted: "),
        ("elsewhere", "ca.pem", "certificate is not trusted: Hostname mismatch"),
    ],
)
def test_a_server_that_is_not_trusted_gets_nothing_and_it_is_said_why(
    parcels: list[Parcel],
    tls_peer: Callable[..., WebPeer],
    certificates: Path,
    name: str,
    ca: str | None,
    why: str,
) -> None:
    peer = tls_peer(name)
    tls = TlsFiles(ca=certificates / ca if ca else None)

    with pytest.raises(PeerUnavailableError, match=why):
        sender(peer.url, Basic("dibmg", lambda: SECRET), tls).send(parcels)

    assert peer.asked == []


def test_no_environment_switches_verification_off(
    parcels: list[Parcel], tls_peer: Callable[..., WebPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tls_peer()
    for variable in ("PYTHONHTTPSVERIFY", "CURL_INSECURE"):
        monkeypatch.setenv(variable, "0")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")

    with pytest.raises(PeerUnavailableError, match="certificate is not trusted"):
        sender(peer.url).send(parcels)


def test_a_server_that_knows_its_clients_by_certificate_takes_ours(
    parcels: list[Parcel], tls_peer: Callable[..., WebPeer], certificates: Path
) -> None:
    peer = tls_peer(asks=True)
    ours = TlsFiles(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key")

    assert [one.state for one in sender(peer.url, tls=ours).send(parcels)] == [STORED, STORED]


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_server_that_does_not_take_our_certificate_gets_nothing(
    parcels: list[Parcel], tls_peer: Callable[..., WebPeer], certificates: Path, name: str | None
) -> None:
    peer = tls_peer(asks=True)
    ours = TlsFiles(
        certificates / "ca.pem",
        certificates / f"{name}.pem" if name else None,
        certificates / f"{name}.key" if name else None,
    )

    with pytest.raises(PeerUnavailableError, match=r"TLS|the connection broke"):
        sender(peer.url, tls=ours).send(parcels)

    assert peer.asked == []


def test_a_certificate_that_is_gone_keeps_the_results_owed(parcels: list[Parcel], tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailableError, match="a file of tls cannot be used: No such file"):
        sender("https://localhost:1", tls=TlsFiles(ca=tmp_path / "ca.pem")).send(parcels)


def test_an_encrypted_key_cannot_be_used(parcels: list[Parcel], certificates: Path, tmp_path: Path) -> None:
    openssl(
        certificates,
        "pkey",
        "-in",
        "client.key",
        "-aes128",
        "-passout",
        "pass:abcd",
        "-out",
        str(tmp_path / "k"),
    )
    ours = TlsFiles(None, certificates / "client.pem", tmp_path / "k")

    with pytest.raises(PeerUnavailableError, match="a file of tls cannot be used"):
        sender("https://localhost:1", tls=ours).send(parcels)


def test_plain_http_to_the_tls_port_is_tried_later(
    parcels: list[Parcel], tls_peer: Callable[..., WebPeer]
) -> None:
    peer = tls_peer()

    with pytest.raises(PeerUnavailableError):
        sender(peer.url.replace("https", "http")).send(parcels)


def test_no_thread_is_left_behind_however_a_send_ends(parcels: list[Parcel]) -> None:
    before = threading.active_count()

    sent(store_all, parcels)
    with raw_peer(_drain) as url, pytest.raises(PeerUnavailableError):
        sender(url, seconds=0.1).send(parcels)

    assert threading.active_count() <= before


def test_echo_asks_for_a_study_that_nobody_has() -> None:
    with WebPeer().running() as peer:
        sender(peer.url, Bearer(lambda: SECRET)).echo()

    (asked,) = peer.asked
    assert (asked.method, asked.path) == ("GET", "/dicom-web/studies?StudyInstanceUID=2.25.0&limit=1")
    assert asked.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("status", [200, 204, 405])
def test_echo_is_content_with_a_server_that_knows_us(status: int) -> None:
    with WebPeer(lambda _: Told(status)).running() as peer:
        sender(peer.url).echo()


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        (401, PeerRefusedError, "answered 401 unauthorized: not authorized"),
        (403, PeerRefusedError, "answered 403 forbidden: not authorized"),
        (404, PeerRefusedError, "answered 404 not found"),
        (302, PeerRefusedError, "answered 302 found to http://elsewhere, which is not followed"),
        (503, PeerUnavailableError, "answered 503 service unavailable"),
        (429, PeerUnavailableError, "answered 429 too many requests"),
    ],
)
def test_echo_says_what_is_wrong(status: int, error: type[Exception], why: str) -> None:
    with (
        WebPeer(lambda _: Told(status, headers={"Location": "http://elsewhere/x"})).running() as peer,
        pytest.raises(error, match=why),
    ):
        sender(peer.url).echo()
