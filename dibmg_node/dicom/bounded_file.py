"""A file that gives out only so much: a parser that reads from it cannot be made to take more."""

from __future__ import annotations

from typing import IO, Final

MOST_READS: Final = 120_000
"""Every element costs a parser two or three: about 40,000 elements. A tomosynthesis has a quarter of them."""

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of what is read and held; values that a parser skips do not count."""


class BoundExceededError(Exception):
    """More was asked of the file than it may give."""


class BoundedFile:
    """Wraps a file; what pydicom's reader needs of one, and no more.

    Attributes:
        exceeded: A bound was passed, whatever the parser made of the error.
    """

    def __init__(self, file: IO[bytes], most_reads: int = MOST_READS, most_bytes: int = MOST_BYTES) -> None:
        self.exceeded = False
        self._file = file
        self._reads = most_reads
        self._bytes = most_bytes

    def read(self, size: int = -1) -> bytes:
        """Bytes from here on.

        Raises:
            BoundExceededError: A bound is passed.
        """
        content = self._file.read(min(size, self._bytes + 1) if size >= 0 else self._bytes + 1)
        self._reads -= 1
        self._bytes -= len(content)
        if self._reads < 0 or self._bytes < 0:
            self.exceeded = True
            raise BoundExceededError
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._file.tell()
