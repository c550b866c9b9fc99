"""C-FIND of the Study Root model, over an association that this side opens. Source: PS3.4 C.4.1, C.6.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.scu import DimsePeer

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
SUCCESS: Final = 0x0000
_PENDING: Final = frozenset({0xFF00, 0xFF01})
ANSWER_SECONDS: Final = 120.0
"""A PACS may have to fetch a study from tape before its first answer."""


@contextmanager
def associated(
    peer: DimsePeer,
    contexts: Sequence[PresentationContext],
    received_classes: Sequence[str] = (),
    handlers: Sequence[tuple[Any, Any]] = (),
) -> Iterator[Association]:
    """An association for queries and what follows from them; as `DimsePeer.associate`, and released."""
    association = peer.associate(
        contexts, received_classes=received_classes, handlers=handlers, answer_seconds=ANSWER_SECONDS
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def find(peer: DimsePeer, association: Association, level: str, **keys: str) -> list[Dataset]:
    """Every match of one query.

    Raises:
        PeerUnavailableError: The answer did not come whole.
        PeerRefusedError: The PACS will not answer it.
    """
    broken = PeerUnavailableError(f"{peer.who}: {no_answer(peer, 'C-FIND')}")
    try:
        answers = list(association.send_c_find(identifier(level, keys), STUDY_ROOT_FIND))
    except RuntimeError as error:  # the association broke after an earlier answer
        raise broken from error
    found = []
    for status, match in answers:
        code = code_of(status)
        if code is None:
            raise broken
        if code in _PENDING and match is not None:
            found.append(match)
        elif code != SUCCESS:
            told = f"{peer.who}: C-FIND answered with 0x{code:04X}"
            raise PeerUnavailableError(told) if code >> 8 == 0xA7 else PeerRefusedError(told)
    return found


def identifier(level: str, keys: Any) -> Dataset:
    """Keys of a query or a retrieval."""
    made = Dataset()
    made.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(made, name, value)
    return made


def code_of(status: Dataset) -> int | None:
    """The status of an answer; None where there was none."""
    return int(status.Status) if "Status" in status else None


def no_answer(peer: DimsePeer, what: str) -> str:
    """What is known of an answer that did not come whole; a PACS may just abort when it does not know us."""
    return f"no whole answer to {what} (time-out, or an abort: does it know {peer.calling_aet}?)"


def text_of(match: Dataset, name: str) -> str:
    """One attribute of a match; empty where it has none."""
    return str(match.get(name) or "").strip()
