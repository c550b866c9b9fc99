"""Fetching: a study of a PACS taken in as if the PACS had sent it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from uuid import uuid4

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.header import is_uid
from dibmg_node.errors import PermanentError
from dibmg_node.services.reception import Reception, check_accepted
from dibmg_node.services.wire import InstanceSink, OpenInstance, StoreAnswer, StoreRequest

MAMMOGRAPHY: Final = "MG"


class NoSuchStudyError(PermanentError):
    """The PACS has no such study, or none that it shows to this node."""


class Fate(StrEnum):
    """What became of one instance that was asked for."""

    STORED = "stored"
    REFUSED = "refused"
    MISSING = "missing"


@dataclass(frozen=True)
class Offer:
    """One instance that a PACS says it has.

    Attributes:
        sop_class_uid: Empty where the PACS does not tell.
        modality: Of its series; empty likewise.
    """

    sop_uid: str
    sop_class_uid: str
    series_uid: str
    modality: str


@dataclass(frozen=True)
class Fetched:
    """One instance that was asked for, and what became of it.

    Attributes:
        fate: REFUSED by this node, MISSING: the PACS did not hand it over.
        reason: Empty where it was stored.
    """

    sop_uid: str
    fate: Fate
    reason: str = ""


@dataclass(frozen=True)
class Haul:
    """What a fetch brought.

    Attributes:
        instances: Those asked for, in the order of the PACS.
        passed_over: Number of instances that the study has beside them.
    """

    study_uid: str
    instances: Sequence[Fetched]
    passed_over: int

    def count(self, fate: Fate) -> int:
        """Number of instances with a fate."""
        return sum(one.fate is fate for one in self.instances)


Wants = Callable[[Offer], bool]
"""Decides on one instance whether it is asked for."""


class Landing:
    """Where the instances of one fetch come ashore: the door that a C-STORE takes."""

    def __init__(
        self, study_uid: str, sender_aet: str, open_instance: OpenInstance, longest_instance: int
    ) -> None:
        """Make a landing.

        Args:
            study_uid: The study that every instance must belong to.
            sender_aet: Whose study it is, for the ledger.
            open_instance: Of intake.
            longest_instance: Bytes of a data set at most.
        """
        self.association_id = uuid4().hex
        self._study_uid = study_uid
        self._sender_aet = sender_aet
        self._open_instance = open_instance
        self.longest_instance = longest_instance

    def store(
        self, sop_uid: str, sop_class_uid: str, transfer_syntax_uid: str, data_set: memoryview
    ) -> StoreAnswer:
        """Make one instance safe, or refuse it; returns when the ledger knows of it."""
        if not is_uid(sop_uid):
            return StoreAnswer(StoreStatus.INVALID_SOP_INSTANCE, "SOP Instance UID is not a UID")
        request = StoreRequest(
            association_id=self.association_id,
            message_id=1,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            calling_aet=self._sender_aet,
            called_aet="",
            peer_address="",
            study_uid=self._study_uid,
        )

        def open_sink() -> InstanceSink:
            check_accepted(sop_class_uid, transfer_syntax_uid)
            return self._open_instance(request)

        reception = Reception(open_sink, self.longest_instance)
        reception.write(data_set)
        return reception.finish()


class StudySource(Protocol):
    """A PACS, as fetching sees it."""

    def fetch(self, study_uid: str, wants: Wants, landing: Landing) -> Haul:
        """Bring what is wanted of a study ashore.

        Instances that came before something broke stay; the others are MISSING with what broke.

        Raises:
            NoSuchStudyError: The PACS has no such study.
            PeerUnavailableError: The PACS cannot be reached now, or broke off before it named an instance.
            PeerRefusedError: The PACS does not let this node ask, or not fetch.
        """


def is_mammography(offer: Offer) -> bool:
    """Whether the node would look at an instance: mammograms, and whatever else of modality MG it takes."""
    is_told = offer.modality == MAMMOGRAPHY and is_acceptable(offer)
    return is_told or offer.sop_class_uid in facts.MAMMOGRAM_CLASSES


def is_acceptable(offer: Offer) -> bool:
    """Whether the node would take an instance by C-STORE."""
    return offer.sop_class_uid in facts.ACCEPTED_CONTEXTS or not offer.sop_class_uid


def haul_of(
    study_uid: str,
    offers: Sequence[Offer],
    wanted: Sequence[Offer],
    answers: Mapping[str, StoreAnswer],
    missing: Callable[[Offer], str],
) -> Haul:
    """Put together what became of a study.

    Args:
        study_uid: The study.
        offers: All of it.
        wanted: What was asked for.
        answers: What this node answered, by SOP Instance UID.
        missing: Why an instance that was asked for did not come.
    """
    instances = []
    for offer in wanted:
        answer = answers.get(offer.sop_uid)
        if answer is None:
            instances.append(Fetched(offer.sop_uid, Fate.MISSING, missing(offer)))
        elif answer.status == StoreStatus.SUCCESS:
            instances.append(Fetched(offer.sop_uid, Fate.STORED))
        else:
            reason = f"this node answered 0x{answer.status:04X} {answer.comment}".rstrip()
            instances.append(Fetched(offer.sop_uid, Fate.REFUSED, reason))
    return Haul(study_uid, instances, len(offers) - len(wanted))
