"""The archive: bytes on disk, written once, under names that no sender chooses."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

from dibmg_node.storage.archive_identity import give_identity, marker_file, read_identity
from dibmg_node.storage.folders import make_folder, sync_folder, sync_path
from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.spool_file import SpoolFile, translated


@dataclass(frozen=True)
class Archive:
    """Folders under one root, on one file system.

    `instances`, `results` and `quarantine` hold what is finished.
    A received file keeps its entry in the spool until its ledger entry is committed, so what is found
    there at the next start was told to nobody. Once it has its name, that entry is the instance's: however
    often one is sent while the ledger cannot be written, one file is left.

    Attributes:
        spool: Folder in which this process receives; its name begins with `spool`. Each receiving process has
            one of its own: it repairs at its start what its predecessor left, while the others go on.
        drafts: Folder in which the node's analysis writes results, likewise.
    """

    root: Path
    spool: str = "spool"
    drafts: str = "drafts"

    def prepare(self) -> None:
        """Make the folders; they are on the disk."""
        for folder in ("", self.spool, self.drafts, "instances", "results", "quarantine"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            hand_over(self.root / folder)
        sync_path(self.root)

    def identity(self) -> str | None:
        """What tells this archive from every other; None: it was never used.

        Raises:
            OSError: It cannot be read.
        """
        return read_identity(self.root)

    def give_identity(self, identity: str | None = None) -> str:
        """Give it an identity, the ledger's or a new one, unless it has one; the one that it has.

        Raises:
            OSError: It cannot be written.
        """
        return give_identity(self.root, identity)

    def is_there(self, identity: str | None) -> bool:
        """Whether it answers, and is the archive that the ledger knows: an empty mount point is not.

        Args:
            identity: What the ledger knows it by; None: by nothing, any will do.
        """
        try:
            return self.identity() == identity or identity is None
        except OSError:
            return False

    @property
    def is_far(self) -> bool:
        """Whether files are brought here over the network when they are asked for."""
        return False

    @property
    def marker(self) -> str:
        """Where its identity stands."""
        return str(marker_file(self.root))

    def has_instance(self, sop_uid: str) -> bool:
        """Whether an instance is in the archive."""
        return self.instance_path(sop_uid).exists()

    def has_result(self, sop_uid: str) -> bool:
        """Whether a result is in the archive."""
        return self.result_path(sop_uid).exists()

    def instance(self, sop_uid: str) -> Path:
        """File of an instance, to be read on this machine.

        Raises:
            OSError: It is not there, or cannot be brought here.
        """
        return self.instance_path(sop_uid)

    def result(self, sop_uid: str) -> Path:
        """File of a result, likewise."""
        return self.result_path(sop_uid)

    def files(self, folder: str) -> dict[str, Path]:
        """Files of all `instances` or `results`, by their names without suffix."""
        return {path.stem: path for path in (self.root / folder).glob("??/*") if path.is_file()}

    def left_in_spool(self) -> list[Path]:
        """What a killed intake left."""
        return sorted((self.root / self.spool).iterdir())

    def spooled_inodes(self) -> frozenset[int]:
        """Inodes of what is in any spool of this archive, of other processes and nodes too.

        A second name tells nothing: a snapshot by hard links gives every file one.
        """
        found = set()
        for path in self.root.glob("spool*/*"):
            try:
                found.add(path.stat().st_ino)
            except FileNotFoundError:
                continue  # whoever received it is done with it
        return frozenset(found)

    @contextmanager
    def held(self, sop_uid: str) -> Iterator[None]:
        """Keep every other thread and process from naming an instance until the ledger knows of it.

        Without this, two that receive different bytes under one UID at once could leave the name with one
        and the ledger entry with the other. The kernel frees what a killed process held.

        Raises:
            StorageFullError: No room on the file system.
        """
        folder = self.instance_path(sop_uid).parent
        try:
            make_folder(folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise translated(error, folder) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def forget(self, left: Path, sop_uid: str) -> bool:
        """Remove the name that a spool file got although no ledger entry followed; whether it had one."""
        path = self.instance_path(sop_uid)
        named = path.exists() and path.samefile(left)
        if named:
            path.unlink()
        return named

    def clear_drafts(self) -> None:
        """Remove results that a killed worker had half written."""
        for path in (self.root / self.drafts).iterdir():
            path.unlink(missing_ok=True)

    def open_spool(self, prefix: bytes) -> SpoolFile:
        """Start a file that begins with a prefix (preamble and file meta information).

        Raises:
            StorageFullError: No room on the file system.
        """
        return self._open(self.spool, prefix)

    def instance_path(self, sop_uid: str) -> Path:
        """Where an instance lies: a name derived from its UID by hash, so that no UID is a path."""
        return self._path("instances", sop_uid)

    def result_path(self, sop_uid: str) -> Path:
        """Where a result lies."""
        return self._path("results", sop_uid)

    def keep(self, spooled: SpoolFile, sop_uid: str) -> Path:
        """Give a synced spool file its name, for good.

        The caller knows from the ledger that the instance is new: a file that has the name already was
        left by an intake that was killed before it told anybody, and is replaced.

        Returns:
            Its path, after the folder's entry is on the disk.

        Raises:
            StorageFullError: No room on the file system.
        """
        path = self.instance_path(sop_uid)
        _publish(spooled.path, path)
        spooled.replace(self.root / self.spool / path.name)
        return path

    def quarantine(self, spooled: SpoolFile, sop_uid: str) -> Path:
        """Put bytes that contradict what is archived under the same UID aside.

        A sender that is refused sends the same bytes again and again: they are kept once. Nothing is left in
        the spool: whatever becomes of the ledger's note of it, they stay where they are.
        """
        name = f"{_name(sop_uid)}-{spooled.size:x}-{spooled.crc32:08x}.dcm"
        path = self.root / "quarantine" / name
        _publish(spooled.path, path)
        spooled.discard()
        return path

    def set_aside(self, path: Path) -> None:
        """Put a file that belongs to nothing into quarantine: it may be all that is left of an image."""
        path.replace(self.root / "quarantine" / f"{path.stem}-unknown.dcm")
        sync_folder(self.root / "quarantine")

    def quarantined(self) -> int:
        """Files in quarantine. A person looks at them, and takes them away."""
        folder = self.root / "quarantine"
        return sum(1 for _ in folder.iterdir()) if folder.exists() else 0

    def put_result(self, sop_uid: str, content: bytes) -> str:
        """Write a result once; a result that is there already stays as it is.

        Returns:
            SHA-256 of what is in the archive under this UID now, as hexadecimal text.

        Raises:
            StorageFullError: No room on the file system.
        """
        path = self.result_path(sop_uid)
        if not path.exists():
            with self._open(self.drafts, content) as spooled:
                spooled.sync()
                _publish(spooled.path, path)
        return sha256(path.read_bytes()).hexdigest()

    def read_result(self, sop_uid: str) -> bytes:
        """Bytes of a result.

        Raises:
            FileNotFoundError: The archive has no such result.
        """
        return self.result(sop_uid).read_bytes()

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        """Remove instances and results, for good; returns their bytes. What is gone already does no harm."""
        paths = [self.instance_path(uid) for uid in instance_uids]
        paths += [self.result_path(uid) for uid in result_uids]
        freed = 0
        for path in paths:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            freed += size
        return freed

    def total_bytes(self) -> int:
        """Bytes that the file system has for unprivileged processes: used ones, and those still free."""
        room = os.statvfs(self.root)
        return (room.f_blocks - room.f_bfree + room.f_bavail) * room.f_frsize

    def free_bytes(self) -> int:
        """Bytes that an unprivileged process may still write."""
        room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize

    def _open(self, folder: str, prefix: bytes) -> SpoolFile:
        path = self.root / folder / os.urandom(16).hex()
        try:
            return SpoolFile(path, prefix)
        except OSError as error:
            raise translated(error, path) from error

    def _path(self, folder: str, sop_uid: str) -> Path:
        name = _name(sop_uid)
        return self.root / folder / name[:2] / f"{name}.dcm"


def _name(sop_uid: str) -> str:
    return blake2b(sop_uid.encode(), digest_size=16).hexdigest()


def _publish(source: Path, target: Path) -> None:
    """Give a finished file a second name, replacing what had it, and sync the folder."""
    try:
        make_folder(target.parent)
        link = source.with_suffix(".link")
        link.hardlink_to(source)
        link.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise translated(error, target) from error
