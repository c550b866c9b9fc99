"""Intake: one received instance made safe, on disk and in the ledger, before its sender hears Success."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from dibmg_node.dicom.facts import VERIFICATION, StoreStatus
from dibmg_node.dicom.header import read_instance, read_received_header
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.dicom.search_keys import search_keys
from dibmg_node.dicom.urgency import read_priority
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.study import Instance
from dibmg_node.errors import InstanceRejectedError, IntakePausedError, RetryableError, StorageFullError
from dibmg_node.services.addresses import address_of
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.intake_policy import IntakePolicy
from dibmg_node.services.selftest_gate import ClosedGate, Gate
from dibmg_node.services.spooled_instance import SpooledInstance
from dibmg_node.services.wire import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    INTAKE_PAUSED,
    NO_ROOM,
    AssociationEnd,
    AssociationRequest,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.holds import Hold
from dibmg_node.storage.receipts import Patience, Receipt, Receipts, Received
from dibmg_node.storage.spool_file import SpoolFile

_log = logging.getLogger(__name__)


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
        on_done: Callable[[], None] = lambda: None,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """A receiving side.

        Args:
            archive: Where instances go.
            receipts: Where they are entered.
            policy: What is taken, and from whom.
            now: The clock.
            audit: Hears of every transfer.
            gate: Lets self-tests in.
            hold: As the type says; None: within this machine.
            on_done: Called once the ledger has it that a sender is done with its studies.
            on_stored: Called once the ledger has an instance, before its sender hears of it.
        """
        self._archive = archive
        self._hold = hold or archive.held
        self._audit = audit
        self._gate = gate
        self._receipts = receipts
        self._policy = policy
        self._now = now
        self._on_done = on_done
        self._on_stored = on_stored
        self._studies: dict[str, set[str]] = {}

    def admit(self, request: AssociationRequest) -> Rejection | None:
        """Decide on an association by AE titles, address, certificate, and whether anything is received now.

        The peer hears no more than result, source and reason; the sentence is for the log and for status. Who
        may report on storage commitment is let in with a full disk, too: what it proves may be purged. While
        intake is paused a sender may still ask whether somebody is there, on an association for nothing else.
        """
        if request.called_aet != self._policy.ae_title:
            return CALLED_AE_NOT_RECOGNIZED
        if self._policy.may_report(request.calling_aet, address_of(request.peer_address)):
            return None
        lacking = self._lacking(request)
        if lacking is not None:
            told = f"{CALLING_AE_NOT_RECOGNIZED.sentence}: {lacking}"
            return replace(CALLING_AE_NOT_RECOGNIZED, sentence=told)
        if request.abstract_syntaxes != {VERIFICATION} and self._is_paused():
            return INTAKE_PAUSED
        return None if self._archive.free_bytes() >= self._policy.reserve_bytes else NO_ROOM

    def open_sent(self, request: StoreRequest) -> SpooledInstance:
        """Start to receive one instance that came by C-STORE.

        Raises:
            InstanceRejectedError: 0x0124, the peer is no sender: it was let in for its reports alone.
            RetryableError: As `open_instance`.
        """
        if self._lacking(request) is not None:
            raise InstanceRejectedError(
                StoreStatus.NOT_AUTHORIZED, "calling AE title, address and certificate are those of no sender"
            )
        return self.open_instance(request)

    def _lacking(self, request: AssociationRequest | StoreRequest) -> str | None:
        """Why a peer is none of the senders, nor a self-test; None: it is one."""
        if request.calling_aet == SELFTEST_AET:
            return self._gate.lacking(address_of(request.peer_address))
        return self._policy.lacking(request)

    def open_instance(self, request: StoreRequest) -> SpooledInstance:
        """Start to receive one instance.

        Raises:
            IntakePausedError: An operator paused intake.
            LedgerUnavailableError: Nobody can tell; nothing could be entered either.
            StorageFullError: Less is free than the reserve.
        """
        self.check_open()
        self.check_room()
        prefix = part10_prefix(request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
        return SpooledInstance(self.take, request, self._archive.open_spool(prefix))

    def check_open(self) -> None:
        """Whether an operator lets anything be received.

        Raises:
            IntakePausedError: Intake is paused.
            LedgerUnavailableError: Nobody can tell.
        """
        if self._policy.is_paused():
            raise IntakePausedError("intake is paused: send it again later")

    def _is_paused(self) -> bool:
        try:
            return self._policy.is_paused()
        except RetryableError:
            return False  # whatever is sent is answered by the ledger's silence

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
                self._on_done()
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
                    Received(
                        instance,
                        spooled.size,
                        spooled.crc32,
                        request.calling_aet,
                        search_keys(header),
                        self._policy.priority(request.calling_aet)
                        or read_priority(header)
                        or Priority.ROUTINE,
                    ),
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
            self._on_stored()
        return self._answer(instance, receipt)

    def _answer(self, instance: Instance, receipt: Receipt) -> StoreAnswer:
        facts = {"study_uid": instance.study_uid, "sop_uid": instance.sop_uid, "receipt": receipt.name}
        if receipt is not Receipt.DIFFERENT:
            _log.info("instance stored", extra=facts)
            return StoreAnswer(StoreStatus.SUCCESS)
        _log.error("other bytes under a known instance UID; quarantined", extra=facts)
        if self._policy.keep_first and self._keeps_first(instance):
            return StoreAnswer(StoreStatus.SUCCESS)
        comment = "other bytes under a SOP Instance UID that is taken"
        return StoreAnswer(StoreStatus.CANNOT_UNDERSTAND, comment)

    def _keeps_first(self, instance: Instance) -> bool:
        """Whether the first bytes under a UID are safe, in the same study: or Success would be a lie."""
        held = self._receipts.holds(instance.sop_uid, instance.study_uid)
        return held and self._archive.has_instance(instance.sop_uid)


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
