from __future__ import annotations

from pathlib import Path

import pytest

from dibmg_node.config import Settings
from dibmg_node.doctor.disk import examine, judge_inodes, judge_mount, judge_room, mount_of
from dibmg_node.doctor.verdict import Level
from dibmg_node.sections.intake import NodeSection
from dibmg_node.sections.stores import ArchiveSection
from tests.object_storage import running_object_storage

_MOUNTINFO = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:25 / /proc rw - proc proc rw
40 21 0:44 / /srv/images rw,relatime shared:9 - {kind} nas:/images rw,vers=4.2
41 21 8:2 / /srv/images/local\\040disk rw - xfs /dev/sdb1 rw
42 21 8:3 / /srv/im rw - btrfs /dev/sdc1 rw
"""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_sqlite_on_a_file_system_of_another_machine_is_an_error(kind: str) -> None:
    verdict = judge_mount(_MOUNTINFO.format(kind=kind), Path("/srv/images/var"), embedded=True)

    assert verdict.level is Level.ERROR
    assert verdict.found == f"{kind} at /srv/images"
    assert "PostgreSQL" in verdict.remedy


def test_without_sqlite_it_is_a_warning() -> None:
    verdict = judge_mount(_MOUNTINFO.format(kind="nfs4"), Path("/srv/images/var"), embedded=False)

    assert verdict.level is Level.WARNING


def test_what_lies_in_memory_is_told() -> None:
    verdict = judge_mount(_MOUNTINFO.format(kind="tmpfs"), Path("/srv/images"), embedded=True)

    assert verdict.level is Level.WARNING


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/node/var", "ext4"),
        ("/srv/images2", "ext4"),
        ("/srv/im/var", "btrfs"),
        ("/srv/images/local disk/var", "xfs"),
    ],
)
def test_the_nearest_mount_counts_and_no_name_that_begins_alike(folder: str, kind: str) -> None:
    mount = mount_of(_MOUNTINFO.format(kind="nfs4"), Path(folder))

    assert mount is not None
    assert mount.kind == kind
    assert judge_mount(_MOUNTINFO.format(kind="nfs4"), Path(folder), embedded=True).level is Level.OK


def test_a_mount_over_a_mount_covers_it() -> None:
    over = _MOUNTINFO.format(kind="ext4") + "50 40 0:44 / /srv/images rw - cifs //nas/images rw\n"

    mount = mount_of(over, Path("/srv/images"))

    assert mount is not None
    assert mount.kind == "cifs"


@pytest.mark.parametrize(("free", "level"), [(4.9e9, Level.ERROR), (9e9, Level.WARNING), (11e9, Level.OK)])
def test_the_room_is_held_against_the_reserve(free: float, level: Level) -> None:
    assert judge_room(int(free), 5_000_000_000, Path("/")).level is level


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [(10, 10**6, Level.ERROR), (50_000, 10**6, Level.WARNING), (10**6, 10**7, Level.OK), (0, 0, Level.OK)],
)
def test_inodes_run_out_before_bytes_do(free: int, total: int, level: Level) -> None:
    assert judge_inodes(free, total).level is level


def test_a_share_that_is_not_mounted_is_an_error_and_one_that_is_has_its_room_told(tmp_path: Path) -> None:
    settings = Settings(
        node=NodeSection(data_dir=tmp_path), archive=ArchiveSection(folder=tmp_path / "share")
    )
    before = {one.check: one.level for one in examine(settings)}
    (tmp_path / "share").mkdir()

    after = {one.check for one in examine(settings)}

    assert before["archive"] is Level.ERROR
    assert {"archive space", "archive fsync"} <= after


def test_an_object_storage_is_asked_who_it_is_and_a_bucket_that_is_not_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIBMG_ARCHIVE_KEY", "key")
    monkeypatch.setenv("DIBMG_ARCHIVE_SECRET", "secret")
    with running_object_storage() as storage:
        storage.store().create_text("archive.id", "0123\n")
        levels = []
        for bucket in ("dibmg", "another"):
            archive = ArchiveSection(url=f"s3://{bucket}/node", endpoint=storage.endpoint, insecure=True)
            settings = Settings(node=NodeSection(data_dir=tmp_path), archive=archive)
            levels += [one.level for one in examine(settings) if one.check == "archive"]

    assert levels == [Level.OK, Level.WARNING]
