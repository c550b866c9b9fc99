"""May the node answer by HTTP as it is asked to?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.roles import Role, roles_of
from dibmg_node.exposure import check_exposure


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
