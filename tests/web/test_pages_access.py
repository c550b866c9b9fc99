"""Who may see the pages, and who may act on them."""

from __future__ import annotations

import logging
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from dibmg_node.storage.users import UserRole
from dibmg_node.web.access import Bearer
from dibmg_node.web.pages.attempts import MOST_FAILURES
from dibmg_node.web.pages.site import SiteAccess, make_site
from tests.web.conftest import WebSide
from tests.web.held_results import hold

STUDY = "1.2.6.1"
PASSWORD = "correct horse battery"
PAGES = ("/", "/queue", "/studies", f"/studies/{STUDY}", "/destinations", "/senders", "/model")
OPERATORS_PAGE = "/audit"
ACTS = (
    *(f"/studies/{STUDY}/{act}" for act in ("retry", "cancel", "priority")),
    "/destinations/retry",
    "/pause",
    "/resume",
    "/audit/verify",
)
POSTS = ("/find", *ACTS, "/logout", "/login")


@dataclass
class Browser:
    """Asks pages as a browser does, with the cookies that it was given."""

    client: TestClient

    def token(self, path: str = "/login") -> str:
        """The token in a page's form."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get(path).text)
        assert found is not None
        return found[1]

    def login(self, name: str, password: str = PASSWORD, following: str = "/") -> int:
        """Log in; returns the status."""
        data = {"csrf": self.token(), "name": name, "password": password, "next": following}
        return self.client.post("/login", data=data).status_code


def browser(app: Starlette) -> Browser:
    return Browser(TestClient(app, base_url="http://localhost", follow_redirects=False))


@pytest.fixture
def wide(web: WebSide) -> WebSide:
    """A node that others reach, with a study, a viewer and an operator."""
    hold(web, STUDY)
    web.users.put("vera", UserRole.VIEWER, PASSWORD)
    web.users.put("otto", UserRole.OPERATOR, PASSWORD)
    return web


def logged_in(web: WebSide, name: str) -> Browser:
    visitor = browser(web.app(login_always=True))
    assert visitor.login(name) == 303
    return visitor


def test_the_tables_of_this_file_name_every_page_that_there_is(web: WebSide) -> None:
    (mount,) = [r for r in web.app().routes if isinstance(r, Mount) and r.path == ""]

    found = {
        (method, route.path)
        for route in mount.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    pictures = {"/studies/{study}/images/{sop}", "/studies/{study}/overlays/{sop}"}
    open_pages = {"/login", "/static/{name}"}
    reads = {*PAGES, OPERATORS_PAGE, *pictures, *open_pages, "/metrics"}
    expected = {("GET", p.replace(STUDY, "{study}")) for p in reads}
    assert found == expected | {("POST", p.replace(STUDY, "{study}")) for p in POSTS}


@pytest.mark.parametrize(
    "path", [*PAGES, OPERATORS_PAGE, f"/studies/{STUDY}/images/1", f"/studies/{STUDY}/overlays/1"]
)
def test_without_a_login_a_page_sends_to_the_login(wide: WebSide, path: str) -> None:
    answer = browser(wide.app(login_always=True)).client.get(path)

    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/login?next={path}",
    )
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/find", *ACTS, "/logout"])
def test_without_a_login_nothing_can_be_asked_for(wide: WebSide, path: str) -> None:
    visitor = browser(wide.app(login_always=True))

    answer = visitor.client.post(path, data={"csrf": visitor.token(), "number": "A1", "what": "analysis"})

    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["vera", "otto"])
def test_every_role_sees_every_page(wide: WebSide, name: str) -> None:
    visitor = logged_in(wide, name)

    assert {path: visitor.client.get(path).status_code for path in PAGES} == dict.fromkeys(PAGES, 200)


@pytest.mark.parametrize(("name", "status", "linked"), [("vera", 403, False), ("otto", 200, True)])
def test_the_audit_trail_is_for_operators_alone(wide: WebSide, name: str, status: int, linked: bool) -> None:
    visitor = logged_in(wide, name)

    answer = visitor.client.get(OPERATORS_PAGE)

    assert (answer.status_code, 'href="/audit"' in visitor.client.get("/").text) == (status, linked)


def test_a_viewer_sees_no_button_and_has_nothing_tried_again(wide: WebSide) -> None:
    visitor = logged_in(wide, "vera")
    page = visitor.client.get(f"/studies/{STUDY}").text

    data = {"csrf": visitor.token("/"), "what": "analysis"}
    answer = visitor.client.post(f"/studies/{STUDY}/retry", data=data)

    assert (answer.status_code, "Retry" in page) == (403, False)
    assert wide.ledger.views.study(STUDY)["state"] == "DELIVERED"  # type: ignore[index]


def test_an_operator_has_a_study_read_again_and_the_log_says_who(
    wide: WebSide, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    visitor = logged_in(wide, "otto")

    data = {"csrf": visitor.token(f"/studies/{STUDY}"), "what": "analysis"}
    answer = visitor.client.post(f"/studies/{STUDY}/retry", data=data)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/studies/{STUDY}?done=analysis")
    assert wide.ledger.views.study(STUDY)["state"] == "READY"  # type: ignore[index]
    (line,) = [vars(r) for r in caplog.records if r.getMessage() == "retry asked"]
    assert (line["user"], line["study_uid"], line["what"]) == ("otto", STUDY, "analysis")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_no_form_is_taken_without_the_token_of_the_session(
    wide: WebSide, path: str, token: str | None
) -> None:
    visitor = logged_in(wide, "otto")

    data = {"what": "analysis", "number": "A1"} | ({} if token is None else {"csrf": token})
    answer = visitor.client.post(path, data=data)

    assert answer.status_code == 403
    assert visitor.client.get("/").status_code == 200


def test_the_token_of_another_session_is_none(wide: WebSide) -> None:
    stranger, visitor = browser(wide.app(login_always=True)), logged_in(wide, "otto")

    answer = visitor.client.post("/logout", data={"csrf": stranger.token()})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"}],
)
def test_a_form_of_another_site_is_refused_even_with_the_token(
    wide: WebSide, headers: dict[str, str]
) -> None:
    visitor = logged_in(wide, "otto")

    answer = visitor.client.post("/logout", data={"csrf": visitor.token("/")}, headers=headers)

    assert answer.status_code == 403


def test_a_form_that_is_too_long_is_not_read(wide: WebSide) -> None:
    visitor = browser(wide.app(login_always=True))

    answers = [
        visitor.client.post("/login", content=b"a" * 10_000),
        visitor.client.post("/login", content=iter([b"a"])),
    ]

    assert [answer.status_code for answer in answers] == [413, 413]


def test_a_wrong_password_and_an_unknown_name_are_told_alike(wide: WebSide) -> None:
    visitor = browser(wide.app(login_always=True))

    answers = [
        visitor.client.post("/login", data={"csrf": visitor.token(), "name": name, "password": "wrong"})
        for name in ("vera", "nobody")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    texts = [re.sub(r'value="[^"]*"|<time.*</time>', "", answer.text) for answer in answers]
    assert texts[0] == texts[1]
    assert "name or password is wrong" in texts[0]


def test_who_guesses_too_often_is_held_back_even_with_the_right_password(wide: WebSide) -> None:
    visitor = browser(wide.app(login_always=True))
    for _ in range(MOST_FAILURES):
        visitor.login("nobody", "wrong")

    answer = visitor.client.post(
        "/login", data={"csrf": visitor.token(), "name": "vera", "password": PASSWORD}
    )

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("asked", "sent_to"),
    [
        ("/studies", "/studies"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("", "/"),
    ],
)
def test_after_the_login_nobody_is_sent_elsewhere(wide: WebSide, asked: str, sent_to: str) -> None:
    visitor = browser(wide.app(login_always=True))
    data = {"csrf": visitor.token(), "name": "vera", "password": PASSWORD, "next": asked}

    answer = visitor.client.post("/login", data=data)

    assert (answer.status_code, answer.headers["location"]) == (303, sent_to)


def test_the_cookie_is_for_no_script_and_no_other_site(wide: WebSide) -> None:
    answer = browser(wide.app(login_always=True)).client.get("/login")

    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert cookie.startswith("dibmg=")


def test_over_tls_the_cookie_never_goes_back_in_the_clear(wide: WebSide) -> None:
    site = make_site(
        ledger=wide.ledger,
        patients=wide.patients,
        pictures=wide.pictures,
        look=wide.look,
        now=wide.clock,
        access=SiteAccess(wide.users, True, "a key", tls=True),
        bearer=Bearer(list),
        desk=wide.desk(),
    )

    cookie = TestClient(site, base_url="https://node").get("/login").headers["set-cookie"].lower()

    assert cookie.startswith("__host-dibmg=")
    assert "; secure" in cookie
    assert "path=/" in cookie


def test_a_cookie_that_was_tampered_with_is_no_session(wide: WebSide) -> None:
    visitor = logged_in(wide, "vera")
    cookie = visitor.client.cookies["dibmg"]

    visitor.client.cookies.clear()
    payload, dot, signature = cookie.partition(".")
    forged = b64encode(b64decode(payload).replace(b"vera", b"otto")).decode()
    answers = [
        visitor.client.get("/", headers={"Cookie": f"dibmg={value}{dot}{signature}"}).status_code
        for value in (payload, forged)
    ]

    assert answers == [200, 303]


def test_logging_out_ends_the_session(wide: WebSide) -> None:
    visitor = logged_in(wide, "vera")

    visitor.client.post("/logout", data={"csrf": visitor.token("/")})

    assert visitor.client.get("/").status_code == 303


def test_a_user_who_is_removed_or_gets_another_password_is_out_at_once(wide: WebSide) -> None:
    vera, otto = logged_in(wide, "vera"), logged_in(wide, "otto")

    wide.users.remove("vera")
    wide.users.put("otto", UserRole.OPERATOR, "another password")

    assert [one.client.get("/").status_code for one in (vera, otto)] == [303, 303]


def test_a_session_ends_an_hour_after_its_last_use_and_a_page_that_renews_itself_is_no_use(
    wide: WebSide,
) -> None:
    visitor = logged_in(wide, "vera")
    for _ in range(4):
        wide.clock.time += timedelta(minutes=25)
        assert visitor.client.get("/", headers={"X-Refresh": "1"}).status_code in (200, 401)

    answer = visitor.client.get("/", headers={"X-Refresh": "1"})

    assert answer.status_code == 401


def test_a_session_that_is_used_lasts_half_a_day_and_no_longer(wide: WebSide) -> None:
    visitor = logged_in(wide, "vera")
    statuses = []
    for _ in range(25):
        wide.clock.time += timedelta(minutes=30)
        statuses.append(visitor.client.get("/").status_code)

    assert statuses == [200] * 24 + [303]


def test_on_loopback_without_users_everybody_may_look_and_act(web: WebSide) -> None:
    hold(web, STUDY)
    visitor = browser(web.app())

    data = {"csrf": visitor.token("/"), "what": "analysis"}
    answer = visitor.client.post(f"/studies/{STUDY}/retry", data=data)

    assert answer.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "10.0.0.1:8080"},
        {"X-Forwarded-For": "10.0.0.9"},
        {"Forwarded": "for=10.0.0.9"},
    ],
)
def test_on_loopback_without_users_nobody_from_elsewhere_is_answered(
    web: WebSide, headers: dict[str, str]
) -> None:
    client = browser(web.app()).client

    answers = [client.get(path, headers=headers).status_code for path in ("/", "/studies", "/metrics")]

    assert answers == [403, 403, 403]


def test_a_first_user_ends_free_access_on_loopback(web: WebSide) -> None:
    visitor = browser(web.app())
    before = visitor.client.get("/").status_code

    web.users.put("vera", UserRole.VIEWER, PASSWORD)

    assert (before, visitor.client.get("/").status_code) == (200, 303)


def test_a_file_of_users_that_is_none_lets_nobody_in(web: WebSide) -> None:
    (web.archive.root / "users.json").write_text("{}")

    answers = [browser(web.app()).client.get(path).status_code for path in ("/", "/login", "/metrics")]

    assert answers == [503, 503, 503]


def test_the_token_of_dicom_web_opens_no_page(wide: WebSide) -> None:
    client = browser(wide.app(login_always=True, token="a-token-of-some-length")).client

    answer = client.get("/", headers={"Authorization": "Bearer a-token-of-some-length"})

    assert answer.status_code == 303


def test_a_login_opens_nothing_of_dicom_web(wide: WebSide) -> None:
    visitor = browser(wide.app(login_always=True, token="a-token-of-some-length"))
    visitor.login("otto")

    assert visitor.client.get("/dicom-web/studies").status_code == 401


@pytest.mark.parametrize(
    ("authorization", "status"), [("", 401), ("Bearer wrong", 401), ("Bearer a-token", 200)]
)
def test_metrics_are_for_the_token(wide: WebSide, authorization: str, status: int) -> None:
    client = browser(wide.app(login_always=True, token="a-token")).client

    assert client.get("/metrics", headers={"Authorization": authorization}).status_code == status


def test_metrics_are_for_users_too(wide: WebSide) -> None:
    assert logged_in(wide, "vera").client.get("/metrics").status_code == 200


def test_without_a_token_no_token_opens_the_metrics(wide: WebSide) -> None:
    client = browser(wide.app(login_always=True)).client

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


@pytest.mark.parametrize(
    "path", [*PAGES, "/login", "/nothing", "/studies/9.9", "/static/pages.css", "/metrics"]
)
def test_every_answer_forbids_what_a_page_does_not_need(wide: WebSide, path: str) -> None:
    headers = logged_in(wide, "vera").client.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_no_page_holds_what_the_policy_forbids_and_every_one_is_for_research(
    wide: WebSide, path: str
) -> None:
    page = logged_in(wide, "otto").client.get(path).text

    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! src=\"/static/)", page) == []
    assert re.findall(r'(?:src|href|action)="(?!/|#)', page) == []
    assert "RESEARCH USE ONLY" in page
