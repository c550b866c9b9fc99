"""`dibmg user`, as an administrator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PASSWORD = "correct horse battery\n"


def dibmg(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "config.toml").touch()
    command = [sys.executable, "-m", "dibmg_node", "user", *arguments, "--config", "config.toml"]
    return subprocess.run(command, cwd=folder, input=said, capture_output=True, text=True, check=False)


def test_users_are_added_listed_and_removed(tmp_path: Path) -> None:
    added = dibmg(tmp_path, "add", "anna", "--role", "operator", "--password-stdin", said=PASSWORD)
    listed = dibmg(tmp_path, "list", "--json")

    removed = dibmg(tmp_path, "remove", "anna", "--last")

    assert (added.returncode, added.stdout) == (0, "anna may log in as operator\n")
    assert json.loads(listed.stdout) == [{"name": "anna", "role": "operator"}]
    assert removed.returncode == 0
    assert dibmg(tmp_path, "list").stdout == ""


@pytest.mark.parametrize(("name", "said"), [("anna", "short\n"), ("anna", ""), ("a b", PASSWORD)])
def test_what_cannot_be_a_user_is_refused_and_no_password_is_said(
    tmp_path: Path, name: str, said: str
) -> None:
    answer = dibmg(tmp_path, "add", name, "--password-stdin", said=said)

    assert answer.returncode == 1
    assert answer.stderr.startswith("dibmg: ")
    assert "horse" not in answer.stdout + answer.stderr
    assert not (tmp_path / "var" / "web" / "users.json").exists()


def test_the_last_user_is_not_removed_by_accident(tmp_path: Path) -> None:
    for name in ("anna", "berta"):
        dibmg(tmp_path, "add", name, "--password-stdin", said=PASSWORD)

    ends = [dibmg(tmp_path, "remove", name) for name in ("berta", "anna")]

    assert [ended.returncode for ended in ends] == [0, 1]
    assert "the dashboard asks nobody to log in" in ends[1].stderr
    assert dibmg(tmp_path, "list").stdout == "anna  viewer\n"


def test_removing_the_last_user_on_purpose_says_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[web]\naddress = '0.0.0.0'\ninsecure = true\n")
    dibmg(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)

    ended = dibmg(tmp_path, "remove", "anna", "--last")

    assert ended.returncode == 0
    assert "nobody can log in to the dashboard until one is added" in ended.stderr
