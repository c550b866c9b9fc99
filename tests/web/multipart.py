"""Bodies of STOW-RS requests."""

from __future__ import annotations

from collections.abc import Sequence

BOUNDARY = "boundary"


def content_type(boundary: str = BOUNDARY, kind: str = "application/dicom") -> str:
    """Content-Type of a request."""
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def body_of(
    parts: Sequence[bytes], boundary: str = BOUNDARY, headers: str = "Content-Type: application/dicom\r\n"
) -> bytes:
    """Parts, each with the same headers."""
    whole = b"".join(b"--%b\r\n%b\r\n%b\r\n" % (boundary.encode(), headers.encode(), p) for p in parts)
    return whole + f"--{boundary}--\r\n".encode()
