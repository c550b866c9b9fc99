"""What the services do, as it stands in the audit trail."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.audit import Auditor
from dibmg_node.services.delivery import Courier
from dibmg_node.services.intake import Intake
from dibmg_node.services.throttle import Throttle
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import CANARY, L_CC, R_CC, STUDY_UID, Clock, a_result, mammogram, part10, sop_uid
from tests.services.audit_trail import PSEUDONYMS, AuditTrail
from tests.services.test_delivery import RecordingSender
from tests.services.test_intake import POLICY, ended, send
from tests.storage.life import analysis, analyze, make_ready

P123 = PSEUDONYMS.of("P123")


@pytest.fixture
def intake(archive: Archive, ledger: Ledger, clock: Clock, trail: AuditTrail) -> Intake:
    return Intake(archive, ledger.receipts, POLICY, clock, trail.auditor)


def test_a_study_of_two_images_is_one_transfer_with_its_begin_and_its_end(
    intake: Intake, trail: AuditTrail
) -> None:
    for view in (R_CC, L_CC):
        send(intake, mammogram(view))

    intake.ended(ended())

    begin, end = trail.lines
    study = {"study_uid": STUDY_UID, "instances": {facts.MG_FOR_PRESENTATION: 1}}
    assert (begin["event"], begin["action"], begin["patient"]) == ("110102", "E", P123)
    assert begin["participants"][0] == {
        "user": "MG1",
        "role": "110153",
        "address": "127.0.0.1",
        "requestor": True,
    }
    assert begin["participants"][1]["user"] == "DIBMG"
    assert begin["studies"] == [study | {"instances": {}}]
    assert (end["event"], end["action"], end["outcome"]) == ("110104", "C", 0)
    assert end["studies"] == [study | {"instances": {facts.MG_FOR_PRESENTATION: 2}}]


def test_the_begin_is_on_the_disk_before_the_sender_hears_success(intake: Intake, trail: AuditTrail) -> None:
    send(intake, mammogram())

    assert trail.names == ["Begin Transferring DICOM Instances"]


def test_two_studies_on_an_association_are_two_transfers(intake: Intake, trail: AuditTrail) -> None:
    send(intake, mammogram())
    send(intake, mammogram(study_uid="1.2.9"))

    intake.ended(ended())

    assert [line["studies"][0]["study_uid"] for line in trail.lines if line["event"] == "110104"] == [
        STUDY_UID,
        "1.2.9",
    ]


def test_an_image_that_is_refused_begins_nothing(intake: Intake, trail: AuditTrail) -> None:
    send(intake, mammogram(), sop_instance_uid="1.2.3.4.5.6")

    intake.ended(ended())

    assert trail.lines == []


def test_other_bytes_under_a_known_uid_are_an_alert_that_names_the_instance(
    intake: Intake, trail: AuditTrail
) -> None:
    send(intake, mammogram())

    send(intake, mammogram(PatientName="Somebody^Else"))

    alert = trail.of("Security Alert")
    assert (alert["type"], alert["outcome"], alert["patient"]) == ("same-uid", 8, P123)
    assert sop_uid(R_CC) in alert["description"]
    assert alert["studies"][0]["study_uid"] == STUDY_UID


def test_a_patient_is_a_pseudonym_that_her_id_and_the_key_give(intake: Intake, trail: AuditTrail) -> None:
    send(intake, mammogram())

    content = "".join(path.read_text() for path in trail.folder.glob("*.jsonl"))
    assert len(P123) == 32
    assert P123 in content
    for told in ("P123", CANARY, "19600102", "A123"):
        assert told not in content.replace(P123, "")


@pytest.mark.parametrize("patient_id", ["", None])
def test_a_patient_without_an_id_has_no_pseudonym(
    intake: Intake, trail: AuditTrail, patient_id: str | None
) -> None:
    send(intake, mammogram(PatientID=patient_id))

    assert "patient" not in trail.lines[0]


WHO = TurnedAway("10.9.9.9", "EVIL", "DIBMG", "calling AE title not recognized")


def test_somebody_who_is_not_let_in_is_an_alert(trail: AuditTrail) -> None:
    trail.auditor.turned_away(WHO)

    alert = trail.of("Security Alert")
    assert (alert["type"], alert["node"], alert["outcome"]) == ("110126", "10.9.9.9", 4)
    assert alert["description"] == "calling AE title not recognized; called DIBMG"
    assert [one["user"] for one in alert["participants"]] == ["DIBMG", "EVIL"]


@pytest.mark.parametrize("changes", [{"for_now": True}, {"let_in": True}])
def test_who_may_come_again_later_or_had_an_instance_refused_is_no_alert(
    trail: AuditTrail, changes: dict[str, bool]
) -> None:
    trail.auditor.turned_away(replace(WHO, **changes))

    assert trail.lines == []


def test_who_knocks_a_thousand_times_is_told_once_a_minute_and_counted(
    trail: AuditTrail, clock: Clock
) -> None:
    for _ in range(1000):
        trail.auditor.turned_away(WHO)
    trail.auditor.turned_away(replace(WHO, peer_address="10.9.9.8"))
    clock.advance(60)

    trail.auditor.turned_away(WHO)

    assert [line.get("repeated") for line in trail.lines] == [None, None, 999]


def test_names_without_number_take_no_memory_without_end(clock: Clock) -> None:
    throttle = Throttle(timedelta(minutes=1), clock)

    told = [throttle.admit(f"10.0.{number}") for number in range(3000)]

    assert told.count(0) == 1001
    clock.advance(60)
    assert throttle.admit("10.0.1") == 0
    assert throttle.admit("others") == 1999


class FullDisk:
    """A journal without room until it is given some."""

    def __init__(self) -> None:
        self.full = True
        self.told: list[Mapping[str, Any]] = []

    def append(self, told: Mapping[str, Any], at: datetime) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.told.append(told)


def test_a_trail_that_cannot_be_written_stops_nothing_and_tells_later_what_is_missing(
    archive: Archive, ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    journal = FullDisk()
    auditor = Auditor(journal, "DIBMG", PSEUDONYMS, clock)
    intake = Intake(archive, ledger.receipts, POLICY, clock, auditor)
    with caplog.at_level(logging.ERROR):
        answer = send(intake, mammogram())
        intake.ended(ended())
    journal.full = False

    send(intake, mammogram(study_uid="1.2.9"))

    gap, begin = journal.told
    assert answer.status == 0
    assert caplog.messages == ["audit event not written"] * 2
    assert (gap["type"], gap["description"]) == ("110133", "2 events could not be written")
    assert begin["event"] == "110102"


def test_a_search_is_told_without_the_values_that_name_a_patient(trail: AuditTrail) -> None:
    wanted = {"PatientName": f"{CANARY}*", "PatientID": "P123", "StudyInstanceUID": "1.2.3", "Modality": "SR"}

    trail.auditor.queried("10.0.0.9", "/dicom-web/studies", wanted)

    query = trail.of("Query")
    assert query["query"] == "/dicom-web/studies?Modality=SR&PatientID=?&PatientName=?&StudyInstanceUID=1.2.3"
    assert query["patient"] == P123
    assert CANARY not in json.dumps(query)


@pytest.mark.parametrize(("patient_id", "uid"), [("P1*", "1.2.3"), ("P?23", "Canary")])
def test_a_search_with_wildcards_names_no_patient_and_a_text_is_no_uid(
    trail: AuditTrail, patient_id: str, uid: str
) -> None:
    trail.auditor.queried("10.0.0.9", "/studies", {"PatientID": patient_id, "SeriesInstanceUID": uid})

    query = trail.of("Query")
    assert "patient" not in query
    assert query["query"].endswith("=1.2.3" if uid == "1.2.3" else "=?")


def test_a_login_is_told_once_an_hour_and_a_wrong_token_once_a_minute(
    trail: AuditTrail, clock: Clock
) -> None:
    for _ in range(4):
        trail.auditor.authenticated("10.0.0.9")
        trail.auditor.not_authenticated("10.0.0.9", "no token, or a wrong one")
        clock.advance(59)

    told = [(line["type"], line["outcome"]) for line in trail.lines]
    assert told.count(("110122", 0)) == 1
    assert told.count(("110122", 4)) == 2


def test_each_person_who_logs_in_from_one_address_is_told_by_name(trail: AuditTrail) -> None:
    for name in ("anna", "berta", "anna"):
        trail.auditor.authenticated("10.0.0.9", name)
        trail.auditor.not_authenticated("10.0.0.9", "a wrong password", name)
        trail.auditor.accessed("10.0.0.9", "1.2.3", ["1.2"], "aaaa", name)

    told = [line["participants"][0] for line in trail.lines]
    assert {one["address"] for one in told} == {"10.0.0.9"}
    assert [one["user"] for one in told] == ["anna"] * 3 + ["berta"] * 3 + ["anna"]


@pytest.fixture
def owed(archive: Archive, ledger: Ledger, clock: Clock) -> Ledger:
    """A ledger that owes a report, of which the archive has a real file."""
    content = part10(mammogram())
    result = a_result(kind=ResultKind.CAD_SR)
    result = replace(result, sha256=archive.put_result(result.sop_uid, content))
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis([result]))
    return ledger


def courier(archive: Archive, owed: Ledger, clock: Clock, trail: AuditTrail, sender: object) -> Courier:
    return Courier(archive, owed.outbox, {"pacs": sender}, clock, audit=trail.auditor)  # type: ignore[dict-item]


def test_results_that_are_sent_are_a_transfer_to_the_destination(
    archive: Archive, owed: Ledger, clock: Clock, trail: AuditTrail
) -> None:
    courier(archive, owed, clock, trail, RecordingSender()).deliver(STUDY_UID, "pacs")

    begin, end = trail.lines
    for line in (begin, end):
        assert line["participants"][1]["user"] == "pacs"
        assert (line["participants"][1]["address"], line["participants"][1]["role"]) == ("10.1.2.3", "110152")
        assert line["patient"] == P123
    assert (begin["event"], end["event"], end["action"], end["outcome"]) == ("110102", "110104", "R", 0)
    assert end["studies"] == [{"study_uid": STUDY_UID, "instances": {facts.MAMMOGRAPHY_CAD_SR: 1}}]


def test_a_refusal_is_a_transfer_that_failed_with_its_status_and_no_word_of_the_peer(
    archive: Archive, owed: Ledger, clock: Clock, trail: AuditTrail
) -> None:
    sender = RecordingSender(lambda p: Settlement(p.sop_uid, DeliveryState.REFUSED, "0xC000", CANARY))

    courier(archive, owed, clock, trail, sender).deliver(STUDY_UID, "pacs")

    end = trail.of("DICOM Instances Transferred")
    assert (end["outcome"], end["description"]) == (8, "refused 0xC000")
    assert CANARY not in json.dumps(trail.lines)


def test_attempts_that_fail_and_are_repeated_are_told_once_and_then_the_end(
    archive: Archive, owed: Ledger, clock: Clock, trail: AuditTrail
) -> None:
    sender = RecordingSender(error=PeerUnavailableError("no answer"))
    one = courier(archive, owed, clock, trail, sender)
    for _ in range(5):
        one.deliver(STUDY_UID, "pacs")
        clock.advance(3600)
    sender.error = None

    one.deliver(STUDY_UID, "pacs")

    assert [(line["event"], line["outcome"]) for line in trail.lines] == [
        ("110102", 0),
        ("110104", 4),
        ("110104", 0),
    ]


def test_a_study_that_is_removed_is_told_with_its_reason(trail: AuditTrail) -> None:
    trail.auditor.deleted(STUDY_UID, "age", P123)

    told = trail.of("DICOM Study Deleted")
    assert (told["event"], told["action"], told["description"], told["patient"]) == (
        "110105",
        "D",
        "age",
        P123,
    )
    assert told["studies"][0]["study_uid"] == STUDY_UID


def test_a_process_that_starts_and_stops_says_so(trail: AuditTrail) -> None:
    trail.auditor.started("intake")
    trail.auditor.stopped("intake")

    assert [(line["event"], line["type"]) for line in trail.lines] == [
        ("110100", "110120"),
        ("110100", "110121"),
    ]
