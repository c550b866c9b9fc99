from __future__ import annotations

import logging

import pytest
from starlette.datastructures import Headers

from dibmg_node.errors import ConfigError
from dibmg_node.web.access import Bearer
from tests.factories import CANARY
from tests.web.conftest import WebSide

TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_token_nothing_of_dicom_web_is_answered(web: WebSide, given: str) -> None:
    client = web.client(token=TOKEN)

    answers = [
        client.request(method, f"/dicom-web{path}", headers={"Authorization": given.encode()})
        for method, path in (
            ("GET", "/studies"),
            ("GET", "/studies/1.2.3"),
            ("GET", "/studies/1.2.3/metadata"),
            ("POST", "/studies"),
            ("GET", "/nothing"),
        )
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="dibmg"'}


@pytest.mark.parametrize("path", ["/studies", "/studies/1.2.3", "/nothing"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_no_answer_of_dicom_web_is_kept_or_guessed_at(web: WebSide, path: str, token: str | None) -> None:
    told = web.client(token=token).get(f"/dicom-web{path}").headers

    assert (told["Cache-Control"], told["X-Content-Type-Options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(("given", "status"), [("old", 204), ("new", 204), ("old new", 401), ("", 401)])
def test_each_of_several_tokens_is_answered(web: WebSide, given: str, status: int) -> None:
    answer = web.client(token="old new").get(
        "/dicom-web/studies", headers={"Authorization": f"Bearer {given}"}
    )

    assert answer.status_code == status


def test_a_token_is_renewed_while_the_node_runs_and_one_that_cannot_be_read_opens_nothing() -> None:
    tokens = ["old"]
    bearer = Bearer(lambda: tokens)

    def status_of(token: str) -> bool:
        return bearer.opens(Headers({"Authorization": f"Bearer {token}"}))

    before = (status_of("old"), status_of("new"))
    tokens[:] = ["new"]
    after = (status_of("old"), status_of("new"))
    tokens.clear()

    assert (before, after) == ((True, False), (False, True))
    assert (bearer.asked, status_of("new")) == (True, False)


def test_a_token_file_that_is_gone_lets_nobody_in_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([("secret",)])

    def tokens() -> tuple[str, ...]:
        for answer in answers:
            return answer
        raise ConfigError(["DIBMG_STOW_TOKEN_FILE: gone cannot be read"])

    bearer = Bearer(tokens)

    assert not bearer.opens(Headers({"Authorization": "Bearer secret"}))
    assert "no bearer token can be read, nobody is let in" in caplog.messages


def test_with_the_token_queries_are_answered(web: WebSide) -> None:
    answer = web.client(token=TOKEN).get("/dicom-web/studies", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 204),
        ("127.0.0.1:8080", 204),
        ("127.0.0.2", 204),
        ("[::1]:8080", 204),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
    ],
)
def test_without_a_token_only_names_of_this_machine_are_answered_to(
    web: WebSide, host: str, status: int
) -> None:
    client = web.client(loopback_names_only=True)

    assert client.get("/dicom-web/studies", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_whom_a_proxy_asks_for_needs_a_token(web: WebSide, header: str) -> None:
    forwarded = {"Host": "127.0.0.1:8080", header: "10.1.2.3"}
    without, with_token = web.client(loopback_names_only=True), web.client(token=TOKEN)

    assert without.get("/dicom-web/studies", headers=forwarded).status_code == 403
    assert without.post("/dicom-web/studies", headers=forwarded).status_code == 403
    told = {**forwarded, "Authorization": f"Bearer {TOKEN}"}
    assert with_token.get("/dicom-web/studies", headers=told).status_code == 204


def test_probes_are_answered_without_a_token(web: WebSide) -> None:
    client = web.client(token=TOKEN)

    assert [client.get(f"/health/{probe}").status_code for probe in ("live", "ready")] == [200, 200]


def test_a_full_disk_is_live_and_not_ready(web: WebSide) -> None:
    client = web.client(reserve_bytes=2**62)

    answer = client.get("/health/ready")

    assert (client.get("/health/live").status_code, answer.status_code) == (200, 503)
    assert answer.json()["reasons"] == ["less disk is free than the reserve"]


def test_every_request_is_one_log_line_without_its_url(
    web: WebSide, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    web.client().get("/dicom-web/studies", params={"PatientName": CANARY})

    (line,) = [vars(record) for record in caplog.records if record.name == "dibmg_node.web.access"]
    assert (line["method"], line["endpoint"], line["status"]) == ("GET", "studies", 204)
    assert CANARY.partition("^")[0] not in str(line)
