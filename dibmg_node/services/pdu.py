"""The bytes of PDUs, without a socket. Source: PS3.8 section 9.3."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import TypeAlias

from dibmg_node.services.wire import Rejection

_HEADER = Struct(">BxI")
_PDV_HEADER = Struct(">IBB")
_BOTH_HEADERS = Struct(">BxIIBB")

HEADER_LENGTH = _HEADER.size
COMMAND_FRAGMENT = 0b01
LAST_FRAGMENT = 0b10

Pdv: TypeAlias = tuple[int, int, memoryview]
"""Presentation context id, message control header, fragment."""


class PduType(IntEnum):
    """Type field of a PDU."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


_P_DATA_TF = int(PduType.P_DATA_TF)
_COMMAND_OR_LAST = COMMAND_FRAGMENT | LAST_FRAGMENT


class AbortReason(IntEnum):
    """Why the service-provider aborts. Source: PS3.8 Table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class ProtocolError(Exception):
    """The peer broke the protocol: answered with an A-ABORT.

    Attributes:
        reason: Goes into the A-ABORT.
    """

    def __init__(self, reason: AbortReason, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


def read_header(header: bytes | bytearray | memoryview, offset: int = 0) -> tuple[PduType, int]:
    """Type and length of a PDU.

    Args:
        header: At least 6 bytes from `offset` on.
        offset: Where the PDU starts.

    Returns:
        Type, and bytes that follow the header.

    Raises:
        ProtocolError: There is no such type.
    """
    number, length = _HEADER.unpack_from(header, offset)
    try:
        return PduType(number), length
    except ValueError as error:
        raise ProtocolError(AbortReason.UNRECOGNIZED_PDU, f"PDU type 0x{number:02X}") from error


def split_pdvs(body: memoryview) -> list[Pdv]:
    """The presentation data values of a P-DATA-TF, as views of `body`. Source: PS3.8 9.3.5.1, E.2.

    All of them or none: nothing of a broken PDU is acted upon.

    Raises:
        ProtocolError: The PDU is empty, or a PDV is shorter than its own header or longer than the PDU.
    """
    pdvs: list[Pdv] = []
    offset, end = 0, len(body)
    if end == 0:
        raise ProtocolError(AbortReason.INVALID_PARAMETER, "P-DATA-TF without a PDV")
    while offset < end:
        if end - offset < _PDV_HEADER.size:
            raise ProtocolError(AbortReason.INVALID_PARAMETER, "P-DATA-TF ends inside a PDV header")
        length, context_id, control = _PDV_HEADER.unpack_from(body, offset)
        stop = offset + 4 + length
        if length < 2 or stop > end:
            raise ProtocolError(
                AbortReason.INVALID_PARAMETER, f"PDV of {length} bytes where {end - offset - 4} are left"
            )
        pdvs.append((context_id, control, body[offset + _PDV_HEADER.size : stop]))
        offset = stop
    return pdvs


def split_data(buffer: memoryview, context_id: int, longest: int, most: int) -> tuple[list[memoryview], int]:
    """What of a data set lies at the beginning of some bytes, as long as it comes in the usual way.

    That is in whole PDUs of one PDV each, none of which is the last: a mammogram has a thousand. Whatever
    is not is left to `read_header` and `split_pdvs`, broken PDUs too.

    Args:
        buffer: From the header of a PDU on.
        context_id: Of the message that the data set belongs to.
        longest: Longest PDU, bytes without header.
        most: Fragments, at most.

    Returns:
        Fragments as views of the buffer, none of them empty, and bytes of the PDUs that they came in.
    """
    fragments: list[memoryview] = []
    start, end = 0, len(buffer)
    while end - start >= _BOTH_HEADERS.size and len(fragments) < most:
        kind, length, pdv_length, context, control = _BOTH_HEADERS.unpack_from(buffer, start)
        stop = start + HEADER_LENGTH + length
        whole = stop <= end and _PDV_HEADER.size < length <= longest and pdv_length + 4 == length
        if not whole or kind != _P_DATA_TF or context != context_id or control & _COMMAND_OR_LAST:
            break
        fragments.append(buffer[start + _BOTH_HEADERS.size : stop])
        start = stop
    return fragments, start


def encode_command_pdus(context_id: int, command: bytes, peer_maximum: int) -> bytes:
    """P-DATA-TF PDUs of one command set without data set.

    Args:
        context_id: Presentation context of the message.
        command: Encoded command set.
        peer_maximum: Maximum length that the peer announced, at least 7; 0: any.
    """
    size = peer_maximum - _PDV_HEADER.size if peer_maximum else len(command)
    pdus = bytearray()
    for start in range(0, len(command), size):
        fragment = command[start : start + size]
        control = COMMAND_FRAGMENT | (LAST_FRAGMENT if start + size >= len(command) else 0)
        pdus += _HEADER.pack(PduType.P_DATA_TF, len(fragment) + _PDV_HEADER.size)
        pdus += _PDV_HEADER.pack(len(fragment) + 2, context_id, control)
        pdus += fragment
    return bytes(pdus)


def encode_reject(rejection: Rejection) -> bytes:
    """A-ASSOCIATE-RJ. Source: PS3.8 9.3.4."""
    body = bytes((0, rejection.result, rejection.source, rejection.diagnostic))
    return _HEADER.pack(PduType.ASSOCIATE_RJ, len(body)) + body


def encode_abort(reason: AbortReason | None) -> bytes:
    """A-ABORT. Source: PS3.8 9.3.8.

    Args:
        reason: Of the service-provider; None: the service-user aborts, which has no reasons.
    """
    body = bytes(4) if reason is None else bytes((0, 0, 2, reason))
    return _HEADER.pack(PduType.ABORT, len(body)) + body


RELEASE_RP = _HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4)
"""A-RELEASE-RP. Source: PS3.8 9.3.7."""
