"""May the node answer by HTTP as it is asked to?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.roles import Role, roles_of
from dibmg_node.serving import check_web, reached_by_others, session_key


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


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.5", "::"])
def test_an_address_that_others_reach_wants_a_token_or_a_ca(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings = load(tmp_path, f"[web]\naddress = '{address}'\n[stow]\ntoken_env = 'MY_TOKEN'")

    with pytest.raises(ConfigError, match=r"web\.address: .* MY_TOKEN .* web\.tls\.ca"):
        check_web(settings)
    monkeypatch.setenv("MY_TOKEN", "secret")

    assert check_web(settings) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_wants_no_token(tmp_path: Path, address: str) -> None:
    assert check_web(load(tmp_path, f"[web]\naddress = '{address}'")) is None


def test_a_token_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("DIBMG_STOW_TOKEN_FILE", str(tmp_path / "token"))

    assert load(tmp_path, "").web_token == "secret"


@pytest.mark.parametrize(
    ("text", "token", "reached"),
    [
        ("[web]", "", False),
        ("[web]\naddress = '::1'", "", False),
        ("[web]\naddress = '0.0.0.0'", "secret", True),
        ("[web]", "secret", True),
        ("[web]\n[web.tls]\ncertificate = 'a'\nkey = 'b'", "", False),
        ("[web]\n[web.tls]\ncertificate = 'a'\nkey = 'b'\nca = 'c'", "", True),
    ],
)
def test_pages_that_others_may_reach_ask_for_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, token: str, reached: bool
) -> None:
    monkeypatch.setenv("DIBMG_STOW_TOKEN", token)

    assert reached_by_others(load(tmp_path, text)) is reached


def test_the_key_of_sessions_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load(tmp_path, "[web]")

    first, second = session_key(settings), session_key(settings)

    assert first == second
    assert len(first) >= 48
    assert (settings.data_dir / "web" / "session.key").stat().st_mode & 0o777 == 0o600


def test_several_hosts_are_given_one_key_of_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIBMG_SESSION_KEY", "shared")

    assert session_key(load(tmp_path, "[web]")) == "shared"
    assert not (tmp_path / "var" / "web").exists()


def test_users_lie_below_the_data_folder_or_where_the_file_says(tmp_path: Path) -> None:
    texts = ("", "[web]", "[web]\nusers = 'people.json'")

    found = [load(tmp_path, text).users_file.relative_to(tmp_path) for text in texts]

    assert [str(path) for path in found] == ["var/web/users.json"] * 2 + ["people.json"]


def test_files_of_tls_lie_relative_to_the_configuration(tmp_path: Path) -> None:
    settings = load(tmp_path, "[web]\n[web.tls]\ncertificate = 'a.crt'\nkey = 'a.key'")

    with pytest.raises(ConfigError, match=r"web\.tls\.certificate, web\.tls\.key: cannot be used"):
        check_web(settings)


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
