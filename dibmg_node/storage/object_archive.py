"""An archive in S3-compatible storage: the folder of each node is its spool, and a cache of what it needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

from dibmg_node.storage.archive import Archive
from dibmg_node.storage.folders import make_folder
from dibmg_node.storage.objects import ObjectStore
from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.spool_file import SpoolFile

_MARKER: Final = "archive.id"
_LOOK_EVERY: Final = 64
"""Files that come into the cache between two looks at its size."""
_IN_USE_SECONDS: Final = 600.0
"""So long after it was handed out a copy stays, whatever the size of the cache: it may be read just now."""


@dataclass(frozen=True, kw_only=True)
class ObjectArchive(Archive):
    """An archive whose instances and results lie in the storage.

    Success is answered once the storage has acknowledged an instance: a node that dies takes nothing with it.
    Quarantine stays on the node that received it.

    Attributes:
        objects: Where they lie.
        cache_bytes: What of them is kept in the folder; beyond that those go that nobody used for longest.
    """

    objects: ObjectStore
    cache_bytes: int
    _arrivals: list[None] = field(default_factory=list, repr=False, compare=False)

    def identity(self) -> str | None:
        """As `Archive.identity`."""
        found = self.objects.read_text(_MARKER)
        return found.strip() if found else None

    def give_identity(self, identity: str | None = None) -> str:
        """As `Archive.give_identity`."""
        self.objects.create_text(_MARKER, f"{identity or token_hex(16)}\n")
        found = self.identity()
        assert found is not None
        return found

    @property
    def is_far(self) -> bool:
        """As `Archive.is_far`."""
        return True

    @property
    def marker(self) -> str:
        """As `Archive.marker`."""
        return f"s3://{self.objects.prefix}/{_MARKER}"

    def has_instance(self, sop_uid: str) -> bool:
        """As `Archive.has_instance`."""
        return self.objects.exists(self._key(self.instance_path(sop_uid)))

    def has_result(self, sop_uid: str) -> bool:
        """As `Archive.has_result`."""
        path = self.result_path(sop_uid)
        return path.exists() or self.objects.exists(self._key(path))

    def instance(self, sop_uid: str) -> Path:
        """As `Archive.instance`; it is got from the storage where it is not in the cache."""
        return self._here(self.instance_path(sop_uid))

    def result(self, sop_uid: str) -> Path:
        """As `Archive.result`; likewise."""
        return self._here(self.result_path(sop_uid))

    def read_result(self, sop_uid: str) -> bytes:
        """As `Archive.read_result`, also where another process removed the copy just now."""
        try:
            return super().read_result(sop_uid)
        except FileNotFoundError:
            return super().read_result(sop_uid)

    def files(self, folder: str) -> dict[str, Path]:
        """As `Archive.files`; they need not be here."""
        paths = [self.root / folder / key for key in self.objects.keys(folder)]
        return {path.stem: path for path in paths}

    def forget(self, left: Path, sop_uid: str) -> bool:
        """As `Archive.forget`."""
        super().forget(left, sop_uid)
        return self.objects.remove(self._key(self.instance_path(sop_uid))) > 0

    def keep(self, spooled: SpoolFile, sop_uid: str) -> Path:
        """As `Archive.keep`; the storage has the file when this returns."""
        self.objects.put(spooled.path, self._key(self.instance_path(sop_uid)))
        self._make_room()
        return super().keep(spooled, sop_uid)

    def put_result(self, sop_uid: str, content: bytes) -> str:
        """As `Archive.put_result`; the storage has the file when this returns."""
        path = self.result_path(sop_uid)
        key = self._key(path)
        if self.objects.exists(key):
            path.unlink(missing_ok=True)  # what the storage has is what counts
            return sha256(self.read_result(sop_uid)).hexdigest()
        path.unlink(missing_ok=True)
        digest = super().put_result(sop_uid, content)
        self.objects.put(path, key)
        self._make_room()
        return digest

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        """As `Archive.remove`; copies in the caches of other nodes go as those grow old."""
        instance_uids, result_uids = list(instance_uids), list(result_uids)
        super().remove(instance_uids, result_uids)
        paths = [self.instance_path(uid) for uid in instance_uids]
        paths += [self.result_path(uid) for uid in result_uids]
        return sum(self.objects.remove(self._key(path)) for path in paths)

    def _here(self, path: Path) -> Path:
        if not _is_used(path):
            make_folder(path.parent)
            draft = self.root / self.drafts / os.urandom(16).hex()
            try:
                self.objects.get(self._key(path), draft)
                hand_over(draft)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._make_room()
        return path

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _make_room(self) -> None:
        """Now and then, remove the copies beyond the size of the cache that were not used for longest."""
        self._arrivals.append(None)
        if len(self._arrivals) % _LOOK_EVERY != 1:
            return
        self._arrivals[:] = self._arrivals[:1]
        copies = []
        for folder in ("instances", "results"):
            for path in (self.root / folder).glob("??/*.dcm"):
                try:
                    found = path.stat()
                except FileNotFoundError:
                    continue  # another process makes room, too
                copies.append((found.st_mtime, found.st_size, path))
        too_much = sum(size for _, size, _ in copies) - self.cache_bytes
        spared = time.time() - _IN_USE_SECONDS
        for used_at, size, path in sorted(copies):
            if too_much <= 0 or used_at > spared:
                return
            path.unlink(missing_ok=True)
            too_much -= size


def _is_used(path: Path) -> bool:
    """Whether there is a copy, which counts as used from now on."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        pass  # of another user, who may read it
    return True
