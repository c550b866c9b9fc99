"""Intake: one received instance made safe, on disk and in the ledger, before its sender hears Success."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.header import read_instance, read_received_header
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.dicom.search_keys import search_keys
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import Instance
from dibmg_node.domain.subject import same_subject
from dibmg_node.errors import InstanceRejectedError, RetryableError, StorageFullError
from dibmg_node.services.addresses import Address, address_of
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.selftest_gate import ClosedGate, Gate
from dibmg_node.services.wire import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    NO_ROOM,
    AssociationEnd,
    AssociationRequest,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from dibmg_node.storage.archive import Archive, SpoolFile
from dibmg_node.storage.receipts import Patience, Receipt, Receipts, Received

_log = logging.getLogger(__name__)


Hold: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Keeps every other thread and process from naming an instance until the ledger knows of it."""


@dataclass(frozen=True)
class AllowedSender:
    """One AE title from one network.

    Attributes:
        certificate_subject: Of the certificate that it has to show; None: of whoever's it is.
    """

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    certificate_subject: str | None = None


@dataclass(frozen=True)
class IntakePolicy:
    """What intake takes, and from whom.

    Attributes:
        senders: Empty: this machine (loopback) under any calling AE title.
        reserve_bytes: Less free disk than this is answered "out of resources".
        keep_first: Answer Success to other bytes under a known UID (the first bytes stay).
        quiet_time: Of one sender, by its AE title.
        may_report: Whether a peer, by its AE title and address, may report on storage commitment although it
            is no sender.
        longest_wait: For any study, from its first instance.
    """

    ae_title: str
    senders: tuple[AllowedSender, ...]
    reserve_bytes: int
    keep_first: bool
    quiet_time: Callable[[str], timedelta]
    longest_wait: timedelta
    may_report: Callable[[str, Address], bool] = lambda aet, address: False


class Intake:
    """The policy of the receiving side; the acceptor and the web server do the wire."""

    def __init__(
        self,
        archive: Archive,
        receipts: Receipts,
        policy: IntakePolicy,
        now: Callable[[], datetime],
        audit: Auditor = SILENT,
        gate: Gate = ClosedGate(),
        hold: Hold | None = None,
    ) -> None:
        self._archive = archive
        self._hold = hold or archive.held
        self._audit = audit
        self._gate = gate
        self._receipts = receipts
        self._policy = policy
        self._now = now
        self._studies: dict[str, set[str]] = {}

    def admit(self, request: AssociationRequest) -> Rejection | None:
        """Decide on an association by AE titles, address and certificate, and by the room on the disk.

        The peer hears no more than result, source and reason; the sentence is for the log and for status. Who
        may report on storage commitment is let in with a full disk, too: what it proves may be purged.
        """
        if request.called_aet != self._policy.ae_title:
            return CALLED_AE_NOT_RECOGNIZED
        if self._policy.may_report(request.calling_aet, address_of(request.peer_address)):
            return None
        lacking = self._lacking(request)
        if lacking is not None:
            told = f"{CALLING_AE_NOT_RECOGNIZED.sentence}: {lacking}"
            return replace(CALLING_AE_NOT_RECOGNIZED, sentence=told)
        return None if self._archive.free_bytes() >= self._policy.reserve_bytes else NO_ROOM

    def open_sent(self, request: StoreRequest) -> Reception:
        """Start to receive one instance that came by C-STORE.

        Raises:
            InstanceRejectedError: 0x0124, the peer is no sender: it was let in for its reports alone.
            StorageFullError: Less is free than the reserve.
        """
        if self._lacking(request) is not None:
            raise InstanceRejectedError(
                StoreStatus.NOT_AUTHORIZED, "calling AE title, address and certificate are those of no sender"
            )
        return self.open_instance(request)

    def _lacking(self, request: AssociationRequest | StoreRequest) -> str | None:
        """Why a peer is none of the senders; None: it is one."""
        address = address_of(request.peer_address)
        if request.calling_aet == SELFTEST_AET:
            return self._gate.lacking(address)
        if not self._policy.senders:
            return None if address.is_loopback else "no [[sender]] is listed, so only this machine may send"
        named = [one for one in self._policy.senders if one.ae_title == request.calling_aet]
        if not named:
            return "no [[sender]] has this AE title"
        there = [one for one in named if address in one.network]
        if not there:
            return "no [[sender]] of this AE title has this address"
        found = request.certificate_subject
        if any(
            one.certificate_subject is None or (found and same_subject(one.certificate_subject, found))
            for one in there
        ):
            return None
        return f"its [[sender]] has another certificate_subject than {found or 'none'}"

    def open_instance(self, request: StoreRequest) -> Reception:
        """Start to receive one instance.

        Raises:
            StorageFullError: Less is free than the reserve.
        """
        self.check_room()
        prefix = part10_prefix(request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
        return Reception(self, request, self._archive.open_spool(prefix))

    def check_room(self) -> None:
        """Whether anything may be received at all.

        Raises:
            StorageFullError: Less is free than the reserve.
        """
        free = self._archive.free_bytes()
        if free < self._policy.reserve_bytes:
            raise StorageFullError(f"{free} bytes free, the reserve is {self._policy.reserve_bytes}")

    def repair(self) -> int:
        """Remove what a killed intake left: nobody was told that it is safe, its sender sends it again.

        Returns:
            Number of files removed.
        """
        left = self._archive.left_in_spool()
        for path in left:
            try:
                with path.open("rb") as file:
                    sop_uid = str(read_received_header(file).get("SOPInstanceUID", ""))
                # without its folder it never got a name, and a full disk has no room to make one
                if self._archive.instance_path(sop_uid).parent.exists():
                    with self._hold(sop_uid):
                        if not self._receipts.holds(sop_uid):
                            self._archive.forget(path, sop_uid)
            except InstanceRejectedError:
                pass  # not even a header: it never got a name
            path.unlink()
        return len(left)

    def ended(self, end: AssociationEnd) -> None:
        """An association is over: the studies that it brought need not wait for it any longer."""
        self.sender_done(end.association_id)

    def sender_done(self, association_id: str) -> frozenset[str]:
        """An association or a STOW-RS request brings nothing more.

        Returns:
            UIDs of the studies that it brought.
        """
        study_uids = frozenset(self._studies.pop(association_id, ()))
        self._audit.transfers_ended(association_id)
        if study_uids:
            try:
                self._receipts.sender_done(study_uids, self._now())
            except RetryableError as error:
                extra = {"reason": str(error)}
                _log.warning("sender's end not entered; the quiet time decides", extra=extra)
        return study_uids

    def take(self, request: StoreRequest, spooled: SpoolFile) -> StoreAnswer:
        """Check a received file, name it, enter it.

        Order: fsync, header check, rename, fsync of the folder, ledger, and only then the answer.
        """
        spooled.sync()
        with spooled.path.open("rb") as file:
            header = read_received_header(file)
            instance = read_instance(header, request.transfer_syntax_uid)
            patient = self._audit.patient(header)
        _check_identity(instance, request)
        self._gate.check(request, instance, spooled.path)
        with self._hold(instance.sop_uid):
            receipt = self._receipts.known(instance.sop_uid, spooled.size, spooled.crc32)
            if receipt is Receipt.DUPLICATE and not self._archive.has_instance(instance.sop_uid):
                _log.error(
                    "archived file was gone; its bytes came again", extra={"sop_uid": instance.sop_uid}
                )
                self._archive.keep(spooled, instance.sop_uid)
                self._receipts.returned(instance.study_uid, instance.sop_uid, self._now())
            if receipt in (Receipt.NEW, Receipt.PURGED):
                self._archive.keep(spooled, instance.sop_uid)
                patience = Patience(self._policy.quiet_time(request.calling_aet), self._policy.longest_wait)
                receipt = self._receipts.store(
                    Received(instance, spooled.size, spooled.crc32, request.calling_aet, search_keys(header)),
                    patience,
                    self._now(),
                )
            elif receipt is Receipt.DIFFERENT:
                self._archive.quarantine(spooled, instance.sop_uid)
                self._receipts.quarantined(instance.study_uid, instance.sop_uid, self._now())
        self._studies.setdefault(request.association_id, set()).add(instance.study_uid)
        if receipt is Receipt.DIFFERENT:
            self._audit.quarantined(request, instance, patient)
        else:
            self._audit.received(request, instance, patient)
        return self._answer(instance, receipt)

    def _answer(self, instance: Instance, receipt: Receipt) -> StoreAnswer:
        facts = {"study_uid": instance.study_uid, "sop_uid": instance.sop_uid, "receipt": receipt.name}
        if receipt is not Receipt.DIFFERENT:
            _log.info("instance stored", extra=facts)
            return StoreAnswer(StoreStatus.SUCCESS)
        _log.error("other bytes under a known instance UID; quarantined", extra=facts)
        if self._policy.keep_first:
            return StoreAnswer(StoreStatus.SUCCESS)
        comment = "other bytes under a SOP Instance UID that is taken"
        return StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, comment)


class Reception:
    """One data set on its way in; what `services.wire` calls an instance's sink."""

    def __init__(self, intake: Intake, request: StoreRequest, spooled: SpoolFile) -> None:
        self._intake = intake
        self._request = request
        self._spooled = spooled

    def write(self, fragment: memoryview) -> None:
        """Append the next bytes to the spool file."""
        self._spooled.write(fragment)

    def commit(self) -> StoreAnswer:
        """Make the instance safe, or refuse it."""
        try:
            answer = self._intake.take(self._request, self._spooled)
        except InstanceRejectedError as error:
            self._spooled.discard()
            extra = {"sop_uid": self._request.sop_instance_uid, "reason": str(error)}
            _log.warning("instance refused", extra=extra)
            return StoreAnswer(error.status, str(error), error.offending_element)
        except (RetryableError, OSError) as error:
            extra = {"sop_uid": self._request.sop_instance_uid, "reason": _reason(error)}
            _log.error("instance not stored", extra=extra)
            return StoreAnswer(StoreStatus.OUT_OF_RESOURCES, _reason(error))
        finally:
            self._spooled.abandon()
        self._spooled.discard()
        return answer

    def abort(self) -> None:
        """Forget what came."""
        self._spooled.discard()


def _reason(error: Exception) -> str:
    return f"disk: {error.strerror}" if isinstance(error, OSError) else str(error)


def _check_identity(instance: Instance, request: StoreRequest) -> None:
    """Data set and command name the same object, and the study that the request is for.

    Source: PS3.4 B.2.3, status 0xA9xx.
    """
    if request.study_uid is not None and instance.study_uid != request.study_uid:
        raise InstanceRejectedError(
            StoreStatus.PROCESSING_FAILURE, "Study Instance UID is not that of the request", 0x0020000D
        )
    for name, tag, found, expected in (
        ("SOP Class UID", 0x00080016, instance.sop_class_uid, request.sop_class_uid),
        ("SOP Instance UID", 0x00080018, instance.sop_uid, request.sop_instance_uid),
    ):
        if found != expected:
            raise InstanceRejectedError(
                StoreStatus.DATA_SET_MISMATCH, f"{name} of data set and command differ", tag
            )
