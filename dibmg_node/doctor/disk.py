"""The disk below the data folder: room, inodes, a file system that a ledger can live on, and fsync."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.errors import DibmgError
from dibmg_node.wiring import foundation

_MOUNTS: Final = Path("/proc/self/mountinfo")
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs"}
)
_REMOTE_FUSE: Final = (
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.ceph",
    "fuse.mergerfs",
)
_PASSING: Final = frozenset({"tmpfs", "ramfs", "overlay"})
_LEAST_INODES: Final = 100_000
_SLOW_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Mount:
    """One mounted file system."""

    point: Path
    kind: str


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at the file system of the data folder, and at the archive where it lies elsewhere."""
    folder = existing(settings.data_dir)
    room = os.statvfs(folder)
    yield judge_room(room.f_bavail * room.f_frsize, int(settings.intake.reserve_gb * 1e9), folder)
    yield judge_inodes(room.f_favail, room.f_files)
    embedded = settings.ledger.url == "embedded"
    yield judge_mount(_MOUNTS.read_text(), folder.resolve(), embedded)
    if settings.data_dir.is_dir():
        yield _judge_fsync(settings.data_dir)
    if settings.archive.url is not None:
        yield _judge_object_storage(settings)
    elif settings.archive.folder is not None:
        yield from _judge_share(settings)


def _judge_share(settings: Settings) -> Iterator[Verdict]:
    """The folder that images and results are kept in, where that is another than the data folder."""
    folder = settings.archive_folder
    if not folder.is_dir():
        remedy = f"mount the share, or make {folder} where this is the first host"
        yield bad("archive", f"{folder} is not there", "a folder that all hosts share", remedy)
        return
    room = os.statvfs(folder)
    free, reserve = room.f_bavail * room.f_frsize, int(settings.intake.reserve_gb * 1e9)
    yield replace(judge_room(free, reserve, folder), check="archive space")
    yield replace(_judge_fsync(folder), check="archive fsync")


def _judge_object_storage(settings: Settings) -> Verdict:
    """Whether the storage answers who it is, with the keys of this node."""
    expected = "an object storage that answers"
    try:
        found = foundation.open_archive(settings).identity()
    except (DibmgError, OSError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = "see archive.url, archive.endpoint, DIBMG_ARCHIVE_KEY and DIBMG_ARCHIVE_SECRET"
        return bad("archive", f"{settings.archive.url}: {told}", expected, remedy)
    if found is None:
        # of a bucket that is not there S3 says the same as of an object that is not
        remedy = "see that the bucket is there; the first start marks it"
        return doubtful("archive", f"{settings.archive.url} was never used", expected, remedy)
    return well("archive", f"{settings.archive.url} is archive {found}", expected)


def existing(path: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    return next(one for one in (path, *path.parents) if one.is_dir())


def judge_room(free: int, reserve: int, folder: Path) -> Verdict:
    """Whether anything can be received, and for how long about."""
    found, expected = f"{free / 1e9:.1f} GB free", f"more than intake.reserve_gb, {reserve / 1e9:g} GB"
    if free < reserve:
        remedy = "make room, or 'dibmg purge': until then senders are answered 0xA700"
        return bad("disk space", found, expected, remedy)
    if free < 2 * reserve:
        return doubtful("disk space", found, f"twice {reserve / 1e9:g} GB", f"make room below {folder}")
    return well("disk space", found, expected)


def judge_inodes(free: int, total: int) -> Verdict:
    """Whether files can be made, however small.

    Args:
        free: Inodes that this user may take.
        total: 0 where the file system makes them as it needs them.
    """
    if total == 0:
        return well("inodes", "made as they are needed")
    found, expected = f"{free:,} of {total:,} free", f"at least {_LEAST_INODES:,}"
    if free < 1000:
        return bad(
            "inodes", found, expected, "remove small files, or make the file system anew with more inodes"
        )
    if free < _LEAST_INODES:
        return doubtful("inodes", found, expected, "purge old studies, or move the data folder")
    return well("inodes", found, expected)


def judge_mount(mountinfo: str, folder: Path, embedded: bool) -> Verdict:
    """Whether what the folder lies on keeps locks and promises.

    Args:
        mountinfo: Text of /proc/self/mountinfo.
        folder: Without symbolic links.
        embedded: Whether the ledger is SQLite below it.
    """
    mount = mount_of(mountinfo, folder)
    if mount is None:
        return doubtful("file system", "not in mountinfo", "a local one", "see that /proc can be read")
    found = f"{mount.kind} at {mount.point}"
    if mount.kind in _REMOTE or mount.kind.startswith(_REMOTE_FUSE):
        if embedded:
            remedy = "put node.data_dir on a local disk, or the ledger on PostgreSQL (ledger.url)"
            return bad("file system", found, "a local one: SQLite loses data on NFS and CIFS", remedy)
        remedy = "test that its locks work (flock) and that fsync is not merely promised"
        return doubtful("file system", found, "a local one", remedy)
    if mount.kind in _PASSING:
        remedy = "put node.data_dir on a disk or a volume: what lies here is gone with machine or container"
        return doubtful("file system", found, "one that outlives a restart", remedy)
    return well("file system", found, "a local one")


def mount_of(mountinfo: str, folder: Path) -> Mount | None:
    """The mounted file system that a folder lies on. Source: proc(5), mountinfo."""
    found: Mount | None = None
    for line in mountinfo.splitlines():
        before, mark, after = line.partition(" - ")
        fields = before.split()
        if not mark or len(fields) < 5 or not after:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        # of several at one place the last one covers the others
        if folder.is_relative_to(point) and (found is None or len(point.parts) >= len(found.point.parts)):
            found = Mount(point, after.split()[0])
    return found


def _judge_fsync(folder: Path) -> Verdict:
    """Write, sync and rename a small file, and sync its folder: what every received image needs."""
    path, renamed = folder / f"doctor-{os.getpid()}.tmp", folder / f"doctor-{os.getpid()}"
    started = time.monotonic()
    try:
        with path.open("wb") as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
        path.rename(renamed)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        remedy = f"see that this user may write into {folder}, and that the disk is well"
        return bad("fsync", str(error.strerror), "a file that is written and synced", remedy)
    finally:
        path.unlink(missing_ok=True)
        renamed.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    found, expected = f"{1000 * seconds:.0f} ms for a small file", f"below {1000 * _SLOW_SECONDS:.0f} ms"
    if seconds > _SLOW_SECONDS:
        return doubtful(
            "fsync", found, expected, "put node.data_dir on an SSD, or a controller with a battery"
        )
    return well("fsync", found, expected)
