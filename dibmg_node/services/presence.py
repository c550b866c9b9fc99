"""Proof by a query: a destination that finds a result keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

from dibmg_node.services.cfind import STUDY_ROOT_FIND, associated, find, text_of
from dibmg_node.services.qido import search_instances
from dibmg_node.services.scu import DimsePeer, plain_context
from dibmg_node.services.web_service import WebService
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.proofs import Unproven

QUERIES: Final = 4
"""A PACS may index what it stored minutes later: a result that so many queries do not find is lost."""


class Search(Protocol):
    """Looks into one destination."""

    def held(self, study_uid: str, series_uids: AbstractSet[str]) -> AbstractSet[str]:
        """SOP Instance UIDs that it has in these series.

        Raises:
            PeerUnavailableError: The peer cannot be asked now.
            PeerRefusedError: The peer does not let this node search.
        """


@dataclass(frozen=True)
class QueryWitness:
    """A destination that is searched; satisfies `proving.Witness`."""

    search: Search

    def testify(self, study_uid: str, unproven: Sequence[Unproven]) -> Sequence[Evidence]:
        """Search for results of a study; as `Witness` has it."""
        held = self.search.held(study_uid, {one.series_uid for one in unproven})
        return [_evidence(one, one.sop_uid in held) for one in unproven]


@dataclass(frozen=True)
class CFindSearch:
    """C-FIND of the Study Root model at IMAGE level. Source: PS3.4 C.4.1, C.6.2."""

    peer: DimsePeer

    def held(self, study_uid: str, series_uids: AbstractSet[str]) -> AbstractSet[str]:
        """As `Search` has it."""
        with associated(self.peer, [plain_context(STUDY_ROOT_FIND)]) as association:
            return {
                text_of(match, "SOPInstanceUID")
                for series_uid in sorted(series_uids)
                for match in find(
                    self.peer,
                    association,
                    "IMAGE",
                    StudyInstanceUID=study_uid,
                    SeriesInstanceUID=series_uid,
                    SOPInstanceUID="",
                )
            }


@dataclass(frozen=True)
class QidoSearch:
    """QIDO-RS. Source: PS3.18 10.6."""

    service: WebService

    def held(self, study_uid: str, series_uids: AbstractSet[str]) -> AbstractSet[str]:
        """As `Search` has it."""
        return {
            offer.sop_uid
            for series_uid in sorted(series_uids)
            for offer in search_instances(
                self.service, f"studies/{study_uid}/series/{series_uid}", may_be_gone=True
            )
        }


def _evidence(one: Unproven, found: bool) -> Evidence:
    if found:
        return Evidence(one.sop_uid, Finding.PROVEN)
    if one.attempts + 1 < QUERIES:
        return Evidence(one.sop_uid, Finding.WAITING, comment="a query does not find it yet")
    told = f"{one.attempts + 1} queries did not find it"
    return Evidence(one.sop_uid, Finding.LOST, comment=told)
