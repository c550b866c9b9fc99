"""Objects of an S3-compatible storage: whole files, put and got. Only this module knows fsspec."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

from dibmg_node.errors import ConfigError

_DIGEST: Final = "sha256"


@dataclass(frozen=True)
class ObjectStore:
    """One bucket, or what lies under a prefix in it.

    Every method raises OSError where the storage does not answer or refuses, with EIO; FileNotFoundError
    where there is no such object.
    """

    system: Any
    prefix: str

    def put(self, path: Path, key: str) -> None:
        """Return when the storage has acknowledged a file, under its SHA-256."""
        with self._translated(key):
            self.system.put_file(str(path), self._at(key), Metadata={_DIGEST: _sha256(path)})

    def get(self, key: str, path: Path) -> None:
        """Copy an object into a file, if its bytes are those that were put.

        Raises:
            OSError: They are not.
        """
        with self._translated(key):
            expected = self.system.metadata(self._at(key), refresh=True).get(_DIGEST)
            self.system.get_file(self._at(key), str(path))
        found = _sha256(path)
        if expected is not None and found != expected:
            path.unlink()
            raise OSError(errno.EIO, f"an object has SHA-256 {found}, expected {expected}", key)

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        try:
            with self._translated(key):
                self.system.info(self._at(key), refresh=True)
        except FileNotFoundError:
            return False
        return True

    def remove(self, key: str) -> int:
        """Remove an object, if it is there; its bytes."""
        try:
            with self._translated(key):
                size = int(self.system.info(self._at(key), refresh=True)["size"])
                self.system.rm_file(self._at(key))
                return size
        except FileNotFoundError:
            return 0

    def keys(self, folder: str) -> list[str]:
        """Keys of all objects under a folder, from there."""
        with self._translated(folder):
            self.system.invalidate_cache()
            return [path.removeprefix(f"{self._at(folder)}/") for path in self.system.find(self._at(folder))]

    def read_text(self, key: str) -> str | None:
        """A short object; None where there is none."""
        try:
            with self._translated(key):
                return bytes(self.system.cat_file(self._at(key))).decode("utf-8")
        except FileNotFoundError:
            return None

    def create_text(self, key: str, content: str) -> None:
        """Write a short object, unless there is one.

        Of two programs that do so in one moment the first wins, where the storage knows conditional writes;
        one that refuses them is written to without the condition.
        """
        if self.exists(key):
            return
        path, data = self._at(key), content.encode("utf-8")
        with suppress(FileExistsError), self._translated(key):
            try:
                self.system.pipe_file(path, data, mode="create")
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                self.system.pipe_file(path, data)

    def _at(self, key: str) -> str:
        return f"{self.prefix}/{key}"

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        # errors of fsspec, botocore and aiohttp have no common class; their texts may hold the endpoint alone
        except Exception as error:
            told = f"the object storage does not answer as it should ({type(error).__name__})"
            raise OSError(errno.EIO, told, key) from error


def open_objects(url: str, endpoint: str | None, key: str, secret: str) -> ObjectStore:
    """A storage by its URL.

    Args:
        url: `s3://bucket/prefix`.
        endpoint: Of a storage that is not Amazon's.
        key: Of the account; empty: as boto finds it.
        secret: Of the key.

    Raises:
        ConfigError: What speaks S3 is not installed.
    """
    try:
        # a node with a folder has no use for them
        import fsspec

        system = fsspec.filesystem(
            "s3",
            key=key or None,
            secret=secret or None,
            endpoint_url=endpoint,
            use_listings_cache=False,
            config_kwargs={"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}},
        )
    except ImportError as error:
        raise ConfigError(["archive.url: install dibmg-node[s3] for it"]) from error
    return ObjectStore(system, url.removeprefix("s3://").rstrip("/"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, _DIGEST).hexdigest()
