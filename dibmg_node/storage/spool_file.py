"""A file on its way into the archive."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from dibmg_node.errors import StorageFullError
from dibmg_node.storage.checksum import crc32
from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.writeback import begin_writeback

_MOST_CHUNKS: Final = 1024
"""Of one writev: the system's IOV_MAX."""
_WRITEBACK: Final = 4 * 1024 * 1024
"""Bytes after which the disk is to begin with them: the disk writes while the network receives."""


class SpoolFile:
    """A file that is being received; it is nobody's until `Archive.keep` names it.

    Attributes:
        size: Bytes of the data set so far (without the prefix).
        crc32: Their CRC-32.
    """

    def __init__(self, path: Path, prefix: bytes) -> None:
        self.path = path
        self.size = 0
        self.crc32 = 0
        self._written = self._begun = 0
        self._file = path.open("xb", buffering=0)
        try:
            hand_over(path)
            self._write(prefix)
        except BaseException:
            self.discard()
            raise

    def write(self, *chunks: bytes | memoryview) -> None:
        """Append to the data set, in one go.

        Raises:
            StorageFullError: No room on the file system.
        """
        for at in range(0, len(chunks), _MOST_CHUNKS):
            self._write(*chunks[at : at + _MOST_CHUNKS])
        for chunk in chunks:
            self.size += len(chunk)
            self.crc32 = crc32(chunk, self.crc32)

    def sync(self) -> None:
        """Return when every byte is on the disk; the file is closed."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise translated(error, self.path) from error
        finally:
            self._file.close()

    def discard(self) -> None:
        """Remove the file from the spool; the name that `Archive.keep` gave it stays."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def replace(self, earlier: Path) -> None:
        """Take the entry in the spool that an earlier file has, or would have."""
        try:
            self.path = self.path.replace(earlier)
        except OSError as error:
            raise translated(error, earlier) from error

    def abandon(self) -> None:
        """Remove the file, unless it has a name already: then the next start decides by the ledger."""
        self._file.close()
        # a later attempt may have taken its entry over, and discarded it
        with suppress(FileNotFoundError):
            if self.path.stat().st_nlink == 1:
                self.path.unlink()

    def _write(self, *chunks: bytes | memoryview) -> None:
        rest = list(chunks)
        while rest:
            try:
                written = os.writev(self._file.fileno(), rest)
            except OSError as error:
                raise translated(error, self.path) from error
            self._written += written
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if written:
                rest[0] = memoryview(rest[0])[written:]
        if self._written - self._begun >= _WRITEBACK:
            begin_writeback(self._file.fileno(), self._begun, self._written - self._begun)
            self._begun = self._written

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()


def translated(error: OSError, path: Path) -> Exception:
    """StorageFullError for a full disk, the error itself for anything else."""
    if StorageFullError.explains(error):
        return StorageFullError(f"no room under {path.parent}")
    return error
