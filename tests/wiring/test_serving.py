"""Does the node answer by HTTP, and to whom?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.wiring.exposure import check_exposure, comes_by_https, is_login_needed
from dibmg_node.wiring.role_choice import Role, roles_of
from dibmg_node.wiring.serving import session_key

PROVIDER = """[web.oidc]
issuer = "https://login.example"
client_id = "dibmg"
public_url = "{}"
viewer = ["radiology"]
"""


def load(folder: Path, text: str) -> Settings:
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path)


@pytest.mark.parametrize(
    ("text", "serves"),
    [
        ("", False),
        ("[stow]\nenabled = false", False),
        ("[stow]\nenabled = true", True),
        ("[web]", True),
        ("[web]\nport = 9000\n[stow]\nenabled = true", True),
    ],
)
def test_a_node_serves_the_web_only_where_its_file_says_so(tmp_path: Path, text: str, serves: bool) -> None:
    settings = load(tmp_path, text)

    assert (settings.web is not None, Role.WEB in roles_of(settings)) == (serves, serves)


def test_two_tokens_hold_while_one_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_STOW_TOKEN", "old new")

    assert load(tmp_path, "").web_tokens == ("old", "new")


def test_a_token_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("DIBMG_STOW_TOKEN_FILE", str(tmp_path / "token"))

    assert load(tmp_path, "").web_tokens == ("secret",)


@pytest.mark.parametrize(
    ("text", "token", "reached"),
    [
        ("[web]", "", False),
        ("[web]\naddress = '::1'", "", False),
        ("[web]\naddress = '0.0.0.0'", "secret", True),
        ("[web]", "secret", True),
        ("[web]\nusers = 'nowhere.json'", "", True),
        ("[web]\n[web.tls]\ncertificate = 'a'\nkey = 'b'", "", False),
        ("[web]\n[web.tls]\ncertificate = 'a'\nkey = 'b'\nca = 'c'", "", True),
    ],
)
def test_pages_that_others_may_reach_ask_for_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, token: str, reached: bool
) -> None:
    monkeypatch.setenv("DIBMG_STOW_TOKEN", token)

    assert is_login_needed(load(tmp_path, text)) is reached


_OIDC = (
    "[web.oidc]\nissuer = 'https://login'\nclient_id = 'dibmg'\noperator = ['it']\n"
    "public_url = 'https://pages'"
)


@pytest.mark.parametrize(
    ("text", "known_as"),
    [
        ("[web]", ""),
        ("[web]\npublic_url = 'https://dibmg.clinic.example'", "https://dibmg.clinic.example"),
        (f"[web]\n{_OIDC}", "https://pages"),
        (f"[web]\npublic_url = 'https://all'\n{_OIDC}", "https://all"),
    ],
)
def test_where_others_reach_the_node_is_told_by_its_configuration(
    tmp_path: Path, text: str, known_as: str
) -> None:
    settings = load(tmp_path, text)

    assert settings.web is not None
    assert settings.web.known_as == known_as
    assert comes_by_https(settings) is bool(known_as)


def test_the_key_of_sessions_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load(tmp_path, "[web]")

    first, second = session_key(settings), session_key(settings)

    assert first == second
    assert len(first) >= 48
    assert (settings.data_dir / "web" / "session.key").stat().st_mode & 0o777 == 0o600


def test_several_hosts_are_given_one_key_of_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_SESSION_KEY", "shared by several")

    assert session_key(load(tmp_path, "[web]")) == "shared by several"
    assert not (tmp_path / "var" / "web").exists()


def test_a_key_of_sessions_that_could_be_guessed_is_refused_before_the_node_comes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_SESSION_KEY", "x" * 15)
    settings = load(tmp_path, "[web]")

    for check in (session_key, check_exposure):
        with pytest.raises(ConfigError, match="DIBMG_SESSION_KEY: expected at least 16 characters"):
            check(settings)


@pytest.mark.parametrize(
    ("text", "https"),
    [
        ("[web]", False),
        ("[web]\n[web.tls]\ncertificate = 'a'\nkey = 'b'", True),
        (PROVIDER.format("https://node.example"), True),
        (PROVIDER.format("http://localhost:8080"), False),
    ],
)
def test_sessions_go_over_https_alone_where_browsers_come_by_it(
    tmp_path: Path, text: str, https: bool
) -> None:
    assert comes_by_https(load(tmp_path, text)) is https


def test_users_lie_below_the_data_folder_or_where_the_file_says(tmp_path: Path) -> None:
    texts = ("", "[web]", "[web]\nusers = 'people.json'")

    found = [load(tmp_path, text).users_file.relative_to(tmp_path) for text in texts]

    assert [str(path) for path in found] == ["var/web/users.json"] * 2 + ["people.json"]


@pytest.mark.parametrize(
    "text",
    [
        "[web]\naddress = 'localhost'",
        "[stow]\ntoken_env = 'MY TOKEN'",
        "[web.tls]\nkey = 'a.key'",
        "[stow]\nenabled = 'true'",
    ],
)
def test_odd_values_are_complaints(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)
