"""A study by C-FIND and C-GET: asked for and received over associations that this side opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.cfind import (
    STUDY_ROOT_FIND,
    SUCCESS,
    associated,
    code_of,
    find,
    identifier,
    no_answer,
    text_of,
)
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.scu import DimsePeer, plain_context
from dibmg_node.services.wire import StoreAnswer

STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_MOST_CONTEXTS: Final = 128
"""Presentation contexts of an association. Source: PS3.8 9.3.2.2: odd numbers from 1 to 255."""
_MOST_UIDS: Final = 100
"""SOP Instance UIDs of one C-GET: a list in VR UI has at most 64 KiB."""
_UNTOLD: Final = (*facts.MAMMOGRAM_CLASSES, facts.SECONDARY_CAPTURE)
"""What an instance may be whose PACS does not tell its SOP class."""


@dataclass(frozen=True)
class CGetSource:
    """A PACS that answers C-FIND and C-GET of the Study Root model.

    Source: PS3.4 C.4.1, C.4.3.
    """

    peer: DimsePeer

    def fetch(self, study_uid: str, wants: Wants, landing: Landing) -> Haul:
        """Bring what is wanted of a study ashore; as `StudySource` has it."""
        offers = self._find(study_uid)
        wanted = [offer for offer in offers if wants(offer)]
        errands = [_Errand(self.peer, study_uid, some, landing) for some in _batches(wanted)]
        for number, errand in enumerate(errands):
            try:
                errand.run()
            except (PeerUnavailableError, PeerRefusedError) as error:
                if number == 0:
                    raise
                errand.ended = str(error)
        answers = {uid: answer for one in errands for uid, answer in one.answers.items()}
        ended = {offer.sop_uid: one.ended for one in errands for offer in one.offers}
        return haul_of(study_uid, offers, wanted, answers, lambda offer: ended[offer.sop_uid])

    def _find(self, study_uid: str) -> list[Offer]:
        """Every instance of a study: its series first, then what is in each.

        Raises:
            NoSuchStudyError: There is no series.
        """
        with associated(self.peer, [plain_context(STUDY_ROOT_FIND)]) as association:
            series = find(
                self.peer,
                association,
                "SERIES",
                StudyInstanceUID=study_uid,
                SeriesInstanceUID="",
                Modality="",
            )
            if not series:
                raise NoSuchStudyError(f"{self.peer.who} has no study {study_uid}")
            return [
                Offer(
                    sop_uid=text_of(instance, "SOPInstanceUID"),
                    sop_class_uid=text_of(instance, "SOPClassUID"),
                    series_uid=text_of(one, "SeriesInstanceUID"),
                    modality=text_of(one, "Modality").upper(),
                )
                for one in series
                for instance in find(
                    self.peer,
                    association,
                    "IMAGE",
                    StudyInstanceUID=study_uid,
                    SeriesInstanceUID=text_of(one, "SeriesInstanceUID"),
                    SOPInstanceUID="",
                    SOPClassUID="",
                )
            ]


@dataclass
class _Errand:
    """The instances that one association fetches.

    Attributes:
        answers: What this node answered for each that came, by SOP Instance UID.
        ended: Why others did not come.
    """

    peer: DimsePeer
    study_uid: str
    offers: Sequence[Offer]
    landing: Landing
    answers: dict[str, StoreAnswer] = field(default_factory=dict)
    ended: str = "the PACS did not send it"

    def run(self) -> None:
        """Fetch.

        Raises:
            PeerUnavailableError: No association.
            PeerRefusedError: The PACS has no C-GET for this node.
        """
        classes = _classes(self.offers)
        contexts = [plain_context(STUDY_ROOT_GET), *_storage_contexts(classes)]
        handlers = [(evt.EVT_C_STORE, self._receive)]
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


def _batches(offers: Sequence[Offer]) -> Iterator[list[Offer]]:
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
