"""What an audit trail tells of: an event, who took part in it, which studies. Never who the patient is.

Source: PS3.15 A.5.2, A.5.3; CID 400 to 403, PS3.16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Any, Final

PRIVATE_SCHEME: Final = "99DIBMG"
"""Coding scheme of event types that the standard has no code for."""


class _Coded(Enum):
    """A member is written as (code value, code meaning)."""

    @property
    def code(self) -> str:
        """Code value."""
        return str(self.value[0])

    @property
    def meaning(self) -> str:
        """Code meaning."""
        return str(self.value[1])

    @property
    def scheme(self) -> str:
        """Coding scheme designator."""
        return "DCM" if self.code.isdigit() else PRIVATE_SCHEME


class EventId(_Coded):
    """The family of an event. Source: CID 400."""

    APPLICATION_ACTIVITY = ("110100", "Application Activity")
    AUDIT_LOG_USED = ("110101", "Audit Log Used")
    BEGIN_TRANSFERRING = ("110102", "Begin Transferring DICOM Instances")
    INSTANCES_ACCESSED = ("110103", "DICOM Instances Accessed")
    INSTANCES_TRANSFERRED = ("110104", "DICOM Instances Transferred")
    STUDY_DELETED = ("110105", "DICOM Study Deleted")
    QUERY = ("110112", "Query")
    SECURITY_ALERT = ("110113", "Security Alert")
    USER_AUTHENTICATION = ("110114", "User Authentication")


class EventType(_Coded):
    """What kind of its family an event is. Source: CID 401, 403."""

    APPLICATION_START = ("110120", "Application Start")
    APPLICATION_STOP = ("110121", "Application Stop")
    LOGIN = ("110122", "Login")
    NODE_AUTHENTICATION = ("110126", "Node Authentication")
    RECORDING_STOPPED = ("110133", "Audit Recording Stopped")
    USER_CHANGED = ("110137", "User Security Attributes Changed")
    RETRY = ("retry", "Study tried again")
    CANCEL = ("cancel", "Study given up")
    PRIORITY = ("priority", "Priority of a study set")
    PAUSE = ("pause", "Part of the node paused")
    RESUME = ("resume", "Part of the node resumed")
    OUTCOMES = ("outcomes", "Outcomes of exams entered")
    BASELINE = ("baseline", "Baseline of drift fixed")
    SAME_UID = ("same-uid", "Other bytes under a known SOP Instance UID")


class Role(_Coded):
    """What a participant does. Source: CID 402."""

    APPLICATION = ("110150", "Application")
    DESTINATION = ("110152", "Destination Role ID")
    SOURCE = ("110153", "Source Role ID")


class Action(StrEnum):
    """Event Action Code. Source: PS3.15 A.5.2."""

    CREATE = "C"
    READ = "R"
    DELETE = "D"
    EXECUTE = "E"


class Gravity(IntEnum):
    """Event Outcome Indicator. Source: PS3.15 A.5.2."""

    SUCCESS = 0
    MINOR = 4
    SERIOUS = 8


@dataclass(frozen=True)
class Participant:
    """A person or a process that took part.

    Attributes:
        user: AE title, name of a process or of a destination; never a patient.
        address: IP address or host name; empty where there is none.
        requestor: It asked for what happened.
    """

    user: str
    role: Role | None = None
    address: str = ""
    requestor: bool = False


@dataclass(frozen=True)
class AuditedStudy:
    """A study that an event is about.

    Attributes:
        instances: Number of instances by SOP Class UID.
    """

    study_uid: str
    instances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditEvent:
    """One entry of the audit trail, without its time and its place in the chain.

    Attributes:
        patient: Pseudonym; empty where the patient is not known.
        description: Why it failed, or what the alert is about. Holds no patient identity.
        node: Address that an alert is about.
        account: User of the pages that an alert is about.
        query: URL that was searched at, and its keys without the values that name a patient.
        repeated: How often the same has happened since it was last entered.
    """

    event: EventId
    action: Action
    participants: tuple[Participant, ...]
    type: EventType | None = None
    gravity: Gravity = Gravity.SUCCESS
    description: str = ""
    patient: str = ""
    studies: tuple[AuditedStudy, ...] = ()
    node: str = ""
    account: str = ""
    query: str = ""
    repeated: int = 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in a line of the trail; what is empty is left out."""
        kind = self.type
        told: dict[str, Any] = {
            "event": self.event.code,
            "name": self.event.meaning,
            "type": kind.code if kind else "",
            "type_name": kind.meaning if kind else "",
            "action": self.action.value,
            "outcome": int(self.gravity),
            "description": self.description,
            "participants": [
                {
                    "user": one.user,
                    "role": one.role.code if one.role else "",
                    "address": one.address,
                    "requestor": one.requestor,
                }
                for one in self.participants
            ],
            "patient": self.patient,
            "studies": [{"study_uid": s.study_uid, "instances": dict(s.instances)} for s in self.studies],
            "node": self.node,
            "account": self.account,
            "query": self.query,
            "repeated": self.repeated,
        }
        return {key: value for key, value in told.items() if key == "outcome" or value}
