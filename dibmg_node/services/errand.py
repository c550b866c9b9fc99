"""C-GET of some instances over one association that this side opens, and asks and receives by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext, build_context

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.cfind import SUCCESS, associated, code_of, identifier, no_answer
from dibmg_node.services.fetching import Landing, Offer
from dibmg_node.services.pdu import COMMAND_FRAGMENT, LAST_FRAGMENT
from dibmg_node.services.scu import DimsePeer, plain_context
from dibmg_node.services.wire import StoreAnswer

STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_MOST_CONTEXTS: Final = 128
"""Presentation contexts of an association. Source: PS3.8 9.3.2.2: odd numbers from 1 to 255."""
_MOST_UIDS: Final = 100
"""SOP Instance UIDs of one C-GET: a list in VR UI has at most 64 KiB."""
_UNTOLD: Final = (*facts.MAMMOGRAM_CLASSES, facts.SECONDARY_CAPTURE)
"""What an instance may be whose PACS does not tell its SOP class."""


@dataclass
class Errand:
    """The instances that one association fetches.

    Attributes:
        answers: What this node answered for each that came, by SOP Instance UID.
        ended: Why others did not come.
        pending: Bytes of the data set that is coming.
    """

    peer: DimsePeer
    study_uid: str
    offers: Sequence[Offer]
    landing: Landing
    answers: dict[str, StoreAnswer] = field(default_factory=dict)
    ended: str = "the PACS did not send it"
    pending: int = 0

    def run(self) -> None:
        """Fetch.

        Raises:
            PeerUnavailableError: No association.
            PeerRefusedError: The PACS has no C-GET for this node.
        """
        classes = _classes(self.offers)
        contexts = [plain_context(STUDY_ROOT_GET), *_storage_contexts(classes)]
        handlers = [(evt.EVT_C_STORE, self._receive), (evt.EVT_PDU_RECV, self._measure)]
        with associated(self.peer, contexts, classes, handlers) as association:
            accepted = association.accepted_contexts
            if all(one.abstract_syntax != STUDY_ROOT_GET for one in accepted):
                raise PeerRefusedError(f"{self.peer.who}: does not accept C-GET")
            if all(one.abstract_syntax == STUDY_ROOT_GET or not one.as_scp for one in accepted):
                raise PeerRefusedError(
                    f"{self.peer.who}: accepts C-GET, but not that this node receives by it"
                )
            for series_uid, some in groupby(self.offers, lambda offer: offer.series_uid):
                uids = [offer.sop_uid for offer in some]
                for start in range(0, len(uids), _MOST_UIDS):
                    if not self._get(association, series_uid, uids[start : start + _MOST_UIDS]):
                        return

    def _get(self, association: Association, series_uid: str, uids: Sequence[str]) -> bool:
        """One C-GET; whether the association can carry another."""
        keys = {
            "StudyInstanceUID": self.study_uid,
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": list(uids),
        }
        code: int | None = None
        try:
            for status, _ in association.send_c_get(identifier("IMAGE", keys), STUDY_ROOT_GET):
                code = code_of(status)
        except RuntimeError:  # the association broke before it was asked
            code = None
        if code is None:
            self.ended = no_answer(self.peer, "C-GET")
            return False
        if code != SUCCESS:
            self.ended = f"C-GET answered with 0x{code:04X}"
        return True

    def _measure(self, event: Event) -> None:
        """Drop the rest of a data set that is too long: the library keeps all of it in memory.

        What is kept is too long, too, so that it is refused when its end has come. One without an end meets
        the time-out of its C-GET.
        """
        pdu = event.pdu
        if not isinstance(pdu, P_DATA_TF):
            return
        for item in pdu.presentation_data_value_items:
            value = item.presentation_data_value or b"\0"
            control = value[0]
            if control & COMMAND_FRAGMENT:
                continue
            if self.pending > self.landing.longest_instance:
                item.presentation_data_value = value[:1]
            self.pending = 0 if control & LAST_FRAGMENT else self.pending + len(value) - 1

    def _receive(self, event: Event) -> int:
        """One C-STORE of the PACS; called on the association's thread."""
        request = event.request
        assert isinstance(request, C_STORE)
        sop_uid = str(request.AffectedSOPInstanceUID)
        if all(sop_uid != offer.sop_uid for offer in self.offers):
            return StoreStatus.CANNOT_UNDERSTAND  # nobody asked for it
        answer = self.landing.store(
            sop_uid,
            str(request.AffectedSOPClassUID),
            str(event.context.transfer_syntax),
            memoryview(event.encoded_dataset(include_meta=False)),
        )
        self.answers[sop_uid] = answer
        return answer.status


def batches(offers: Sequence[Offer]) -> Iterator[list[Offer]]:
    """Instances by association: no more SOP classes in one than presentation contexts can be offered."""
    batch: list[Offer] = []
    for offer in offers:
        if batch and len(_storage_contexts(_classes([*batch, offer]))) >= _MOST_CONTEXTS:
            yield batch
            batch = []
        batch.append(offer)
    if batch:
        yield batch


def _classes(offers: Sequence[Offer]) -> list[str]:
    told = [[offer.sop_class_uid] if offer.sop_class_uid else _UNTOLD for offer in offers]
    return sorted({one for some in told for one in some})


def _storage_contexts(classes: Sequence[str]) -> list[PresentationContext]:
    """One context for each syntax: so the PACS sends each instance as it has it, without transcoding."""
    return [build_context(one, syntax) for one in classes for syntax in facts.ACCEPTED_CONTEXTS[one]]
