"""Statuses that the node answers with, and what those of its peers mean to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeAlias

from dibmg_node.conformance.markdown import code, table
from dibmg_node.dicom.commitment import ReportStatus
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.domain.lifecycle import FIRST_PROOF_WAIT, FIRST_RETRY, LONGEST_RETRY, DeliveryState
from dibmg_node.services.outcomes import (
    meaning_of,
    outcome_of,
    outcome_of_failure,
    outcome_of_http,
)
from dibmg_node.services.reports import FAILURES, failure_of
from dibmg_node.storage.evidence import Finding

_ALL: Final = range(0x10000)
_HTTP: Final = range(200, 600)
_Judgment: TypeAlias = tuple[DeliveryState, str]
"""What becomes of a result, and the status in words."""

_ANSWERS: Final[Mapping[StoreStatus, tuple[str, str]]] = {
    StoreStatus.SUCCESS: (
        "the instance is on disk and in the ledger; or it was there already, byte for byte; or its "
        'first bytes are, and these are put into quarantine (`intake.same_uid = "keep_first"`)',
        "the study is read once it is complete",
    ),
    StoreStatus.PROCESSING_FAILURE: (
        "STOW-RS and fetches: the instance is of another study than the one that was named",
        "nothing is kept",
    ),
    StoreStatus.INVALID_SOP_INSTANCE: ("the SOP Instance UID of the command is no UID", "nothing is kept"),
    StoreStatus.SOP_CLASS_NOT_SUPPORTED: (
        "the SOP class is not that of the presentation context; of a file: not accepted",
        "nothing is kept",
    ),
    StoreStatus.NOT_AUTHORIZED: (
        "the peer was let in to report on storage commitment, and is no sender",
        "nothing is kept",
    ),
    StoreStatus.OUT_OF_RESOURCES: (
        "less disk is free than the reserve, the ledger does not answer, or an operator paused intake while "
        "the association was open",
        "nothing is kept; the sender may try again",
    ),
    StoreStatus.DATA_SET_MISMATCH: (
        "data set and command name different objects, or the study, class or instance UID is missing or "
        "none; Offending Element names it",
        "nothing is kept",
    ),
    StoreStatus.CANNOT_UNDERSTAND: (
        "no data set, or one that is too long, a header that cannot be parsed, or other bytes under a known "
        'SOP Instance UID (`intake.same_uid = "refuse"`; with `"keep_first"` where the first were purged, '
        "are gone, or are of another study)",
        "nothing is kept; other bytes under a known UID are put into quarantine",
    ),
    StoreStatus.TRANSFER_SYNTAX_NOT_SUPPORTED: (
        "STOW-RS and WADO-RS: the transfer syntax is not accepted",
        "nothing is kept",
    ),
}
_REPORTS: Final[Mapping[ReportStatus, str]] = {
    ReportStatus.SUCCESS: "the report is in the ledger",
    ReportStatus.PROCESSING_FAILURE: "the ledger does not answer, or the report is too long",
    ReportStatus.NO_SUCH_EVENT_TYPE: "an Event Type ID other than 1 and 2",
    ReportStatus.INVALID_ARGUMENT_VALUE: (
        "the report cannot be parsed, names no instance, or a Transaction UID that this node did not make"
    ),
}
_FINDINGS: Final[Mapping[Finding, str]] = {
    Finding.LOST: "sent again, with the backoff of deliveries, and asked for again",
    Finding.WAITING: (
        f"asked for again after {FIRST_PROOF_WAIT.total_seconds() / 60:g} min, then after twice as long each "
        f"time, at most {LONGEST_RETRY.total_seconds() / 60:g} min, without end"
    ),
    Finding.UNPROVABLE: "not tried again until `dibmg retry`; the study is FAILED",
}
_OUTCOMES: Final[Mapping[DeliveryState, str]] = {
    DeliveryState.STORED: "delivered",
    DeliveryState.OWED: (
        f"tried again, first after {FIRST_RETRY.total_seconds():g} s, then after twice as long each time, "
        f"at most {LONGEST_RETRY.total_seconds() / 60:g} min, without end"
    ),
    DeliveryState.REFUSED: "not tried again until `dibmg retry`; the study is FAILED",
}


def answered_table() -> str:
    """Statuses of C-STORE responses, and failure reasons of STOW-RS."""
    return table(
        ("Status", "Meaning", "When", "What becomes of the instance"),
        ((code(f"{one:04X}"), one.name.lower().replace("_", " "), *_ANSWERS[one]) for one in StoreStatus),
    )


def report_table() -> str:
    """Statuses of N-EVENT-REPORT responses."""
    return table(
        ("Status", "Meaning", "When"),
        ((code(f"{one:04X}"), one.name.lower().replace("_", " "), _REPORTS[one]) for one in ReportStatus),
    )


def commitment_table() -> str:
    """What the failure reasons of a report on storage commitment mean for a result."""
    rows = [
        (code(f"{reason:04X}"), words, _FINDINGS[finding]) for reason, (words, finding) in FAILURES.items()
    ]
    other = failure_of("", 0).finding
    return table(
        ("Failure reason", "Meaning", "What becomes of the result"),
        [*rows, ("any other, or none", "an unknown reason", _FINDINGS[other])],
    )


def store_table() -> str:
    """What the statuses of C-STORE responses mean for a delivery: all of them."""
    groups = _groups(_ALL, lambda status: (outcome_of(status), meaning_of(status) or "success"))
    return _delivery_table("Status", groups, "04X")


def reason_table() -> str:
    """What the failure reasons of a STOW-RS response mean for a result: all of them."""
    groups = _groups(_ALL[1:], lambda status: (outcome_of_failure(status), meaning_of(status)))
    return _delivery_table("Failure reason", groups, "04X")


def http_table() -> str:
    """What the HTTP statuses of a STOW-RS response mean for a result that the answer does not name."""
    # no meanings: Python's words for them change from version to version
    return _delivery_table("HTTP status", _groups(_HTTP, lambda status: (outcome_of_http(status), "")), "d")


def _delivery_table(title: str, groups: Mapping[_Judgment, Sequence[tuple[int, int]]], form: str) -> str:
    titles = (title, "Meaning", "What becomes of the result")
    rows = [
        (", ".join(_range(first, last, form) for first, last in runs), meaning, _OUTCOMES[outcome])
        for (outcome, meaning), runs in groups.items()
    ]
    if not any(meaning for _, meaning, _ in rows):
        return table((title, titles[2]), ((statuses, fate) for statuses, _, fate in rows))
    return table(titles, rows)


def _groups(
    statuses: Iterable[int], judge: Callable[[int], _Judgment]
) -> dict[_Judgment, list[tuple[int, int]]]:
    """Statuses with one judgment, as (first, last) of each unbroken run."""
    groups: dict[_Judgment, list[tuple[int, int]]] = defaultdict(list)
    for judgment, run in groupby(statuses, judge):
        first, *others = run
        groups[judgment].append((first, others[-1] if others else first))
    return groups


def _range(first: int, last: int, form: str) -> str:
    return code(f"{first:{form}}" if first == last else f"{first:{form}}-{last:{form}}")
