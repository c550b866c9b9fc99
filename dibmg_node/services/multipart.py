"""DICOM files as the body of a request or of an answer. Source: PS3.18 8.6.1.2.2, RFC 2046 5.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.message import Message
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


class MalformedBodyError(ValueError):
    """A body is not what its Content-Type says."""


def first_part(content_type: str, body: bytes) -> bytes:
    """The first file of a `multipart/related` body; a body of `application/dicom` is one itself.

    Args:
        content_type: The header as it came.
        body: Of a size that the caller limits.

    Raises:
        MalformedBodyError: It is neither, or no part is whole.

    Source: RFC 2046 5.1.1.
    """
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "application/dicom":
        return body
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/related" or not boundary:
        raise MalformedBodyError(f"found {header.get_content_type()}, expected multipart/related")
    delimiter = b"\r\n--" + boundary.encode("ascii", "replace")
    _, found, after = (b"\r\n" + body).partition(delimiter)
    start = after.find(b"\r\n\r\n") + 4
    end = after.find(delimiter, max(start - 2, 0))
    if not found or start < 4 or end < start:
        raise MalformedBodyError("no whole part in a multipart/related body")
    return after[start:end]
