"""The audit's events: what each tells of, and who takes part in it."""

from __future__ import annotations

from typing import Final

from dibmg_node.conformance.markdown import table
from dibmg_node.domain.audit import EventId, EventType

_TOLD: Final = {
    EventId.APPLICATION_ACTIVITY: "a process of the node starts, or stops as it was asked to; an operator "
    "has a study tried again, gives it up, sets its priority, pauses or resumes a part of the node, "
    "enters what became of exams, or fixes a baseline of drift",
    EventId.AUDIT_LOG_USED: "an operator reads the trail on the pages, or has it verified there",
    EventId.BEGIN_TRANSFERRING: "the first instance of a study on an association, in a STOW-RS request or in "
    "a fetch is safe; results are about to be sent",
    EventId.INSTANCES_ACCESSED: "results are given out by WADO-RS, as files or as metadata; "
    "the page of a study is opened",
    EventId.INSTANCES_TRANSFERRED: "the association, request or fetch that brought a study is over (C); "
    "results were sent, refused or could not be sent (R)",
    EventId.STUDY_DELETED: "images and results of a study were removed from the archive",
    EventId.QUERY: "QIDO-RS",
    EventId.SECURITY_ALERT: "an association is rejected for good, a TLS handshake fails, other bytes come "
    "under a known SOP Instance UID, audit lines were torn or could not be written, a user of the pages is "
    "added, removed or given another role or password",
    EventId.USER_AUTHENTICATION: "a user of the web server shows a bearer token or logs in on the pages, "
    "or is refused",
}
_TYPES: Final = {
    EventId.APPLICATION_ACTIVITY: (
        EventType.APPLICATION_START,
        EventType.APPLICATION_STOP,
        EventType.RETRY,
        EventType.CANCEL,
        EventType.PRIORITY,
        EventType.PAUSE,
        EventType.RESUME,
        EventType.OUTCOMES,
        EventType.BASELINE,
    ),
    EventId.SECURITY_ALERT: (
        EventType.NODE_AUTHENTICATION,
        EventType.RECORDING_STOPPED,
        EventType.USER_CHANGED,
        EventType.SAME_UID,
    ),
    EventId.USER_AUTHENTICATION: (EventType.LOGIN,),
}


def audit_table() -> str:
    """Events with their types and what they tell of. Source: PS3.15 A.5.3."""
    return table(
        ("Event", "Types", "Told when"),
        (
            (
                f"{event.code} {event.meaning}",
                ", ".join(f"{kind.code} {kind.meaning}" for kind in _TYPES.get(event, ())),
                told,
            )
            for event, told in _TOLD.items()
        ),
    )
