"""A study by C-FIND and C-GET: asked for and received over associations that this side opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.errand import Errand, associated, batches, identifier, no_answer, status_of
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.scu import DimsePeer, plain_context

STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_SUCCESS: Final = 0x0000


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
        errands = [Errand(self.peer, study_uid, some, landing) for some in batches(wanted)]
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
        broken = PeerUnavailableError(f"{self.peer.who}: {no_answer(self.peer, 'C-FIND')}")
        try:
            answers = list(association.send_c_find(identifier(level, keys), STUDY_ROOT_FIND))
        except RuntimeError as error:  # the association broke after an earlier answer
            raise broken from error
        found = []
        for status, match in answers:
            code = status_of(status)
            if code is None:
                raise broken
            if code in _PENDING and match is not None:
                found.append(match)
            elif code != _SUCCESS:
                told = f"{self.peer.who}: C-FIND answered with 0x{code:04X}"
                raise PeerUnavailableError(told) if code >> 8 == 0xA7 else PeerRefusedError(told)
        return found


def _text(match: Dataset, name: str) -> str:
    return str(match.get(name) or "").strip()
