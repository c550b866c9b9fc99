"""Alarms by webhook, at a real web server."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from dibmg_node.domain.alarm import AlarmEvent, AlarmMessage
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Anonymous, Bearer
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.webhook import Webhook
from tests.factories import START, Clock
from tests.services.web_peers import Told, WebPeer, make_certificates, raw_peer, server_tls

MESSAGE = AlarmMessage(
    "7-began",
    AlarmEvent.BEGAN,
    "delivery",
    "pacs",
    "pacs: 3 results not delivered",
    START,
    START,
    "DIBMG@host",
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def webhook(url: str, token: str = "", ca: Path | None = None, seconds: float = 30) -> Webhook:
    credentials = Bearer(lambda: token) if token else Anonymous()
    return Webhook(lambda: url, credentials, TlsFiles(ca=ca), Clock(), seconds)


def test_an_alarm_is_one_json_object_with_the_token_over_https(certificates: Path) -> None:
    with WebPeer(lambda _: Told(204), server_tls(certificates)).running() as peer:
        webhook(peer.url, "secret", certificates / "ca.pem").tell(MESSAGE)

    (asked,) = peer.asked
    assert (asked.method, asked.headers["content-type"]) == ("POST", "application/json")
    assert (asked.headers["authorization"], asked.headers["idempotency-key"]) == ("Bearer secret", "7-began")
    assert json.loads(asked.body) == {
        "id": "7-began",
        "event": "began",
        "alarm": "delivery",
        "subject": "pacs",
        "sentence": "pacs: 3 results not delivered",
        "since": "2026-03-04T05:06:07+00:00",
        "at": "2026-03-04T05:06:07+00:00",
        "node": "DIBMG@host",
        "text": "DIBMG@host: alarm: delivery pacs: pacs: 3 results not delivered",
    }


def test_without_a_token_none_is_sent() -> None:
    with WebPeer(lambda _: Told(200)).running() as peer:
        webhook(peer.url).tell(MESSAGE)

    assert "authorization" not in peer.asked[0].headers


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_answer_that_may_pass_is_tried_later_and_its_wait_is_kept(status: int) -> None:
    with (
        WebPeer(lambda _: Told(status, headers={"Retry-After": "70"})).running() as peer,
        pytest.raises(PeerUnavailableError, match=str(status)) as caught,
    ):
        webhook(peer.url).tell(MESSAGE)

    assert caught.value.retry_after == timedelta(seconds=70)


@pytest.mark.parametrize("status", [301, 400, 401, 404])
def test_an_answer_that_will_not_change_needs_a_person(status: int) -> None:
    with (
        WebPeer(lambda _: Told(status)).running() as peer,
        pytest.raises(PeerRefusedError, match=str(status)),
    ):
        webhook(peer.url).tell(MESSAGE)


def test_a_server_that_is_not_trusted_gets_no_token(certificates: Path) -> None:
    with (
        WebPeer(lambda _: Told(200), server_tls(certificates)).running() as peer,
        pytest.raises(PeerUnavailableError, match="certificate"),
    ):
        webhook(peer.url, "secret", certificates / "other-ca.pem").tell(MESSAGE)

    assert peer.asked == []


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(1024):
            pass

    with raw_peer(silent) as url, pytest.raises(PeerUnavailableError, match="no whole answer within"):
        webhook(url, seconds=0.3).tell(MESSAGE)


def test_an_address_that_is_a_secret_is_in_no_complaint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(PeerUnavailableError) as caught:
        webhook(f"http://127.0.0.1:{port}/services/T0/SECRET").tell(MESSAGE)

    assert "SECRET" not in str(caught.value)
