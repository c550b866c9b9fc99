"""A study by C-FIND and C-GET: asked for and received over associations that this side opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.scu import DimsePeer, plain_context
from dibmg_node.services.wire import StoreAnswer

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_SUCCESS: Final = 0x0000
_MOST_CONTEXTS: Final = 128
"""Presentation contexts of an association. Source: PS3.8 9.3.2.2: odd numbers from 1 to 255."""
_MOST_UIDS: Final = 100
"""SOP Instance UIDs of one C-GET: a list in VR UI has at most 64 KiB."""
ANSWER_SECONDS: Final = 120.0
"""A PACS may have to fetch a study from tape before its first answer."""
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
        with _associated(self.peer, [plain_context(STUDY_ROOT_FIND)]) as association:
            series = self._ask(
                association, "SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", Modality=""
            )
            if not series:
                raise NoSuchStudyError(f"{self.peer.who} has no study {study_uid}")
            return [
                Offer(
                    sop_uid=_text(instance, "SOPInstanceUID"),
                    sop_class_uid=_text(instance, "SOPClassUID"),
                    series_uid=_text(one, "SeriesInstanceUID"),
                    modality=_text(one, "Modality").upper(),
                )
                for one in series
                for instance in self._ask(
                    association,
                    "IMAGE",
                    StudyInstanceUID=study_uid,
                    SeriesInstanceUID=_text(one, "SeriesInstanceUID"),
                    SOPInstanceUID="",
                    SOPClassUID="",
                )
            ]

    def _ask(self, association: Association, level: str, **keys: str) -> list[Dataset]:
        """Every match of one query.

        Raises:
            PeerUnavailableError: The answer did not come whole.
            PeerRefusedError: The PACS will not answer it.
        """
        broken = PeerUnavailableError(f"{self.peer.who}: {_no_answer(self.peer, 'C-FIND')}")
        try:
            answers = list(association.send_c_find(_identifier(level, keys), STUDY_ROOT_FIND))
        except RuntimeError as error:  # the association broke after an earlier answer
            raise broken from error
        found = []
        for status, match in answers:
            code = _code(status)
            if code is None:
                raise broken
            if code in _PENDING and match is not None:
                found.append(match)
            elif code != _SUCCESS:
                told = f"{self.peer.who}: C-FIND answered with 0x{code:04X}"
                raise PeerUnavailableError(told) if code >> 8 == 0xA7 else PeerRefusedError(told)
        return found


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
        with _associated(self.peer, contexts, classes, handlers) as association:
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
            for status, _ in association.send_c_get(_identifier("IMAGE", keys), STUDY_ROOT_GET):
                code = _code(status)
        except RuntimeError:  # the association broke before it was asked
            code = None
        if code is None:
            self.ended = _no_answer(self.peer, "C-GET")
            return False
        if code != _SUCCESS:
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


@contextmanager
def _associated(
    peer: DimsePeer,
    contexts: Sequence[PresentationContext],
    received_classes: Sequence[str] = (),
    handlers: Sequence[tuple[Any, Any]] = (),
) -> Iterator[Association]:
    association = peer.associate(
        contexts, received_classes=received_classes, handlers=handlers, answer_seconds=ANSWER_SECONDS
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


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


def _identifier(level: str, keys: Any) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(identifier, name, value)
    return identifier


def _code(status: Dataset) -> int | None:
    """The status of an answer; None where there was none."""
    return int(status.Status) if "Status" in status else None


def _no_answer(peer: DimsePeer, what: str) -> str:
    """What is known of an answer that did not come whole; a PACS may just abort when it does not know us."""
    return f"no whole answer to {what} (time-out, or an abort: does it know {peer.calling_aet}?)"


def _text(match: Dataset, name: str) -> str:
    return str(match.get(name) or "").strip()
