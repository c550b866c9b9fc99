"""What root makes in a folder of another user; needs root."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from dibmg_node.storage.archive import Archive
from dibmg_node.storage.archive_identity import give_identity
from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.trail import Trail
from dibmg_node.storage.users import UserRole, Users

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")

NOBODY = 65534
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """As the service has it: of a user of its own."""
    folder = tmp_path / "var"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    return folder


def roots(folder: Path) -> list[str]:
    """What is not the service's."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_uid != NOBODY]


def test_a_trail_that_root_begins_or_goes_on_with_is_its_folder_s_owner_s(data_folder: Path) -> None:
    for day in range(2):
        trail = Trail(data_folder / "audit", "operator")
        trail.append({"event": "110100"}, AT + timedelta(days=day))
        trail.close()

    assert len(list((data_folder / "audit").iterdir())) == 3
    assert roots(data_folder) == []


def test_a_file_of_the_trail_that_is_root_s_is_given_back_by_root_s_next_command(data_folder: Path) -> None:
    trail = Trail(data_folder / "audit", "operator")
    trail.append({"event": "110100"}, AT)
    trail.close()
    os.chown(data_folder / "audit" / "audit-000001.jsonl", 0, 0)

    trail = Trail(data_folder / "audit", "operator")
    trail.append({"event": "110100"}, AT)
    trail.close()

    assert roots(data_folder) == []


def test_images_that_root_brings_into_an_archive_are_its_owner_s(data_folder: Path) -> None:
    archive = Archive(data_folder / "archive", "spool-fetch")
    archive.prepare()
    give_identity(archive.root)
    with archive.open_spool(b"image") as spooled:
        spooled.sync()
        archive.keep(spooled, "1.2.3")
    archive.put_result("1.2.4", b"result")
    with archive.held("1.2.5"):
        pass

    assert archive.has_instance("1.2.3")
    assert roots(data_folder) == []


def test_the_file_of_users_stays_with_whose_it_was(data_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc" / "users.json"
    for path in (data_folder / "web" / "users.json", elsewhere):
        Users(path, PasswordHasher(1, 8, 1)).put("anna", UserRole.VIEWER, "correct horse battery")
    os.chown(elsewhere, NOBODY, NOBODY)

    Users(elsewhere, PasswordHasher(1, 8, 1)).remove("anna")

    assert roots(data_folder) == []
    assert elsewhere.stat().st_uid == NOBODY


def test_what_is_another_user_s_or_behind_a_link_stays_as_it_is(data_folder: Path, tmp_path: Path) -> None:
    outside, theirs = tmp_path / "outside", data_folder / "theirs"
    outside.touch()
    theirs.touch()
    os.chown(theirs, 1, 1)
    (data_folder / "link").symlink_to(outside)

    hand_over(theirs)
    hand_over(data_folder / "link")
    hand_over(outside)

    assert (theirs.stat().st_uid, outside.stat().st_uid) == (1, 0)


def test_a_root_that_may_give_nothing_away_keeps_what_it_makes(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = data_folder / "made"
    made.touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)

    hand_over(made)

    assert made.stat().st_uid == 0
