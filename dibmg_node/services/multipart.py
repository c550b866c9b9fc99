"""Several DICOM files as the body of one request. Source: PS3.18 8.6.1.2.2, RFC 2046 5.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

_PIECE: Final = 1 << 18
_PART_HEADER: Final = b"Content-Type: application/dicom\r\n\r\n"


class Multipart:
    """Part 10 files in a `multipart/related` body, handed out in pieces.

    Attributes:
        content_type: Of the request.
        length: Bytes of the body.
    """

    def __init__(self, files: Sequence[bytes], boundary: str) -> None:
        """Lay out the body.

        Args:
            files: In this order.
            boundary: Letters and digits that occur in no file.
        """
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._files = files
        self._start = f"--{boundary}\r\n".encode("ascii") + _PART_HEADER
        self._end = f"--{boundary}--\r\n".encode("ascii")
        self.length = sum(len(self._start) + len(file) + 2 for file in files) + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        """Pieces that a socket takes in few turns: httpcore copies what is left of one at every turn."""
        for file in self._files:
            yield self._start
            for at in range(0, len(file), _PIECE):
                yield file[at : at + _PIECE]
            yield b"\r\n"
        yield self._end
