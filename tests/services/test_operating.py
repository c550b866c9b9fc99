"""What operators decide, as ledger, log and audit trail have it."""

from __future__ import annotations

import logging

import pytest

from dibmg_node.domain.pause import Part
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import PermanentError
from dibmg_node.services.operating import Operating, Person
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from tests.factories import STUDY_UID, Clock
from tests.services.audit_trail import AuditTrail
from tests.storage.life import make_ready, reason_of

ANNA = Person("anna", "10.0.0.7")


@pytest.fixture
def operating(ledger: Ledger, trail: AuditTrail, clock: Clock) -> Operating:
    make_ready(ledger, clock)
    return Operating(ledger, trail.auditor, clock)


def test_every_decision_is_in_the_audit_trail_with_who_what_and_about_which_study(
    operating: Operating, trail: AuditTrail
) -> None:
    operating.prioritize(ANNA, STUDY_UID, Priority.STAT)
    operating.cancel(ANNA, STUDY_UID, "sent by mistake")
    operating.retry(ANNA, STUDY_UID)
    operating.pause(ANNA, Part.DESTINATION, "pacs", "upgrade")
    operating.resume(ANNA, Part.DESTINATION, "pacs")

    lines = trail.lines
    told = [(one["type"], one["description"], one.get("studies", [{}])[0].get("study_uid")) for one in lines]
    assert told == [
        ("priority", "stat, before routine", STUDY_UID),
        ("cancel", "sent by mistake", STUDY_UID),
        ("retry", "analysis", STUDY_UID),
        ("pause", "destination pacs: upgrade", None),
        ("resume", "destination pacs", None),
    ]
    person = {"user": "anna", "role": "", "address": "10.0.0.7", "requestor": True}
    assert all(one["event"] == "110100" and one["participants"][0] == person for one in lines)


def test_the_log_says_who_decided_what(operating: Operating, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    operating.cancel(ANNA, STUDY_UID, "sent by mistake")

    (line,) = [vars(r) for r in caplog.records if r.getMessage() == "cancel asked"]
    assert (line["user"], line["what"], line["study_uid"]) == ("anna", "sent by mistake", STUDY_UID)


@pytest.mark.parametrize(
    ("who", "reason", "sentence"),
    [
        (ANNA, "sent\n by  mistake ", "canceled by anna: sent by mistake"),
        (ANNA, "", "canceled by anna"),
        (Person(""), "twice", "canceled by an operator: twice"),
    ],
)
def test_a_study_that_is_given_up_says_by_whom_and_why_on_one_line(
    operating: Operating, ledger: Ledger, who: Person, reason: str, sentence: str
) -> None:
    operating.cancel(who, STUDY_UID, reason)

    assert reason_of(ledger) == sentence


def test_a_reason_that_is_too_long_is_refused_and_nothing_is_done(
    operating: Operating, ledger: Ledger, trail: AuditTrail
) -> None:
    with pytest.raises(PermanentError, match="at most 200 characters, found 201"):
        operating.pause(ANNA, Part.INTAKE, reason="x" * 201)

    assert (ledger.pauses.all(), trail.lines) == ([], [])


def test_what_was_refused_is_not_in_the_audit_trail(operating: Operating, trail: AuditTrail) -> None:
    with pytest.raises(PermanentError):
        operating.resume(ANNA, Part.ANALYSIS)
    with pytest.raises(PermanentError):
        operating.retry(ANNA, "1.2.3", Retry.ANALYSIS)

    assert trail.lines == []
