"""A-ASSOCIATE-RQ: what a peer proposes, read strictly and without a socket. Source: PS3.8 9.3.2, PS3.7 D.3.3.

pynetdicom's decoder writes what it dislikes into the log as it came, raises whatever Python raises, and
stops at items that it does not know; PS3.8 9.3.1 asks to skip those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from dibmg_node.services.command import read_uid
from dibmg_node.services.pdu import AbortReason, ProtocolError

FIXED_LENGTH = 68
MOST_CONTEXTS = 128
SHORTEST_MAXIMUM = 128
"""A peer whose maximum length is below this could not even take one C-STORE-RSP in a few fragments."""

_FIXED = Struct(">H2x16s16s32s")
_ITEM = Struct(">BxH")
_US = Struct(">H")
_UL = Struct(">I")


@dataclass(frozen=True)
class ProposedContext:
    """One proposed presentation context.

    Attributes:
        transfer_syntax_uids: At least one, in the order of the peer.
    """

    context_id: int
    abstract_syntax_uid: str
    transfer_syntax_uids: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """One A-ASSOCIATE-RQ.

    Attributes:
        echoed: Bytes 11 to 74 of the PDU, which the A-ASSOCIATE-AC repeats.
        called_aet: Without its padding; None where it is not an AE title.
        calling_aet: The same.
        maximum_length: Longest P-DATA-TF that the peer takes; 0: any.
        roles: (SCU, SCP) that the peer proposes for itself, by SOP class UID.
        asynchronous: The peer proposes an asynchronous operations window.
    """

    echoed: bytes
    protocol_version: int
    called_aet: str | None
    calling_aet: str | None
    application_context_uid: str
    contexts: tuple[ProposedContext, ...]
    maximum_length: int
    implementation_class_uid: str
    implementation_version_name: str
    roles: dict[str, tuple[bool, bool]]
    asynchronous: bool


def read_proposal(body: memoryview) -> Proposal:
    """Read an A-ASSOCIATE-RQ.

    Args:
        body: The PDU without its 6 byte header.

    Raises:
        ProtocolError: An item is longer than what holds it, or breaks its own rules.
    """
    if len(body) < FIXED_LENGTH:
        raise _invalid(f"A-ASSOCIATE-RQ of {len(body)} bytes")
    version, called, calling, _ = _FIXED.unpack_from(body)
    application_context, contexts, user_items = "", [], {}
    roles: dict[str, tuple[bool, bool]] = {}
    for kind, value in _items(body[FIXED_LENGTH:]):
        if kind == 0x10:
            application_context = read_uid(bytes(value))
        elif kind == 0x20:
            contexts.append(_read_context(value))
        elif kind == 0x50:
            for user_kind, user_value in _items(value):
                if user_kind == 0x54:
                    roles.update([_read_role(user_value)])
                else:
                    user_items[user_kind] = bytes(user_value)
    identifiers = {context.context_id for context in contexts}
    if not contexts or len(contexts) > MOST_CONTEXTS or len(identifiers) != len(contexts):
        raise _invalid(f"{len(contexts)} presentation contexts, {len(identifiers)} different ids")
    maximum = user_items.get(0x51, bytes(_UL.size))
    if len(maximum) != _UL.size or 0 < _UL.unpack(maximum)[0] < SHORTEST_MAXIMUM:
        raise _invalid("maximum length")
    return Proposal(
        echoed=bytes(body[4:FIXED_LENGTH]),
        protocol_version=version,
        called_aet=_read_title(called),
        calling_aet=_read_title(calling),
        application_context_uid=application_context,
        contexts=tuple(contexts),
        maximum_length=_UL.unpack(maximum)[0],
        implementation_class_uid=read_uid(user_items.get(0x52, b"")),
        implementation_version_name=_read_title(user_items.get(0x55, b"")) or "",
        roles=roles,
        asynchronous=0x53 in user_items,
    )


def _items(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset, end = 0, len(view)
    while offset < end:
        if end - offset < _ITEM.size:
            raise _invalid("an item header is cut")
        kind, length = _ITEM.unpack_from(view, offset)
        offset += _ITEM.size
        if length > end - offset:
            raise _invalid(f"item 0x{kind:02X} of {length} bytes where {end - offset} are left")
        yield kind, view[offset : offset + length]
        offset += length


def _read_context(value: memoryview) -> ProposedContext:
    if len(value) < 4 or value[0] % 2 == 0:
        raise _invalid("presentation context without an odd id")
    uids: dict[int, list[str]] = {0x30: [], 0x40: []}
    for kind, name in _items(value[4:]):
        if kind in uids:
            uid = read_uid(bytes(name))
            if not uid:
                raise _invalid("a syntax name is no UID")
            uids[kind].append(uid)
    if len(uids[0x30]) != 1 or not uids[0x40]:
        raise _invalid("presentation context without one abstract and some transfer syntax")
    return ProposedContext(value[0], uids[0x30][0], tuple(dict.fromkeys(uids[0x40])))


def _read_role(value: memoryview) -> tuple[str, tuple[bool, bool]]:
    length = _US.unpack_from(value)[0] if len(value) >= _US.size else 0
    uid = read_uid(bytes(value[2 : 2 + length]))
    if not uid or len(value) != length + 4:
        raise _invalid("role selection")
    return uid, (value[-2] == 1, value[-1] == 1)


def _read_title(value: bytes) -> str | None:
    title = value.decode("ascii", "replace").strip(" \0")
    printable = all(" " <= c <= "~" and c != "\\" for c in title)
    return title if title and printable else None


def _invalid(what: str) -> ProtocolError:
    return ProtocolError(AbortReason.INVALID_PARAMETER, f"A-ASSOCIATE-RQ: {what}")
