"""`dibmg user`, as an administrator types it."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import dibmg

PASSWORD = "correct horse battery\n"


def user(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "config.toml").touch()
    return dibmg(folder, "user", *arguments, "--config", "config.toml", said=said)


def test_users_are_added_listed_and_removed(tmp_path: Path) -> None:
    added = user(tmp_path, "add", "anna", "--role", "operator", "--password-stdin", said=PASSWORD)
    listed = user(tmp_path, "list", "--json")

    removed = user(tmp_path, "remove", "anna", "--last")

    assert (added.returncode, added.stdout) == (0, "anna may log in as operator\n")
    assert json.loads(listed.stdout) == [{"name": "anna", "role": "operator"}]
    assert removed.returncode == 0
    assert user(tmp_path, "list").stdout == ""


@pytest.mark.parametrize("mode", [None, 0o750])
def test_the_data_folder_is_made_for_its_user_alone_and_one_that_is_there_keeps_its_mode(
    tmp_path: Path, mode: int | None
) -> None:
    folder = tmp_path / "var"
    if mode is not None:
        folder.mkdir()
        folder.chmod(mode)

    user(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)

    assert folder.stat().st_mode & 0o777 == (mode or 0o700)


@pytest.mark.parametrize(("name", "said"), [("anna", "short\n"), ("anna", ""), ("a b", PASSWORD)])
def test_what_cannot_be_a_user_is_refused_and_no_password_is_said(
    tmp_path: Path, name: str, said: str
) -> None:
    answer = user(tmp_path, "add", name, "--password-stdin", said=said)

    assert answer.returncode == 1
    assert answer.stderr.startswith("dibmg: ")
    assert "horse" not in answer.stdout + answer.stderr
    assert not (tmp_path / "var" / "web" / "users.json").exists()
    assert not list((tmp_path / "var" / "audit").glob("*.jsonl"))


def test_the_audit_trail_tells_who_changed_which_user_before_there_is_a_ledger(tmp_path: Path) -> None:
    for role in ("viewer", "operator"):
        user(tmp_path, "add", "anna", "--role", role, "--password-stdin", said=PASSWORD)
    user(tmp_path, "remove", "anna", "--last")

    told = dibmg(tmp_path, "audit", "show", "--json", "--config", "config.toml").stdout
    lines = json.loads(told)
    assert [one["description"] for one in lines] == [
        "user anna: added as viewer",
        "user anna: operator, before viewer; password set anew",
        "user anna: removed, was operator; no user is left",
    ]
    for one in lines:
        assert (one["event"], one["type"], one["outcome"], one["account"]) == ("110113", "110137", 0, "anna")
        assert one["participants"][0]["user"] == getpass.getuser()
    assert not (tmp_path / "var" / "ledger.sqlite").exists()
    assert dibmg(tmp_path, "audit", "verify", "--config", "config.toml").returncode == 0


def test_no_password_and_nothing_of_one_is_in_the_audit_trail(tmp_path: Path) -> None:
    user(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)

    entries = json.loads((tmp_path / "var" / "web" / "users.json").read_text())["users"]
    trail = (tmp_path / "var" / "audit" / "audit-000001.jsonl").read_text()
    assert "user anna: added as viewer" in trail
    assert "horse" not in trail
    assert entries["anna"]["hash"] not in trail


def test_a_user_is_not_changed_where_the_audit_trail_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "audit").write_text("no folder")

    ended = user(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)

    assert ended.returncode != 0
    assert "audit" in ended.stderr
    assert not (tmp_path / "var" / "web" / "users.json").exists()


def test_removing_somebody_unknown_says_so_and_makes_no_data_folder(tmp_path: Path) -> None:
    ended = user(tmp_path, "remove", "anna")

    assert (ended.returncode, ended.stderr) == (1, "dibmg: no user anna\n")
    assert not (tmp_path / "var").exists()


def test_where_users_are_kept_elsewhere_the_data_folder_of_the_trail_is_still_its_user_s_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.toml").write_text("[web]\nusers = 'elsewhere/users.json'\n")
    user(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)
    shutil.rmtree(tmp_path / "var")

    ended = user(tmp_path, "remove", "anna", "--last")

    assert ended.returncode == 0
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_the_last_user_is_not_removed_by_accident(tmp_path: Path) -> None:
    for name in ("anna", "berta"):
        user(tmp_path, "add", name, "--password-stdin", said=PASSWORD)

    ends = [user(tmp_path, "remove", name) for name in ("berta", "anna")]

    assert [ended.returncode for ended in ends] == [0, 1]
    assert "the dashboard asks nobody to log in" in ends[1].stderr
    assert user(tmp_path, "list").stdout == "anna  viewer\n"


def test_removing_the_last_user_on_purpose_says_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[web]\naddress = '0.0.0.0'\ninsecure = true\n")
    user(tmp_path, "add", "anna", "--password-stdin", said=PASSWORD)

    ended = user(tmp_path, "remove", "anna", "--last")

    assert ended.returncode == 0
    assert "nobody can log in to the dashboard until one is added" in ended.stderr


@pytest.mark.parametrize("arguments", [("list",), ("remove", "anna")])
def test_a_file_of_users_that_may_not_be_looked_at_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "config.toml").write_text("")
    stat = Path.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if path.name == "users.json":
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)

    ended = dibmg(tmp_path, "user", *arguments)

    assert ended.returncode == 1
    assert "users.json cannot be looked at (Permission denied): run this as the node's user" in ended.stderr
