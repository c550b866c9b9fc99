"""A login at a provider of OpenID Connect, and every way in which it must fail."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.oidc import CALLBACK, OidcClient, OidcLogin
from dibmg_node.services.tls import ServerTls, TlsFiles
from dibmg_node.storage.users import UserRole
from dibmg_node.web.access import Bearer
from dibmg_node.web.pages.attempts import MOST_FAILURES
from dibmg_node.web.pages.site import SiteAccess, make_site
from dibmg_node.web.server import WebServer
from tests.certificates import Authority
from tests.services.audit_trail import new_audit
from tests.web.conftest import WebSide
from tests.web.oidc_provider import CLIENT, SECRET, Provider

NODE = "http://localhost"


@dataclass
class Login:
    """A node, a provider and a browser."""

    web: WebSide
    provider: Provider
    client: OidcClient
    audit: Auditor = SILENT

    def __post_init__(self) -> None:
        self.oidc = OidcLogin(self.client, self.web.clock)
        self.browser = self.new_browser()

    def site(self) -> Starlette:
        access = SiteAccess(self.web.users, True, "a key of some length", tls=False, oidc=self.oidc)
        return make_site(
            ledger=self.web.ledger,
            patients=self.web.patients,
            pictures=self.web.pictures,
            look=self.web.look,
            now=self.web.clock,
            access=access,
            bearer=Bearer(list),
            desk=self.web.desk(),
            audit=self.audit,
        )

    def new_browser(self) -> TestClient:
        return TestClient(self.site(), base_url=NODE, follow_redirects=False)

    def begin(self, following: str = "/") -> str:
        """Go to the provider, log in there; the URL of the way back."""
        answer = self.browser.get("/login/oidc", params={"next": following})
        assert answer.status_code == 303, answer.text
        return self.provider.log_in(answer.headers["location"])

    def refusal(self, back: str | None = None) -> str:
        """Why the way back leads nowhere; nobody is logged in then."""
        answer = self.browser.get(back or self.begin())
        assert answer.status_code == 401
        assert self.browser.get("/").status_code == 303
        found = re.search(r'role="alert">([^<]+)<', answer.text)
        assert found is not None
        assert "eyJ" not in answer.text
        return found[1].replace("&#39;", "'")


@pytest.fixture
def login(web: WebSide, serve: Callable[..., WebServer]) -> Login:
    provider = Provider(lambda: web.clock().timestamp())
    provider.issuer = f"http://127.0.0.1:{serve(provider.app).port}"
    client = OidcClient(
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=lambda: SECRET,
        redirect_uri=NODE + CALLBACK,
        scope="openid profile",
        roles_claim="roles",
        roles={UserRole.OPERATOR: ["pacs-admins"], UserRole.VIEWER: ["radiology"]},
        tls=TlsFiles(),
    )
    return Login(web, provider, client)


@pytest.mark.parametrize(
    ("roles", "status"), [(["radiology"], 403), (["radiology", "pacs-admins"], 200), ("pacs-admins", 200)]
)
def test_who_has_a_role_at_the_provider_has_it_here(login: Login, roles: Any, status: int) -> None:
    login.provider.person |= {"roles": roles, "preferred_username": "anna"}

    answer = login.browser.get(login.begin("/studies"))

    assert (answer.status_code, 'content="0; url=/studies"' in answer.text) == (200, True)
    page = login.browser.get("/studies")
    assert (page.status_code, "anna" in page.text) == (200, True)
    assert login.browser.get("/audit").status_code == status


def test_the_audit_trail_names_who_logged_in(login: Login, tmp_path: Path) -> None:
    trail = new_audit(tmp_path, login.web.clock)
    login = replace(login, audit=trail.auditor)
    login.provider.person |= {"roles": ["radiology"], "preferred_username": "anna"}

    login.browser.get(login.begin("/studies"))

    told = trail.of("User Authentication")
    assert (told["outcome"], told["participants"][0]["user"]) == (0, "anna")
    assert told["participants"][0]["address"] == "testclient"


def test_a_role_is_found_in_a_nested_claim(login: Login) -> None:
    nested = Login(login.web, login.provider, replace(login.client, roles_claim="realm_access.roles"))
    login.provider.person |= {"roles": None, "realm_access": {"roles": ["x", "pacs-admins"]}}

    nested.browser.get(nested.begin())

    assert nested.browser.get("/audit").status_code == 200


def test_a_role_is_found_in_a_claim_that_is_named_like_an_address(login: Login) -> None:
    name = "https://clinic.example/roles"
    named = Login(login.web, login.provider, replace(login.client, roles_claim=name))
    login.provider.person |= {"roles": None, name: ["pacs-admins"]}

    named.browser.get(named.begin())

    assert named.browser.get("/audit").status_code == 200


def test_the_page_of_the_login_leads_to_the_provider(login: Login) -> None:
    page = login.browser.get("/login?next=/studies").text

    assert 'href="/login/oidc?next=/studies"' in page
    assert 'type="password"' not in page  # there are no users


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"nonce": "other"}, "has not the claim 'nonce' expected"),
        ({"nonce": None}, "has not the claim 'nonce' expected"),
        ({"aud": "other"}, "has not the claim 'aud' expected"),
        ({"aud": [CLIENT, "other"]}, "has not the claim 'azp' expected"),
        ({"azp": "other"}, "has not the claim 'azp' expected"),
        ({"iss": "https://other.example"}, "has not the claim 'iss' expected"),
        ({"exp": 1}, "has expired"),
        ({"exp": None}, "has not the claim 'exp' expected"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_300}, "has not the claim 'iat' expected"),
        ({"sub": None}, "has not the claim 'sub' expected"),
        ({"roles": []}, "your claim 'roles' holds no role of this node"),
        ({"roles": None}, "your claim 'roles' holds no role of this node"),
        ({"roles": {"pacs-admins": True}}, "your claim 'roles' holds no role of this node"),
        ({"roles": "pacs-admins,radiology"}, "your claim 'roles' holds no role of this node"),
    ],
)
def test_a_token_that_is_not_for_this_login_lets_nobody_in(
    login: Login, wrong: dict[str, Any], reason: str
) -> None:
    login.provider.wrong = wrong

    assert reason in login.refusal()


def test_a_token_of_an_hour_ago_has_expired(login: Login) -> None:
    login.provider.now = (login.web.clock() - timedelta(hours=1)).timestamp

    assert "has expired: do the clocks agree?" in login.refusal()


def test_a_code_counts_once(login: Login) -> None:
    back = login.begin()
    kept = login.browser.cookies.get("dibmg-login")
    assert login.browser.get(back).status_code == 200

    login.browser = login.new_browser()
    login.browser.cookies.set("dibmg-login", kept or "", domain="localhost.local", path="/login/oidc")

    assert "does not take the code (HTTP 400)" in login.refusal(back)


def test_a_way_back_that_this_browser_did_not_begin_leads_nowhere(login: Login) -> None:
    back = login.begin()
    login.browser = login.new_browser()

    assert "was not begun in this browser" in login.refusal(back)
    assert login.provider.forms == []


def test_another_state_leads_nowhere_and_no_code_is_sent(login: Login) -> None:
    back = login.begin()

    assert "was not begun in this browser" in login.refusal(re.sub("state=.*", "state=other", back))
    assert login.provider.forms == []


@pytest.mark.parametrize("began", [False, True])
def test_what_a_page_of_somebody_else_sends_here_keeps_nobody_from_logging_in(
    login: Login, began: bool
) -> None:
    if began:
        login.begin()

    told = {login.browser.get(f"{CALLBACK}?state=x&code=y").status_code for _ in range(2 * MOST_FAILURES)}

    login.browser = login.new_browser()
    assert (told, login.browser.get(login.begin()).status_code) == ({401}, 200)


def test_logins_that_the_provider_refuses_have_to_wait_in_the_end(login: Login) -> None:
    for _ in range(MOST_FAILURES):
        state = parse_qs(urlsplit(login.begin()).query)["state"][0]
        login.refusal(f"{CALLBACK}?state={state}&error=access_denied")

    assert login.browser.get(login.begin()).status_code == 429


def test_a_login_that_took_too_long_is_begun_again(login: Login) -> None:
    back = login.begin()
    login.web.clock.advance(700)

    assert "too long ago" in login.refusal(back)


def test_what_the_provider_refuses_is_told_without_its_words(login: Login) -> None:
    state = parse_qs(urlsplit(login.begin()).query)["state"][0]

    told = login.refusal(f"{CALLBACK}?state={state}&error=access_denied&error_description=%3Cb%3Eowned")

    assert told == "the provider did not log you in"


def test_a_code_of_another_provider_is_not_redeemed(login: Login) -> None:
    assert "another provider" in login.refusal(login.begin() + "&iss=https://other.example")
    assert login.provider.forms == []


def test_a_token_that_somebody_else_signed_is_not_believed(login: Login) -> None:
    login.provider.published = RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})

    assert "is not signed by the provider" in login.refusal()


def test_a_key_that_the_provider_has_renewed_is_read_anew(login: Login) -> None:
    login.browser.get(login.begin())
    login.provider.key = RSAKey.generate_key(2048, {"kid": "2", "use": "sig"})
    login.web.clock.advance(120)

    assert login.browser.get(login.begin()).status_code == 200


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://other.example"}, "calls itself otherwise"),
        ({"token_endpoint": "http://login.example/token"}, "token_endpoint is not protected by TLS"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no URL"),
        ({"authorization_endpoint": None}, "authorization_endpoint is no URL"),
    ],
)
def test_a_provider_that_does_not_say_what_it_must_is_not_used(
    login: Login, metadata: dict[str, Any], reason: str
) -> None:
    login.provider.metadata = metadata

    answer = login.browser.get("/login/oidc")

    assert (answer.status_code, reason in answer.text) == (503, True)


def test_a_provider_that_is_away_is_told(login: Login) -> None:
    away = Login(login.web, login.provider, replace(login.client, issuer="http://127.0.0.1:9"))

    answer = away.browser.get("/login/oidc")

    assert (answer.status_code, "no connection" in answer.text) == (503, True)


@pytest.mark.parametrize(("trusted", "status"), [(True, 303), (False, 503)])
def test_a_provider_is_asked_by_verified_tls_alone(
    login: Login, serve: Callable[..., WebServer], tmp_path: Path, trusted: bool, status: int
) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("login", names=["127.0.0.1"])
    tls = ServerTls(TlsFiles(None, certificate, key), "web.tls")
    login.provider.issuer = f"https://127.0.0.1:{serve(login.provider.app, tls=tls).port}"
    client = replace(
        login.client,
        issuer=login.provider.issuer,
        tls=TlsFiles(ca=authority.certificate) if trusted else TlsFiles(),
    )

    answer = Login(login.web, login.provider, client).browser.get("/login/oidc")

    assert (answer.status_code, "TLS" in answer.text) == (status, not trusted)


def test_a_session_ends_with_its_time_with_the_logout_and_with_other_roles(login: Login) -> None:
    login.browser.get(login.begin())
    token = re.search(r'name="csrf" value="([^"]+)"', login.browser.get("/").text)
    assert token is not None

    login.client = replace(login.client, roles={UserRole.VIEWER: ["others"]})
    login.oidc = OidcLogin(login.client, login.web.clock)
    changed = login.new_browser()
    changed.cookies.update(login.browser.cookies)

    assert changed.get("/").status_code == 303
    assert login.browser.get("/").status_code == 200
    login.web.clock.advance(3700)
    assert login.browser.get("/").status_code == 303
    login.browser.get(login.begin())
    token = re.search(r'name="csrf" value="([^"]+)"', login.browser.get("/").text)
    assert token is not None
    assert login.browser.post("/logout", data={"csrf": token[1]}).status_code == 303
    assert login.browser.get("/").status_code == 303


def test_neither_codes_nor_tokens_are_in_the_log(login: Login, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    login.browser.get(login.begin())
    login.browser = login.new_browser()
    login.provider.wrong = {"nonce": "other"}
    login.refusal()

    told = " ".join(str(vars(record)) for record in caplog.records if record.name.startswith("dibmg_node"))
    assert "login failed" in told
    assert [word for word in ("eyJ", SECRET, "code-0", "code-1") if word in told] == []


def test_where_a_login_leads_stays_on_these_pages(login: Login) -> None:
    answer = login.browser.get(login.begin("//evil.example/"))

    assert 'content="0; url=/"' in answer.text
