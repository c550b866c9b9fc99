"""A study by C-FIND and C-GET: asked for and received over associations that this side opens."""

from __future__ import annotations

from dataclasses import dataclass

from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.cfind import STUDY_ROOT_FIND, associated, find, text_of
from dibmg_node.services.errand import Errand, batches
from dibmg_node.services.fetching import Haul, Landing, NoSuchStudyError, Offer, Wants, haul_of
from dibmg_node.services.scu import DimsePeer, plain_context


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
