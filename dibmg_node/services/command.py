"""Command sets: what a peer asks, and how it is answered. Source: PS3.7 sections 6.3, 9.3 and Annex E."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from dibmg_node.services.pdu import AbortReason, ProtocolError
from dibmg_node.services.wire import StoreAnswer

_ELEMENT = Struct("<HHI")
_US = Struct("<H")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")

NO_DATA_SET = 0x0101
LONGEST_COMMENT = 64


class CommandField(IntEnum):
    """Which message a command set is. Source: PS3.7 Annex E.1."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


class _Tag(IntEnum):
    """Elements of group 0000."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_RESPONDED_TO = 0x0120
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    EVENT_TYPE_ID = 0x1002


@dataclass(frozen=True)
class Command:
    """One request's command set.

    Attributes:
        field: Number of the message; need not be one of CommandField.
        sop_class_uid: Empty where it is missing or not a UID.
        sop_instance_uid: The same.
        has_data_set: A data set follows.
        event_type: Of an N-EVENT-REPORT; None where it is missing.
    """

    field: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool
    event_type: int | None = None


def read_command(encoded: bytes | bytearray) -> Command:
    """Read a command set, Implicit VR Little Endian.

    Raises:
        ProtocolError: It is not a command set, or has no command field, data set type or message id.
    """
    elements = _read_elements(encoded)
    field = _number(elements, _Tag.COMMAND_FIELD)
    has_data_set = _number(elements, _Tag.COMMAND_DATA_SET_TYPE) != NO_DATA_SET
    # C-CANCEL-RQ and responses name the message that they belong to, not one of their own.
    of_another = field == CommandField.C_CANCEL_RQ or field & 0x8000
    message_id = _number(elements, _Tag.MESSAGE_ID_RESPONDED_TO if of_another else _Tag.MESSAGE_ID)
    return Command(
        field=field,
        message_id=message_id,
        sop_class_uid=read_uid(elements.get(_Tag.AFFECTED_SOP_CLASS_UID, b"")),
        sop_instance_uid=read_uid(elements.get(_Tag.AFFECTED_SOP_INSTANCE_UID, b"")),
        has_data_set=has_data_set,
        event_type=_number(elements, _Tag.EVENT_TYPE_ID) if _Tag.EVENT_TYPE_ID in elements else None,
    )


def read_uid(value: bytes) -> str:
    """A UID without its padding, or an empty string where the value is none.

    A component with a leading zero is let through: it is found in the field, and harms nobody.
    """
    text = value.decode("ascii", "replace").rstrip("\0 ")
    return text if len(text) <= 64 and _UID.fullmatch(text) else ""


def encode_echo_answer(message_id: int, sop_class_uid: str, status: int) -> bytes:
    """C-ECHO-RSP. Source: PS3.7 9.3.5.2."""
    return _encode(
        {
            _Tag.AFFECTED_SOP_CLASS_UID: _text(sop_class_uid, "\0"),
            _Tag.COMMAND_FIELD: _US.pack(CommandField.C_ECHO_RSP),
            _Tag.MESSAGE_ID_RESPONDED_TO: _US.pack(message_id),
            _Tag.COMMAND_DATA_SET_TYPE: _US.pack(NO_DATA_SET),
            _Tag.STATUS: _US.pack(status),
        }
    )


def encode_report_answer(command: Command, status: int) -> bytes:
    """N-EVENT-REPORT-RSP. Source: PS3.7 10.3.1.2."""
    elements = {
        _Tag.AFFECTED_SOP_CLASS_UID: _text(command.sop_class_uid, "\0"),
        _Tag.COMMAND_FIELD: _US.pack(CommandField.N_EVENT_REPORT_RSP),
        _Tag.MESSAGE_ID_RESPONDED_TO: _US.pack(command.message_id),
        _Tag.COMMAND_DATA_SET_TYPE: _US.pack(NO_DATA_SET),
        _Tag.STATUS: _US.pack(status),
    }
    if command.sop_instance_uid:
        elements[_Tag.AFFECTED_SOP_INSTANCE_UID] = _text(command.sop_instance_uid, "\0")
    if command.event_type is not None:
        elements[_Tag.EVENT_TYPE_ID] = _US.pack(command.event_type)
    return _encode(elements)


def encode_store_answer(command: Command, answer: StoreAnswer) -> bytes:
    """C-STORE-RSP. Source: PS3.7 9.3.1.2, Annex C for comment and offending element."""
    elements = {
        _Tag.AFFECTED_SOP_CLASS_UID: _text(command.sop_class_uid, "\0"),
        _Tag.COMMAND_FIELD: _US.pack(CommandField.C_STORE_RSP),
        _Tag.MESSAGE_ID_RESPONDED_TO: _US.pack(command.message_id),
        _Tag.COMMAND_DATA_SET_TYPE: _US.pack(NO_DATA_SET),
        _Tag.STATUS: _US.pack(answer.status),
    }
    if answer.offending_element is not None:
        group, element = divmod(answer.offending_element, 0x10000)
        elements[_Tag.OFFENDING_ELEMENT] = _US.pack(group) + _US.pack(element)
    if answer.comment:
        printable = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in answer.comment)
        elements[_Tag.ERROR_COMMENT] = _text(printable[:LONGEST_COMMENT], " ")
    if command.sop_instance_uid:
        elements[_Tag.AFFECTED_SOP_INSTANCE_UID] = _text(command.sop_instance_uid, "\0")
    return _encode(elements)


def _read_elements(encoded: bytes | bytearray) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    offset, end = 0, len(encoded)
    while offset < end:
        if end - offset < _ELEMENT.size:
            raise _malformed("ends inside an element header")
        group, element, length = _ELEMENT.unpack_from(encoded, offset)
        offset += _ELEMENT.size
        if group != 0:
            raise _malformed(f"holds an element of group {group:04X}")
        if length > end - offset:
            raise _malformed(f"element {element:04X} of {length} bytes where {end - offset} are left")
        if element in elements:
            raise _malformed(f"element {element:04X} twice")
        elements[element] = bytes(encoded[offset : offset + length])
        offset += length
    return elements


def _number(elements: dict[int, bytes], tag: _Tag) -> int:
    value = elements.get(tag)
    if value is None or len(value) != _US.size:
        raise _malformed(f"element {tag:04X} is missing or not one unsigned short")
    number: int = _US.unpack(value)[0]
    return number


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(AbortReason.INVALID_PARAMETER, f"command set: {what}")


def _text(text: str, pad: str) -> bytes:
    return (text + pad * (len(text) % 2)).encode("ascii")


def _encode(elements: dict[_Tag, bytes]) -> bytes:
    body = b"".join(_ELEMENT.pack(0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return _ELEMENT.pack(0, _Tag.GROUP_LENGTH, 4) + len(body).to_bytes(4, "little") + body
