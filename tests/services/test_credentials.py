"""Who the node is to a server: what goes out as Authorization, and that it goes nowhere else."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.environment import need_secret
from dibmg_node.errors import ConfigError, PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Basic, Bearer, ClientCredentials, Credentials
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.stow import StowSender
from dibmg_node.services.tls import TlsFiles
from tests.factories import Clock
from tests.services.web_peers import Asked, Told, WebPeer, make_certificates, server_tls, store_all

SECRET = "geheim: 4711/ä"
TOKEN = "token-0815"


def token_answer(token: object = TOKEN, kind: object = "Bearer", **more: object) -> Told:
    content = {"access_token": token, "token_type": kind, **more}
    return Told(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def authorized(word: str) -> Callable[[Asked], Told]:
    """A server that takes results from whom it knows."""
    return lambda asked: store_all(asked) if asked.headers.get("authorization") == word else Told(401)


def client(peer: WebPeer, scope: str = "", tls: TlsFiles = TlsFiles()) -> ClientCredentials:
    return ClientCredentials(f"{peer.url}/token", "dib:mg", lambda: SECRET, scope, tls)


def sender(peer: WebPeer, credentials: Credentials, clock: Clock | None = None) -> StowSender:
    return StowSender(peer.url, credentials, TlsFiles(), clock or Clock(), 60)


def states(one: StowSender, parcels: list[Parcel]) -> set[DeliveryState]:
    return {settled.state for settled in one.send(parcels)}


def test_a_bearer_token_opens_the_door(parcels: list[Parcel]) -> None:
    with WebPeer(authorized(f"Bearer {TOKEN}")).running() as peer:
        assert states(sender(peer, Bearer(lambda: TOKEN)), parcels) == {DeliveryState.STORED}


def test_a_wrong_token_is_refused_and_asked_once(parcels: list[Parcel]) -> None:
    with WebPeer(authorized(f"Bearer {TOKEN}")).running() as peer:
        found = sender(peer, Bearer(lambda: "wrong")).send(parcels)

    assert {(one.state.value, one.status) for one in found} == {("REFUSED", "401")}
    assert {one.comment for one in found} == {"answered 401 unauthorized: not authorized"}
    assert len(peer.asked) == 1


def test_a_token_is_read_anew_for_every_send(parcels: list[Parcel]) -> None:
    tokens = iter(["old", "new"])

    with WebPeer().running() as peer:
        one = sender(peer, Bearer(lambda: next(tokens)))
        one.send(parcels)
        one.send(parcels)

    assert [asked.headers["authorization"] for asked in peer.asked] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut", "nul\0"])
def test_a_token_that_no_header_can_hold_is_not_sent_and_not_repeated(
    parcels: list[Parcel], token: str
) -> None:
    with WebPeer().running() as peer, pytest.raises(PeerUnavailableError) as caught:
        sender(peer, Bearer(lambda: token)).send(parcels)

    assert peer.asked == []
    assert not token or token not in str(caught.value)


def test_user_and_password_go_as_utf_8(parcels: list[Parcel]) -> None:
    with WebPeer().running() as peer:
        sender(peer, Basic("dibmg", lambda: SECRET)).send(parcels)

    scheme, _, word = peer.asked[0].headers["authorization"].partition(" ")
    assert (scheme, b64decode(word).decode()) == ("Basic", f"dibmg:{SECRET}")


def test_a_secret_that_is_gone_keeps_the_results_owed(parcels: list[Parcel]) -> None:
    def gone() -> str:
        raise ConfigError(["DIBMG_TOKEN: not set in the environment"])

    with (
        WebPeer().running() as peer,
        pytest.raises(PeerUnavailableError, match="DIBMG_TOKEN: not set in the environment"),
    ):
        sender(peer, Bearer(gone)).send(parcels)


def test_a_token_is_fetched_as_the_client_that_we_are(parcels: list[Parcel]) -> None:
    with (
        WebPeer(lambda _: token_answer(expires_in=3600)).running() as tokens,
        WebPeer(authorized(f"Bearer {TOKEN}")).running() as peer,
    ):
        found = states(sender(peer, client(tokens, "dicom.write x")), parcels)

    (asked,) = tokens.asked
    assert found == {DeliveryState.STORED}
    assert asked.body == b"grant_type=client_credentials&scope=dicom.write+x"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    word = b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
    assert word == "dib%3Amg:geheim%3A+4711%2F%C3%A4"


@pytest.mark.parametrize(("life", "fetched"), [(3600, [1, 1, 2]), ("3600", [1, 1, 2]), (20, [1, 2, 3])])
def test_a_token_is_kept_until_shortly_before_it_expires(
    parcels: list[Parcel], life: object, fetched: list[int]
) -> None:
    clock = Clock()
    counts = []

    with WebPeer(lambda _: token_answer(expires_in=life)).running() as tokens, WebPeer().running() as peer:
        one = sender(peer, client(tokens), clock)
        for wait in (0, 3569, 1):
            clock.advance(wait)
            one.send(parcels)
            counts.append(len(tokens.asked))

    assert counts == fetched


@pytest.mark.parametrize("life", [None, 0, -1, "soon", float("nan"), 1e12, [3600]])
def test_a_token_of_unknown_life_is_used_once(parcels: list[Parcel], life: object) -> None:
    with WebPeer(lambda _: token_answer(expires_in=life)).running() as tokens, WebPeer().running() as peer:
        one = sender(peer, client(tokens))
        one.send(parcels)
        one.send(parcels)

    assert len(tokens.asked) == 2


def test_a_token_that_was_withdrawn_is_fetched_anew_once(parcels: list[Parcel]) -> None:
    names = iter(["withdrawn", TOKEN])

    with (
        WebPeer(lambda _: token_answer(next(names), expires_in=3600)).running() as tokens,
        WebPeer(authorized(f"Bearer {TOKEN}")).running() as peer,
    ):
        found = states(sender(peer, client(tokens)), parcels)

    assert found == {DeliveryState.STORED}
    assert [asked.sop_uids for asked in peer.asked] == [["2.25.10", "2.25.11"]] * 2


def test_a_server_that_takes_no_token_of_ours_refuses_after_two(parcels: list[Parcel]) -> None:
    with (
        WebPeer(lambda _: token_answer(expires_in=3600)).running() as tokens,
        WebPeer(lambda _: Told(401)).running() as peer,
    ):
        found = states(sender(peer, client(tokens)), parcels)

    assert found == {DeliveryState.REFUSED}
    assert (len(tokens.asked), len(peer.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("told", "error", "why"),
    [
        (Told(401, b'{"error": "invalid_client"}'), PeerRefusedError, "answered 401 invalid_client$"),
        (Told(400, b'{"error": "invalid_scope"}'), PeerRefusedError, "answered 400 invalid_scope$"),
        (Told(400, b'{"error": "Doe^Jane"}'), PeerRefusedError, "answered 400$"),
        (Told(400, b'{"error": ["x"]}'), PeerRefusedError, "answered 400$"),
        (Told(403, b"[1]"), PeerRefusedError, "answered 403$"),
        (Told(302, headers={"Location": "http://elsewhere"}), PeerRefusedError, "answered 302$"),
        (Told(500), PeerUnavailableError, "answered 500$"),
        (Told(200, b"<html>"), PeerUnavailableError, "no bearer token"),
        (Told(200, b"[" * 60_000), PeerUnavailableError, "no bearer token"),
        (Told(200, b" " * 70_000 + b"{}"), PeerUnavailableError, "no bearer token"),
        (token_answer(kind="mac"), PeerUnavailableError, "no bearer token"),
        (token_answer(token=7), PeerUnavailableError, "no bearer token"),
        (token_answer(token="a\r\nX: y"), PeerUnavailableError, "no header can hold"),
    ],
)
def test_without_a_token_nothing_is_sent_and_it_is_said_why(
    parcels: list[Parcel], told: Told, error: type[Exception], why: str
) -> None:
    with (
        WebPeer(lambda _: told).running() as tokens,
        WebPeer().running() as peer,
        pytest.raises(error, match=why),
    ):
        sender(peer, client(tokens)).send(parcels)

    assert peer.asked == []


def test_a_token_server_that_is_busy_says_how_long(parcels: list[Parcel]) -> None:
    with (
        WebPeer(lambda _: Told(429, headers={"Retry-After": "77"})).running() as tokens,
        WebPeer().running() as peer,
        pytest.raises(PeerUnavailableError) as caught,
    ):
        sender(peer, client(tokens)).send(parcels)

    assert caught.value.retry_after == timedelta(seconds=77)


def test_a_token_server_is_verified_as_well(parcels: list[Parcel], tmp_path: Path) -> None:
    folder = make_certificates(tmp_path)
    with (
        WebPeer(lambda _: token_answer(), server_tls(folder)).running() as tokens,
        WebPeer().running() as peer,
    ):
        with pytest.raises(PeerUnavailableError, match="certificate is not trusted"):
            sender(peer, client(tokens)).send(parcels)
        found = states(sender(peer, client(tokens, tls=TlsFiles(ca=folder / "ca.pem"))), parcels)

    assert found == {DeliveryState.STORED}
    assert len(tokens.asked) == 1


def test_no_representation_and_no_log_holds_a_secret(
    parcels: list[Parcel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    with WebPeer(lambda _: token_answer(expires_in=3600)).running() as tokens, WebPeer().running() as peer:
        senders = [
            sender(peer, one)
            for one in (Bearer(lambda: TOKEN), Basic("dibmg", lambda: SECRET), client(tokens))
        ]
        for one in senders:
            one.send(parcels)

    told = repr(senders) + caplog.text
    assert TOKEN not in told
    assert SECRET not in told


def test_a_secret_comes_from_the_environment_or_from_the_file_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    with pytest.raises(ConfigError, match="DIBMG_T: not set in the environment, nor DIBMG_T_FILE"):
        need_secret("DIBMG_T")

    monkeypatch.setenv("DIBMG_T_FILE", str(tmp_path / "token"))
    from_file = need_secret("DIBMG_T")
    monkeypatch.setenv("DIBMG_T", "from-the-environment")

    assert (from_file, need_secret("DIBMG_T")) == ("from-a-file", "from-the-environment")
