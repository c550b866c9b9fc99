"""Delivery: what a study owes one destination, in one go, each result settled by itself."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Final, Protocol

from dibmg_node.dicom.header import read_header
from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.result import REPORTS
from dibmg_node.errors import (
    InstanceRejectedError,
    LedgerConflictError,
    PeerRefusedError,
    PeerUnavailableError,
)
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.renewal import renewed
from dibmg_node.services.rollout import may_be_known_elsewhere
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.outbox import Outbox, Owed
from dibmg_node.storage.settlement import UNSENT, Settlement

_log = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=5)
"""What is being sent is renewed; a claim that is not belongs to a dead worker."""


@dataclass(frozen=True)
class Parcel:
    """One result on its way: what it is, and its bytes.

    Attributes:
        is_report: A reader that finds it looks for the images that it speaks of: it goes last.
    """

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    content: bytes
    is_report: bool = False


def passing(sop_uid: str, error: PeerUnavailableError) -> Settlement:
    """A result that is tried again later, because of an error that may pass."""
    return Settlement(sop_uid, DeliveryState.OWED, "", str(error), error.retry_after, in_doubt=error.in_doubt)


class Sender(Protocol):
    """One destination's way in."""

    def send(self, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        """Send results in this order; one settlement for each.

        Raises:
            PeerUnavailableError: The peer cannot be reached now; try everything again later.
            PeerRefusedError: The peer will not take any of it; needs a person.
        """


@dataclass(frozen=True)
class Courier:
    """Delivers to the destinations that it has a sender for.

    Attributes:
        name: Of the worker, as it stands in the ledger.
        proofs: How destinations show that they keep what they stored; those not named need not.
        others_are_up: Whether other hosts share the ledger: a new configuration reaches them one by one.
        archive_identity: What the ledger knows the archive by; None: by nothing.
    """

    archive: Archive
    outbox: Outbox
    senders: Mapping[str, Sender]
    now: Callable[[], datetime]
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    audit: Auditor = SILENT
    renew_every: timedelta = LEASE / 5
    name: str = ""
    others_are_up: Callable[[], bool] = lambda: False
    archive_identity: str | None = None

    def deliver(self, study_uid: str, destination: str) -> bool:
        """Send everything of a study that is due at one destination, and enter what became of it.

        Returns:
            Whether there was anything, and nobody else is sending it.
        """
        extra = {"study_uid": study_uid, "destination": destination}
        if destination not in self.senders and self._may_be_known_elsewhere(study_uid, destination):
            _log.info("destination not known here, left to other hosts", extra=extra)
            return False
        try:
            owed = self.outbox.claim(study_uid, destination, self.now(), LEASE, self.name)
        except LedgerConflictError:
            return False
        if not owed:
            return False

        def renew() -> None:
            self.outbox.renew(study_uid, destination, self.now(), LEASE, self.name)

        # on a slow line how long a send takes depends on its bytes alone
        with renewed(renew, self.renew_every, extra):
            settlements = self._send(owed, study_uid, destination)
        proof = self.proofs.get(destination, Proof.NONE)
        self.outbox.settle(study_uid, destination, settlements, self.now(), proof)
        for one in settlements:
            facts = {**extra, "sop_uid": one.sop_uid, "status": one.status, "comment": one.comment}
            if one.state is DeliveryState.STORED:
                _log.info("result delivered", extra=facts)
            elif one.state is DeliveryState.REFUSED:
                _log.error("result refused", extra=facts)
            else:
                _log.warning("result not delivered yet", extra=facts)
        return True

    def _may_be_known_elsewhere(self, study_uid: str, destination: str) -> bool:
        since = self.outbox.owed_since(study_uid, destination)
        return may_be_known_elsewhere(since, self.now(), self.others_are_up)

    def _send(self, owed: Sequence[Owed], study_uid: str, destination: str) -> Sequence[Settlement]:
        sender = self.senders.get(destination)
        if sender is None:
            comment = "no destination of this name is configured any more"
            return [Settlement(one.sop_uid, DeliveryState.REFUSED, "", comment) for one in owed]
        parcels, damaged = [], []
        for one in owed:
            try:
                content = self._read(one)
            # a disk or a storage that does not answer just now still has it
            except OSError as error:
                comment = f"the archive cannot be read: {error.strerror}"
                damaged.append(
                    Settlement(one.sop_uid, DeliveryState.OWED, UNSENT, comment, in_doubt=one.in_doubt)
                )
                continue
            if content is None:
                comment = "the archived result is damaged or gone"
                damaged.append(Settlement(one.sop_uid, DeliveryState.REFUSED, "", comment))
            else:
                report = one.kind in REPORTS
                parcels.append(
                    Parcel(one.sop_uid, one.sop_class_uid, one.transfer_syntax_uid, content, report)
                )
        if not parcels:
            return damaged
        patient = self._patient(parcels[0])
        classes = {parcel.sop_uid: parcel.sop_class_uid for parcel in parcels}
        _log.debug("sending", extra={"study_uid": study_uid, "to": destination, "results": len(parcels)})
        self.audit.sending(destination, study_uid, classes.values(), patient)
        sent = self._send_parcels(sender, parcels)
        outcomes = [(classes.get(one.sop_uid, ""), one.state, one.status) for one in sent]
        self.audit.sent(destination, study_uid, outcomes, patient)
        doubted = {one.sop_uid for one in owed if one.in_doubt}
        told = (replace(s, in_doubt=s.in_doubt or s.sop_uid in doubted, broke=s.in_doubt) for s in sent)
        return [*damaged, *told]

    def _send_parcels(self, sender: Sender, parcels: Sequence[Parcel]) -> Sequence[Settlement]:
        try:
            return sender.send(parcels)
        except PeerUnavailableError as error:
            return [passing(p.sop_uid, error) for p in parcels]
        except PeerRefusedError as error:
            return [Settlement(p.sop_uid, DeliveryState.REFUSED, "", str(error)) for p in parcels]
        # whatever went wrong here must be seen in the ledger and backed off, not repeated in silence
        except Exception as error:  # noqa: BLE001
            _log.error("unexpected error while sending", exc_info=error)
            comment = f"unexpected {type(error).__name__} while sending"
            return [Settlement(p.sop_uid, DeliveryState.OWED, "", comment, in_doubt=True) for p in parcels]

    def _patient(self, parcel: Parcel) -> str:
        """Pseudonym of the patient of a result; empty where it cannot be read."""
        try:
            return self.audit.patient(read_header(BytesIO(parcel.content)))
        except InstanceRejectedError:
            return ""

    def _read(self, one: Owed) -> bytes | None:
        """A result's bytes, if they are those that were written.

        Raises:
            OSError: The archive does not answer, or another one is in its place, as an empty mount point.
        """
        with suppress(FileNotFoundError):
            content = self.archive.read_result(one.sop_uid)
            if sha256(content).hexdigest() == one.sha256:
                return content
        if not self.archive.is_there(self.archive_identity):
            told = "not the archive of the ledger, or it does not answer"
            raise FileNotFoundError(errno.ENOENT, told, self.archive.marker)
        return None
