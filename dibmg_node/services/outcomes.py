"""What a peer's answer means for a delivery: one outcome for every status, reason and HTTP code."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from dibmg_node.domain.lifecycle import DeliveryState

PROCESSING_FAILURE: Final = 0x0110
DUPLICATE: Final = 0x0111
ALREADY_STORED: Final = 0xB00E
"""Failure reason 45070 of Azure's DICOM service: the same instance has already been stored."""
SYNTAX_NOT_SUPPORTED: Final = 0xC122
"""Referenced transfer syntax not supported. Source: PS3.18 Table I.2-2."""

_STORED_ANYWAY: Final = frozenset({0x0000, 0x0107, DUPLICATE, 0xB000, 0xB006, 0xB007})
"""Success, attribute list error (a warning), duplicate SOP Instance (our first attempt arrived, only its
answer was lost), and the warnings of PS3.4 B.2.3: the peer holds the instance."""
_TRY_LATER: Final = frozenset({PROCESSING_FAILURE, 0x0213})
"""Processing failure and resource limitation; with 0xA7xx the failures that may pass. PS3.7 Annex C."""
_HTTP_TRY_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

_MEANINGS: Final = (
    (0xFFFF, 0x0000, ""),
    (0xFFFF, DUPLICATE, "duplicate: the peer has it already"),
    (0xFFFF, ALREADY_STORED, "duplicate: the peer has it already"),
    (0xF000, 0xB000, "stored with a warning"),
    (0xFF00, 0xA700, "out of resources"),
    (0xFF00, 0xA900, "data set does not match SOP class"),
    (0xFFFF, SYNTAX_NOT_SUPPORTED, "transfer syntax not supported"),
    (0xF000, 0xC000, "cannot understand"),
    (0xFFFF, PROCESSING_FAILURE, "processing failure"),
    (0xFFFF, 0x0117, "invalid SOP instance"),
    (0xFFFF, 0x0122, "SOP class not supported"),
    (0xFFFF, 0x0124, "not authorized"),
    (0xFFFF, 0x0213, "resource limitation"),
)
"""(mask, value, words); the first that fits."""


def outcome_of(status: int) -> DeliveryState:
    """What a C-STORE status means for a delivery.

    Returns:
        STORED, OWED for: try again later, or REFUSED for: needs a person.

    Source: PS3.4 B.2.3, PS3.7 Annex C.
    """
    if status in _STORED_ANYWAY or status >> 12 == 0xB:
        return DeliveryState.STORED
    if status in _TRY_LATER or status >> 8 == 0xA7:
        return DeliveryState.OWED
    return DeliveryState.REFUSED


def meaning_of(status: int) -> str:
    """A C-STORE status or failure reason in words; empty for success."""
    for mask, value, meaning in _MEANINGS:
        if status & mask == value:
            return meaning
    return "an unknown status"


def outcome_of_failure(reason: int) -> DeliveryState:
    """What a reason in a Failed SOP Sequence means: stored is only what the peer has already.

    Source: PS3.18 I.2.2.
    """
    if reason in (DUPLICATE, ALREADY_STORED):
        return DeliveryState.STORED
    outcome = outcome_of(reason)
    return DeliveryState.REFUSED if outcome is DeliveryState.STORED else outcome


def outcome_of_http(status: int) -> DeliveryState:
    """What an HTTP status says of an instance that the answer does not name.

    Returns:
        STORED for 200 alone. OWED for 202, which leaves open what was stored, for 408, 429 and 5xx.
        REFUSED for everything else: the same request would have the same answer.

    Source: PS3.18 Table 10.5.3-1, RFC 9110 chapter 15.
    """
    if status == HTTPStatus.OK:
        return DeliveryState.STORED
    if status == HTTPStatus.ACCEPTED or status in _HTTP_TRY_LATER or status // 100 == 5:
        return DeliveryState.OWED
    return DeliveryState.REFUSED


def meaning_of_http(status: int) -> str:
    """An HTTP status in words."""
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "an unknown status"
