"""Does the node answer by HTTP, and to whom?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings, load_settings
from dibmg_node.errors import ConfigError
from dibmg_node.roles import Role, roles_of


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
