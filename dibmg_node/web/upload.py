"""The parts of a STOW-RS request, each a DICOM file on its way to intake. Source: RFC 2387, PS3.18 10.5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.services.file_reception import FileReception, StoredFile
from dibmg_node.services.pdu import ProtocolError
from dibmg_node.services.wire import StoreAnswer
from dibmg_node.web.media import DICOM, read_media_type

_MOST_HEADERS: Final = 8
_LONGEST_HEADER: Final = 4096
_LONGEST_PREAMBLE: Final = 4096


class MalformedUploadError(Exception):
    """The body is not what its Content-Type says."""


class OversizedUploadError(Exception):
    """More parts than allowed, or one far longer."""


class Upload:
    """One request's body, block by block. Writes to disk: called on a thread, one at a time.

    Attributes:
        files: What became of the parts so far.
    """

    def __init__(self, boundary: str, open_file: Callable[[int], FileReception], most_files: int) -> None:
        """Wait for the first block.

        Args:
            boundary: Of the body.
            open_file: Starts to receive the part with a number, from 1 on.
            most_files: Number of parts at most.

        Raises:
            MalformedUploadError: The boundary cannot be one.
        """
        self.files: list[StoredFile] = []
        self._open_file = open_file
        self._most_files = most_files
        self._reception: FileReception | None = None
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, str] = {}
        self._complete = False
        # a delimiter begins a line, and so may the body; None: it came
        self._preamble: bytearray | None = bytearray(b"\n")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": self._take_name,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_file,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_file,
                    "on_end": self._end,
                },
                max_header_count=_MOST_HEADERS,
                max_header_size=_LONGEST_HEADER,
            )
            self._delimiter = b"--" + boundary.encode("latin-1")
        except (FormParserError, ValueError) as error:
            raise MalformedUploadError("boundary cannot be used") from error

    def write(self, block: bytes) -> None:
        """Take the next block; instances that end in it are safe when this returns.

        Raises:
            MalformedUploadError: It is no multipart body.
            OversizedUploadError: A limit is passed.
        """
        try:
            self._parser.write(block if self._preamble is None else self._without_preamble(block))
        except FormParserError as error:
            # the parser's own text quotes the body
            raise MalformedUploadError(
                "not a multipart body: expected lines that end with CRLF, nothing behind a boundary, and at "
                f"most {_MOST_HEADERS} headers of a part, of one line of {_LONGEST_HEADER} bytes each"
            ) from error
        except ProtocolError as error:
            raise OversizedUploadError(str(error)) from error

    def finish(self) -> None:
        """The body is at its end.

        Raises:
            MalformedUploadError: Its closing delimiter did not come, or there is no part in it.
        """
        if not self._complete:
            raise MalformedUploadError("the closing boundary is missing")
        if not self.files:
            raise MalformedUploadError("no part")

    def abort(self) -> None:
        """Forget the part that is on its way; what `files` tells of stays stored. Harmless after `finish`."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()

    def _without_preamble(self, block: bytes) -> bytes:
        """What of the body so far begins with its first delimiter: text before it means nothing.

        Source: RFC 2046 5.1.1.
        """
        assert self._preamble is not None
        self._preamble += block
        longest = _LONGEST_PREAMBLE + len(self._delimiter)
        at = self._preamble.find(b"\n" + self._delimiter, 0, longest)
        if at >= 0:
            body, self._preamble = bytes(self._preamble[at + 1 :]), None
            return body
        if len(self._preamble) > longest:
            expected = f"a line of '--' and the boundary within the first {_LONGEST_PREAMBLE} bytes"
            raise MalformedUploadError(f"not a multipart body: expected {expected}")
        return b""

    def _begin_part(self) -> None:
        self._headers = {}
        if len(self.files) >= self._most_files:
            raise OversizedUploadError(f"more than {self._most_files} parts")

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = value.decode("latin-1").strip()

    def _begin_file(self) -> None:
        # without a Content-Type a part is what the request's type parameter says (RFC 2387 3.1)
        if read_media_type(self._headers.get(b"content-type", DICOM)).name == DICOM:
            self._reception = self._open_file(len(self.files) + 1)

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._reception is not None:
            self._reception.write(memoryview(data)[start:end])

    def _end_file(self) -> None:
        reception, self._reception = self._reception, None
        if reception is None:
            answer = StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, f"part is no {DICOM}")
            self.files.append(StoredFile(answer, None))
        else:
            self.files.append(reception.finish())

    def _end(self) -> None:
        self._complete = True
