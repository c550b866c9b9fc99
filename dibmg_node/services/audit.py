"""The audit: from what the services do to events of the trail. It never stops what it tells of.

Source: PS3.15 A.5.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import is_uid
from dibmg_node.domain.audit import (
    Action,
    AuditedStudy,
    AuditEvent,
    EventId,
    EventType,
    Gravity,
    Participant,
    Role,
)
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.study import Instance
from dibmg_node.services.audit_recording import Journal, Nowhere, Recorder
from dibmg_node.services.pseudonyms import Pseudonyms
from dibmg_node.services.throttle import Throttle
from dibmg_node.services.wire import StoreRequest, TurnedAway

ALERT_PAUSE: Final = timedelta(minutes=1)
LOGIN_PAUSE: Final = timedelta(hours=1)
_GRAVITY: Final = {
    DeliveryState.STORED: Gravity.SUCCESS,
    DeliveryState.OWED: Gravity.MINOR,
    DeliveryState.REFUSED: Gravity.SERIOUS,
}
_WORDS: Final = {DeliveryState.OWED: "not sent yet", DeliveryState.REFUSED: "refused"}
_TOLD_KEYS: Final = frozenset({"Modality", "ModalitiesInStudy"})
"""Keys of a search whose values are told: these name nobody, and neither do UIDs."""


@dataclass
class _Transfer:
    """A study on its way in over one association."""

    source: Participant
    patient: str
    instances: Counter[str] = field(default_factory=Counter)


class Auditor:
    """Enters what happens into the trail. Used by many threads; raises nothing."""

    def __init__(
        self,
        journal: Journal,
        node: str,
        pseudonyms: Pseudonyms,
        now: Callable[[], datetime],
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        """Make one.

        Args:
            journal: Where events are kept.
            node: AE title of this node.
            pseudonyms: Of patients.
            now: The time.
            addresses: Host of each destination, by its name.
        """
        self._recorder = Recorder(journal, node, now)
        self._node = node
        self._pseudonyms = pseudonyms
        self._addresses = addresses or {}
        self._alerts = Throttle(ALERT_PAUSE, now)
        self._logins = Throttle(LOGIN_PAUSE, now)
        self._waiting: set[tuple[str, str]] = set()
        self._transfers: dict[str, dict[str, _Transfer]] = {}

    def patient(self, header: Dataset) -> str:
        """Pseudonym of the patient that a header names, as the other methods want it."""
        return self._pseudonyms.of_header(header)

    def started(self, process: str) -> None:
        """A process of the node begins. Source: A.5.3.1."""
        self._activity(process, EventType.APPLICATION_START)

    def stopped(self, process: str) -> None:
        """A process of the node ends as it was asked to."""
        self._activity(process, EventType.APPLICATION_STOP)

    def received(self, request: StoreRequest, instance: Instance, patient: str) -> None:
        """An instance is safe; the first of a study on an association begins a transfer. Source: A.5.3.3."""
        studies = self._transfers.setdefault(request.association_id, {})
        transfer = studies.get(instance.study_uid)
        if transfer is None:
            source = Participant(request.calling_aet, Role.SOURCE, request.peer_address, True)
            transfer = _Transfer(source, patient)
            studies[instance.study_uid] = transfer
            self._transfer(EventId.BEGIN_TRANSFERRING, Action.EXECUTE, instance.study_uid, transfer)
        transfer.instances[instance.sop_class_uid] += 1

    def transfers_ended(self, association_id: str) -> None:
        """An association or a request brings nothing more. Source: A.5.3.7."""
        for study_uid, transfer in self._transfers.pop(association_id, {}).items():
            self._transfer(EventId.INSTANCES_TRANSFERRED, Action.CREATE, study_uid, transfer)

    def quarantined(self, request: StoreRequest, instance: Instance, patient: str) -> None:
        """Other bytes came under a SOP Instance UID that is taken. Source: A.5.3.11."""
        repeated = self._alerts.admit("same-uid", request.calling_aet, request.peer_address, instance.sop_uid)
        if repeated is not None:
            self._recorder.record(
                AuditEvent(
                    EventId.SECURITY_ALERT,
                    Action.EXECUTE,
                    (self._here(), Participant(request.calling_aet, Role.SOURCE, request.peer_address)),
                    EventType.SAME_UID,
                    Gravity.SERIOUS,
                    f"instance {instance.sop_uid} came again with other bytes; they are in quarantine",
                    patient,
                    (AuditedStudy(instance.study_uid, {instance.sop_class_uid: 1}),),
                    node=request.peer_address,
                    repeated=repeated,
                )
            )

    def turned_away(self, who: TurnedAway) -> None:
        """Somebody was not let in. Source: A.5.3.11.

        Who may come again later, or was let in, did nothing wrong: status counts it, and no alert does.
        """
        if who.for_now or who.let_in:
            return
        repeated = self._alerts.admit(who.peer_address, who.calling_aet, who.sentence)
        if repeated is not None:
            called = f"; called {who.called_aet}" if who.called_aet else ""
            self._recorder.record(
                AuditEvent(
                    EventId.SECURITY_ALERT,
                    Action.EXECUTE,
                    (self._here(), Participant(who.calling_aet or who.peer_address, None, who.peer_address)),
                    EventType.NODE_AUTHENTICATION,
                    Gravity.MINOR,
                    who.sentence + called,
                    node=who.peer_address,
                    repeated=repeated,
                )
            )

    def authenticated(self, peer_address: str, user: str = "") -> None:
        """A user of the web server showed what is asked for; each told once an hour. Source: A.5.3.12.

        Args:
            peer_address: Of the user.
            user: Who logged in; empty for a token, which many may have.
        """
        repeated = self._logins.admit(user, peer_address)
        if repeated is not None:
            self._login(user, peer_address, Gravity.SUCCESS, "", repeated)

    def not_authenticated(self, peer_address: str, reason: str, user: str = "") -> None:
        """A user of the web server was refused.

        Args:
            peer_address: Of the user.
            reason: Why.
            user: Whose account was tried; empty where there is none, for what was typed may be a password.
        """
        repeated = self._alerts.admit("web", user, peer_address, reason)
        if repeated is not None:
            self._login(user, peer_address, Gravity.MINOR, reason, repeated)

    def queried(self, peer_address: str, path: str, wanted: Mapping[str, str]) -> None:
        """Somebody searched; values that may name a patient are left out. Source: A.5.3.10.

        Args:
            peer_address: Of the user.
            path: Of the URL, without its query.
            wanted: Value to match by keyword.
        """
        keys = [f"{name}={value if _is_told(name, value) else '?'}" for name, value in sorted(wanted.items())]
        asked = wanted.get("PatientID", "")
        self._recorder.record(
            AuditEvent(
                EventId.QUERY,
                Action.EXECUTE,
                (Participant(peer_address, Role.SOURCE, peer_address, True), self._here(Role.DESTINATION)),
                patient="" if set(asked) & set("*?") else self._pseudonyms.of(asked),
                query=path + ("?" + "&".join(keys) if keys else ""),
            )
        )

    def accessed(
        self,
        peer_address: str,
        study_uid: str,
        sop_class_uids: Iterable[str],
        patient: str,
        user: str = "",
    ) -> None:
        """Somebody was given results, or saw them on a page, as the user who logged in. Source: A.5.3.6."""
        self._recorder.record(
            AuditEvent(
                EventId.INSTANCES_ACCESSED,
                Action.READ,
                (Participant(user or peer_address, None, peer_address, True), self._here()),
                patient=patient,
                studies=(AuditedStudy(study_uid, Counter(sop_class_uids)),),
            )
        )

    def sending(self, destination: str, study_uid: str, sop_class_uids: Iterable[str], patient: str) -> None:
        """Results are about to be sent; further attempts are not told of. Source: A.5.3.3."""
        if (destination, study_uid) not in self._waiting:
            study = AuditedStudy(study_uid, Counter(sop_class_uids))
            self._outgoing(EventId.BEGIN_TRANSFERRING, Action.EXECUTE, destination, study, patient)

    def sent(
        self,
        destination: str,
        study_uid: str,
        outcomes: Iterable[tuple[str, DeliveryState, str]],
        patient: str,
    ) -> None:
        """What became of results; one event for each way in which it ended. Source: A.5.3.7.

        Of attempts that fail and will be repeated only the first is told of: the ledger counts them.

        Args:
            destination: Its name.
            study_uid: Whose results.
            outcomes: SOP class, state and status of each.
            patient: Pseudonym.
        """
        found: dict[tuple[DeliveryState, str], Counter[str]] = {}
        for sop_class_uid, state, status in outcomes:
            told = "" if state is DeliveryState.STORED else f"{_WORDS[state]} {status}".strip()
            found.setdefault((state, told), Counter())[sop_class_uid] += 1
        parcel = (destination, study_uid)
        waited = parcel in self._waiting
        for (state, told), instances in found.items():
            if state is DeliveryState.OWED and waited:
                continue
            study = AuditedStudy(study_uid, instances)
            self._outgoing(
                EventId.INSTANCES_TRANSFERRED, Action.READ, destination, study, patient, _GRAVITY[state], told
            )
        if any(state is DeliveryState.OWED for state, _ in found):
            self._waiting.add(parcel)
        else:
            self._waiting.discard(parcel)

    def deleted(self, study_uid: str, reason: str, patient: str = "") -> None:
        """Images and results of a study were removed from the archive. Source: A.5.3.5."""
        self._recorder.record(
            AuditEvent(
                EventId.STUDY_DELETED,
                Action.DELETE,
                (self._here(Role.APPLICATION),),
                description=reason,
                patient=patient,
                studies=(AuditedStudy(study_uid),),
            )
        )

    def operated(self, kind: EventType, user: str, address: str, description: str, study_uid: str) -> None:
        """An operator decided something while the node runs.

        Args:
            kind: What.
            user: Who; empty where nobody has to log in.
            address: Where the pages are looked at from; empty for a command.
            description: How, and why, in the operator's words.
            study_uid: About which study; empty: about the node.
        """
        person = Participant(user or address or "operator", None, address, True)
        self._recorder.record(
            AuditEvent(
                EventId.APPLICATION_ACTIVITY,
                Action.EXECUTE,
                (person, self._here(Role.APPLICATION)),
                kind,
                description=description,
                studies=(AuditedStudy(study_uid),) if study_uid else (),
            )
        )

    def user_changed(self, user: str, address: str, account: str, description: str) -> None:
        """Somebody may log in, or may no longer, or as another role. Source: A.5.3.11.

        Args:
            user: Who decided it.
            address: From where; empty for a command.
            account: The user of the pages that it is about.
            description: What is new; no password.
        """
        # A.5.3.11 has who performs what an alert tells of as no requestor
        performer = Participant(user or address or "operator", None, address)
        self._recorder.record(
            AuditEvent(
                EventId.SECURITY_ALERT,
                Action.EXECUTE,
                (performer, self._here(Role.APPLICATION)),
                EventType.USER_CHANGED,
                description=description,
                account=account,
            )
        )

    def log_used(self, user: str, address: str, asked: str) -> None:
        """Somebody reads this trail. Source: A.5.3.2.

        Args:
            user: Who; empty where nobody has to log in.
            address: Where the pages are looked at from.
            asked: Path and query of the URL; names no patient.
        """
        reader = Participant(user or address or "operator", None, address, True)
        self._recorder.record(
            AuditEvent(EventId.AUDIT_LOG_USED, Action.READ, (reader, self._here()), query=asked)
        )

    def _activity(self, process: str, kind: EventType) -> None:
        participant = Participant(process, Role.APPLICATION)
        self._recorder.record(AuditEvent(EventId.APPLICATION_ACTIVITY, Action.EXECUTE, (participant,), kind))

    def _transfer(self, event: EventId, action: Action, study_uid: str, transfer: _Transfer) -> None:
        self._recorder.record(
            AuditEvent(
                event,
                action,
                (transfer.source, self._here(Role.DESTINATION)),
                patient=transfer.patient,
                studies=(AuditedStudy(study_uid, transfer.instances),),
            )
        )

    def _outgoing(
        self,
        event: EventId,
        action: Action,
        destination: str,
        study: AuditedStudy,
        patient: str,
        gravity: Gravity = Gravity.SUCCESS,
        description: str = "",
    ) -> None:
        receiver = Participant(destination, Role.DESTINATION, self._addresses.get(destination, ""))
        self._recorder.record(
            AuditEvent(
                event,
                action,
                (Participant(self._node, Role.SOURCE, requestor=True), receiver),
                gravity=gravity,
                description=description,
                patient=patient,
                studies=(study,),
            )
        )

    def _login(self, user: str, peer_address: str, gravity: Gravity, description: str, repeated: int) -> None:
        self._recorder.record(
            AuditEvent(
                EventId.USER_AUTHENTICATION,
                Action.EXECUTE,
                (Participant(user or peer_address, None, peer_address, True), self._here()),
                EventType.LOGIN,
                gravity,
                description,
                repeated=repeated,
            )
        )

    def _here(self, role: Role | None = None) -> Participant:
        return Participant(self._node, role)


def _is_told(keyword: str, value: str) -> bool:
    return keyword in _TOLD_KEYS if not keyword.endswith("UID") else is_uid(value)


SILENT: Final = Auditor(Nowhere(), "", Pseudonyms(b""), lambda: datetime.now(UTC))
"""Tells nobody: for a part that runs without a node."""
