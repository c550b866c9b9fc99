from __future__ import annotations

import ipaddress
import logging
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from sqlalchemy import text, update

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.domain.priority import Priority
from dibmg_node.errors import (
    InstanceRejectedError,
    IntakePausedError,
    LedgerUnavailableError,
    StorageFullError,
)
from dibmg_node.services.intake import Intake
from dibmg_node.services.intake_policy import AllowedSender, IntakePolicy
from dibmg_node.services.wire import (
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    NO_ROOM,
    AssociationEnd,
    AssociationRequest,
    EndReason,
    Rejection,
    StoreAnswer,
    StoreRequest,
)
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import instances
from tests.factories import (
    CANARY,
    R_CC,
    STANDARD_VIEWS,
    STUDY_UID,
    Clock,
    data_set_bytes,
    mammogram,
    part10,
    sop_uid,
)

POLICY = IntakePolicy(
    ae_title="DIBMG",
    senders=(),
    reserve_bytes=0,
    keep_first=False,
    quiet_time=lambda aet: timedelta(seconds=60),
    longest_wait=timedelta(seconds=300),
)
MG1 = AllowedSender("MG1", ipaddress.ip_network("10.0.0.0/24"))
V6 = AllowedSender("MG6", ipaddress.ip_network("2001:db8::/32"))


@pytest.fixture
def intake(archive: Archive, ledger: Ledger, clock: Clock) -> Intake:
    return Intake(archive, ledger.receipts, POLICY, clock)


def request_for(dataset: FileDataset, **changes: str) -> StoreRequest:
    request = StoreRequest(
        association_id="a1",
        message_id=1,
        sop_class_uid=str(dataset.get("SOPClassUID", facts.MG_FOR_PRESENTATION)),
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "1.2.3")),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        calling_aet="MG1",
        called_aet="DIBMG",
        peer_address="127.0.0.1",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def send(intake: Intake, dataset: FileDataset, content: bytes | None = None, **changes: str) -> StoreAnswer:
    """Hand a data set to intake as the acceptor does, in fragments."""
    content = data_set_bytes(dataset) if content is None else content
    reception = intake.open_instance(request_for(dataset, **changes))
    for at in range(0, len(content), 1000):
        reception.write(memoryview(content)[at : at + 1000])
    return reception.commit()


def ended(association_id: str = "a1") -> AssociationEnd:
    return AssociationEnd(association_id, "MG1", "127.0.0.1", EndReason.RELEASED, "", 1, 0)


def heard(rejection: Rejection | None) -> tuple[int, int, int] | None:
    """What the peer hears; the sentence says more, to the log and to `dibmg status`."""
    return rejection and (rejection.result, rejection.source, rejection.diagnostic)


def files_under(archive: Archive, folder: str) -> list[Path]:
    return [path for path in (archive.root / folder).rglob("*") if path.is_file()]


@contextmanager
def unwritable(ledger: Ledger, folder: Path) -> Iterator[None]:
    """The ledger in a folder can be read, and not written."""
    with ledger.engine.connect() as connection:
        connection.execute(text("PRAGMA busy_timeout=1"))
        connection.rollback()
    writer = sqlite3.connect(folder / "ledger.sqlite")
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        writer.close()


def state_of(ledger: Ledger) -> str | None:
    study = ledger.views.study(STUDY_UID)
    return None if study is None else str(study["state"])


def test_an_instance_is_archived_byte_for_byte_and_in_the_ledger(
    intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    dataset = mammogram(transfer_syntax_uid=facts.JPEG_LS_LOSSLESS)

    answer = send(intake, dataset)

    content = archive.instance_path(sop_uid(R_CC)).read_bytes()
    assert answer == StoreAnswer(StoreStatus.SUCCESS)
    assert content[data_set_offset(content) :] == data_set_bytes(dataset)
    assert (state_of(ledger), files_under(archive, "spool")) == ("RECEIVING", [])


def test_it_is_told_whenever_the_ledger_has_an_instance_and_else_never(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    told: list[str | None] = []
    intake = Intake(archive, ledger.receipts, POLICY, clock, on_stored=lambda: told.append(state_of(ledger)))

    send(intake, mammogram())
    assert told == ["RECEIVING"]
    send(intake, mammogram(PatientID="P9"))  # other bytes under the same UID
    send(intake, mammogram(), b"no data set")

    assert len(told) == 1


def test_an_archived_instance_is_a_part_10_file_in_the_syntax_it_came_in(
    intake: Intake, archive: Archive
) -> None:
    send(intake, mammogram(transfer_syntax_uid=facts.RLE_LOSSLESS))

    meta = dcmread(archive.instance_path(sop_uid(R_CC))).file_meta

    assert meta.TransferSyntaxUID == facts.RLE_LOSSLESS
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (
        facts.MG_FOR_PRESENTATION,
        sop_uid(R_CC),
    )
    assert meta.ImplementationClassUID == facts.IMPLEMENTATION_CLASS_UID


def test_the_same_instance_again_is_a_success_and_one_file(
    intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    answers = [send(intake, mammogram()).status for _ in range(3)]

    assert answers == [StoreStatus.SUCCESS] * 3
    assert len(files_under(archive, "instances")) == 1
    assert files_under(archive, "quarantine") == []


@pytest.mark.parametrize(
    ("keep_first", "status"), [(False, StoreStatus.CANNOT_UNDERSTAND), (True, StoreStatus.SUCCESS)]
)
def test_other_bytes_under_a_known_uid_are_quarantined_and_the_first_stay(
    archive: Archive, ledger: Ledger, clock: Clock, keep_first: bool, status: StoreStatus
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, keep_first=keep_first), clock)
    send(intake, mammogram())

    answers = [send(intake, mammogram(PatientAge="067Y")).status for _ in range(3)]

    kept = dcmread(archive.instance_path(sop_uid(R_CC)))
    assert (answers, kept.PatientAge) == ([status] * 3, "066Y")
    (quarantined,) = files_under(archive, "quarantine")
    assert dcmread(quarantined).PatientAge == "067Y"


@pytest.mark.parametrize("lost", ["purged", "file gone", "of another study"])
def test_other_bytes_are_no_success_where_the_first_are_not_kept_in_their_study(
    archive: Archive, ledger: Ledger, clock: Clock, lost: str
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, keep_first=True), clock)
    send(intake, mammogram())
    if lost == "purged":
        with ledger.engine.begin() as connection:
            connection.execute(update(instances).values(purged_at=clock()))
    elif lost == "file gone":
        archive.instance_path(sop_uid(R_CC)).unlink()
    changes = {"StudyInstanceUID": "1.2.99"} if lost == "of another study" else {"PatientAge": "067Y"}

    answer = send(intake, mammogram(**changes))

    assert (answer.status, answer.comment) == (
        StoreStatus.CANNOT_UNDERSTAND,
        "other bytes under a SOP Instance UID that is taken",
    )
    assert len(files_under(archive, "quarantine")) == 1


@pytest.mark.parametrize(
    ("changes", "tag", "comment"),
    [
        ({"StudyInstanceUID": None}, 0x0020000D, "StudyInstanceUID is missing"),
        ({"StudyInstanceUID": "1.2.x"}, 0x0020000D, "StudyInstanceUID is not a UID"),
        ({"SOPInstanceUID": "1.2.4"}, 0x00080018, "SOP Instance UID of data set and command differ"),
        ({"SOPClassUID": facts.TOMOSYNTHESIS}, 0x00080016, "SOP Class UID of data set and command differ"),
    ],
)
def test_a_data_set_that_is_not_what_the_command_says_is_a_mismatch(
    intake: Intake,
    archive: Archive,
    ledger: Ledger,
    changes: dict[str, str | None],
    tag: int,
    comment: str,
) -> None:
    dataset = mammogram(**changes)

    answer = send(intake, dataset, sop_class_uid=facts.MG_FOR_PRESENTATION, sop_instance_uid=sop_uid(R_CC))

    assert answer == StoreAnswer(StoreStatus.DATA_SET_MISMATCH, comment, tag)
    assert files_under(archive, "spool") + files_under(archive, "instances") == []
    assert state_of(ledger) is None


@pytest.mark.parametrize("content", [b"", b"\x08\x00"], ids=["nothing", "a torn tag"])
def test_a_data_set_that_cannot_be_parsed_is_not_understood(
    intake: Intake, archive: Archive, content: bytes
) -> None:
    answer = send(intake, mammogram(), content)

    assert answer.status == StoreStatus.CANNOT_UNDERSTAND
    assert files_under(archive, "spool") + files_under(archive, "instances") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"ViewCodeSequence": None, "ViewPosition": None, "ImageLaterality": None},
        {"PixelData": b"\0\0"},
        {"Rows": None, "Columns": None},
        {"Modality": None, "SeriesInstanceUID": None},
    ],
)
def test_what_a_mammogram_lacks_is_no_reason_to_refuse_it(intake: Intake, changes: dict[str, object]) -> None:
    assert send(intake, mammogram(**changes)).status == StoreStatus.SUCCESS


def test_an_instance_of_another_study_than_the_request_is_for_is_a_processing_failure(
    intake: Intake, archive: Archive
) -> None:
    answer = send(intake, mammogram(), study_uid="1.2.3")

    assert (answer.status, answer.offending_element) == (StoreStatus.PROCESSING_FAILURE, 0x0020000D)
    assert files_under(archive, "spool") + files_under(archive, "instances") == []


def test_a_receiving_process_repairs_its_own_spool_and_leaves_that_of_another_alone(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    other = replace(archive, spool="spool-web")
    other.prepare()
    going_on = other.open_spool(b"half of an instance")
    archive.open_spool(b"left by a killed intake").sync()

    removed = Intake(archive, ledger.receipts, POLICY, clock).repair()

    assert removed == 1
    assert going_on.path.exists()
    going_on.discard()


def test_less_free_than_the_reserve_is_a_full_storage(archive: Archive, ledger: Ledger, clock: Clock) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, reserve_bytes=2**62), clock)

    with pytest.raises(StorageFullError, match="the reserve is"):
        intake.open_instance(request_for(mammogram()))

    assert files_under(archive, "spool") == []


def test_a_ledger_that_does_not_answer_is_out_of_resources_and_the_next_try_succeeds(
    tmp_path: Path, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    with unwritable(ledger, tmp_path):
        refused = send(intake, mammogram())

    stored = send(intake, mammogram())

    assert refused.status == StoreStatus.OUT_OF_RESOURCES
    assert stored.status == StoreStatus.SUCCESS
    assert files_under(archive, "spool") == []
    assert len(files_under(archive, "instances")) == 1


def test_what_is_sent_again_and_again_to_a_ledger_that_cannot_be_written_is_kept_once(
    tmp_path: Path, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    with unwritable(ledger, tmp_path):
        answers = [send(intake, mammogram(number=number)) for number in (1, 1, 2, 1, 2)]

    (named, other), left = files_under(archive, "instances"), files_under(archive, "spool")
    assert {answer.status for answer in answers} == {StoreStatus.OUT_OF_RESOURCES}
    # what was named before the ledger failed is left for the next start, which asks the ledger
    assert sorted(path.stat().st_ino for path in left) == sorted([named.stat().st_ino, other.stat().st_ino])
    assert intake.repair() == 2
    assert files_under(archive, "spool") + files_under(archive, "instances") == []


def test_other_bytes_are_kept_once_while_the_ledger_cannot_be_written(
    tmp_path: Path, intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    send(intake, mammogram())
    with unwritable(ledger, tmp_path):
        for _ in range(3):
            send(intake, mammogram(PatientAge="067Y"))

    assert len(files_under(archive, "quarantine")) == 1
    assert files_under(archive, "spool") == []


def test_what_a_killed_intake_named_without_entering_it_is_removed_at_the_next_start(
    intake: Intake, archive: Archive, tmp_path: Path
) -> None:
    image = mammogram()
    spooled = archive.open_spool(b"")
    spooled.write(part10(image))
    spooled.sync()
    archive.keep(spooled, image.SOPInstanceUID)
    archive.open_spool(b"half").sync()

    removed = intake.repair()

    assert removed == 2
    assert files_under(archive, "instances") == files_under(archive, "spool") == []


def test_repair_makes_no_folder_for_what_never_got_a_name(intake: Intake, archive: Archive) -> None:
    image = mammogram()
    spooled = archive.open_spool(b"")
    spooled.write(part10(image))
    spooled.sync()

    removed = intake.repair()

    assert removed == 1
    assert not archive.instance_path(image.SOPInstanceUID).parent.exists()


def test_an_archived_file_that_is_gone_comes_back_with_the_next_identical_send(
    intake: Intake, archive: Archive
) -> None:
    send(intake, mammogram())
    (path,) = files_under(archive, "instances")
    path.unlink()

    answer = send(intake, mammogram())

    assert answer.status == StoreStatus.SUCCESS
    assert files_under(archive, "instances") == [path]


def test_a_failing_disk_is_out_of_resources_and_names_no_path(intake: Intake, archive: Archive) -> None:
    shutil.rmtree(archive.root / "instances")
    (archive.root / "instances").write_text("no folder")

    answer = send(intake, mammogram())

    assert answer.status == StoreStatus.OUT_OF_RESOURCES
    assert str(archive.root) not in answer.comment


def test_an_aborted_instance_leaves_nothing(intake: Intake, archive: Archive, ledger: Ledger) -> None:
    reception = intake.open_instance(request_for(mammogram()))
    reception.write(memoryview(b"half"))

    reception.abort()

    assert files_under(archive, "spool") == []
    assert state_of(ledger) is None


def test_the_end_of_an_association_ends_the_wait_for_its_studies(
    intake: Intake, ledger: Ledger, clock: Clock
) -> None:
    for view in STANDARD_VIEWS:
        send(intake, mammogram(view))
    before = ledger.receipts.complete_due(clock())

    intake.ended(ended())

    assert (before, ledger.receipts.complete_due(clock())) == (0, 1)


def test_the_end_of_an_association_is_told_once_the_ledger_has_it(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    completed: list[int] = []
    intake = Intake(
        archive,
        ledger.receipts,
        POLICY,
        clock,
        on_done=lambda: completed.append(ledger.receipts.complete_due(clock())),
    )
    for view in STANDARD_VIEWS:
        send(intake, mammogram(view))

    intake.ended(ended())
    intake.ended(ended("a2"))

    assert completed == [1]


def test_the_end_of_another_association_ends_nothing(intake: Intake, ledger: Ledger, clock: Clock) -> None:
    for view in STANDARD_VIEWS:
        send(intake, mammogram(view))

    intake.ended(ended("a2"))

    assert ledger.receipts.complete_due(clock()) == 0


def test_the_end_of_an_association_is_harmless_when_the_ledger_does_not_answer(
    tmp_path: Path, intake: Intake, ledger: Ledger
) -> None:
    send(intake, mammogram())

    with unwritable(ledger, tmp_path):
        intake.ended(ended())

    assert state_of(ledger) == "RECEIVING"


def test_each_sender_has_its_own_quiet_time(archive: Archive, ledger: Ledger, clock: Clock) -> None:
    quiet = {"SLOW": timedelta(seconds=120)}
    policy = replace(POLICY, quiet_time=lambda aet: quiet.get(aet, timedelta(seconds=10)))
    intake = Intake(archive, ledger.receipts, policy, clock)
    send(intake, mammogram(), calling_aet="SLOW")

    assert ledger.receipts.complete_due(clock.advance(119)) == 0
    assert ledger.receipts.complete_due(clock.advance(1)) == 1


def test_one_instance_over_many_associations_at_once_is_stored_once(
    intake: Intake, archive: Archive, ledger: Ledger
) -> None:
    dataset = mammogram()
    content = data_set_bytes(dataset)

    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: send(intake, dataset, content, association_id=f"a{n}").status, range(16))
        )

    assert answers == [StoreStatus.SUCCESS] * 16
    assert len(files_under(archive, "instances")) == 1
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert study["revision"] == 1


def test_a_patients_name_is_in_no_log_line(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    send(intake, mammogram())
    send(intake, mammogram(PatientAge="067Y"))
    send(intake, mammogram(StudyInstanceUID=CANARY))

    own = [vars(record) for record in caplog.records if record.name.startswith("dibmg_node")]
    assert len(own) == 3
    assert CANARY.split("^", maxsplit=1)[0] not in str(own)


@pytest.mark.parametrize(
    ("senders", "calling", "called", "address", "rejection"),
    [
        ((), "ANY", "DIBMG", "127.0.0.1", None),
        ((), "ANY", "DIBMG", "127.9.9.9", None),
        ((), "ANY", "DIBMG", "::1", None),
        ((), "ANY", "DIBMG", "::ffff:127.0.0.1", None),
        ((), "ANY", "OTHER", "127.0.0.1", CALLED_AE_NOT_RECOGNIZED),
        ((), "ANY", "dibmg", "127.0.0.1", CALLED_AE_NOT_RECOGNIZED),
        ((), "MG1", "DIBMG", "10.0.0.5", CALLING_AE_NOT_RECOGNIZED),
        ((MG1,), "MG1", "DIBMG", "10.0.0.5", None),
        ((MG1,), "MG1", "DIBMG", "::ffff:10.0.0.5", None),
        ((MG1,), "MG1", "DIBMG", "10.0.1.5", CALLING_AE_NOT_RECOGNIZED),
        ((MG1,), "MG2", "DIBMG", "10.0.0.5", CALLING_AE_NOT_RECOGNIZED),
        ((MG1,), "MG1", "DIBMG", "127.0.0.1", CALLING_AE_NOT_RECOGNIZED),
        ((MG1, V6), "MG6", "DIBMG", "2001:db8::1%eth0", None),
        ((MG1, V6), "MG6", "DIBMG", "10.0.0.5", CALLING_AE_NOT_RECOGNIZED),
    ],
)
def test_only_who_may_send_is_admitted(
    archive: Archive,
    ledger: Ledger,
    clock: Clock,
    senders: Sequence[AllowedSender],
    calling: str,
    called: str,
    address: str,
    rejection: Rejection | None,
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, senders=tuple(senders)), clock)
    request = AssociationRequest("a1", calling, called, address, 1, None, "1.2", "")

    assert heard(intake.admit(request)) == heard(rejection)


OWN = replace(MG1, certificate_subject="O=Clinic,CN=mg1")


@pytest.mark.parametrize(
    ("senders", "calling", "subject", "lacking"),
    [
        ((OWN,), "MG1", "O=Clinic,CN=mg1", None),
        ((OWN,), "MG1", "CN=mg1,O=Clinic", None),
        ((OWN, MG1), "MG1", "O=Clinic,CN=other", None),
        ((MG1,), "MG1", "O=Clinic,CN=other", None),
        ((), "MG1", None, "no [[sender]] is listed, so only this machine may send"),
        ((OWN,), "MG2", "O=Clinic,CN=mg1", "no [[sender]] has this AE title"),
        ((V6,), "MG6", None, "no [[sender]] of this AE title has this address"),
        (
            (OWN,),
            "MG1",
            "O=Clinic,CN=other",
            "its [[sender]] has another certificate_subject than O=Clinic,CN=other",
        ),
        ((OWN,), "MG1", None, "its [[sender]] has another certificate_subject than none"),
    ],
)
def test_who_is_rejected_is_told_what_for(
    archive: Archive,
    ledger: Ledger,
    clock: Clock,
    senders: Sequence[AllowedSender],
    calling: str,
    subject: str | None,
    lacking: str | None,
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, senders=tuple(senders)), clock)

    found = intake.admit(AssociationRequest("a1", calling, "DIBMG", "10.0.0.5", 1, subject, "1.2", ""))

    assert (found and found.sentence) == (lacking and f"calling AE title not recognized: {lacking}")


@pytest.mark.parametrize(
    ("calling", "address", "reserve", "rejection"),
    [
        ("MG1", "10.0.0.5", 0, None),
        ("MG1", "10.0.0.5", 2**62, NO_ROOM),
        ("MG2", "10.0.0.5", 2**62, CALLING_AE_NOT_RECOGNIZED),
        ("PACS", "10.9.9.9", 0, None),
        ("PACS", "10.9.9.9", 2**62, None),  # what it proves may be purged, and there is room again
        ("PACS", "10.9.9.8", 0, CALLING_AE_NOT_RECOGNIZED),
    ],
)
def test_below_the_reserve_only_who_reports_on_storage_commitment_is_admitted(
    archive: Archive,
    ledger: Ledger,
    clock: Clock,
    calling: str,
    address: str,
    reserve: int,
    rejection: Rejection | None,
) -> None:
    policy = replace(
        POLICY,
        senders=(MG1,),
        reserve_bytes=reserve,
        may_report=lambda aet, at: (aet, str(at)) == ("PACS", "10.9.9.9"),
    )
    intake = Intake(archive, ledger.receipts, policy, clock)

    found = intake.admit(AssociationRequest("a1", calling, "DIBMG", address, 1, None, "1.2", ""))

    assert heard(found) == heard(rejection)


def test_who_was_admitted_for_its_reports_stores_nothing(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, senders=(MG1,)), clock)
    request = request_for(mammogram(), calling_aet="PACS", peer_address="10.9.9.9")

    with pytest.raises(InstanceRejectedError) as refused:
        intake.open_sent(request)

    assert refused.value.status == StoreStatus.NOT_AUTHORIZED
    sent = intake.open_sent(replace(request, calling_aet="MG1", peer_address="10.0.0.5"))
    sent.abort()


@pytest.mark.parametrize("subject", [None, "O=Clinic,CN=other"])
def test_who_was_admitted_for_its_reports_stores_nothing_without_the_certificate_of_the_sender(
    archive: Archive, ledger: Ledger, clock: Clock, subject: str | None
) -> None:
    policy = replace(POLICY, senders=(OWN,), may_report=lambda aet, at: True)
    intake = Intake(archive, ledger.receipts, policy, clock)
    request = request_for(mammogram(), peer_address="10.0.0.5")

    with pytest.raises(InstanceRejectedError) as refused:
        intake.open_sent(replace(request, certificate_subject=subject))

    assert refused.value.status == StoreStatus.NOT_AUTHORIZED
    intake.open_sent(replace(request, certificate_subject=OWN.certificate_subject)).abort()


SAFE = ["write spool", "sync spool", "sync instances", "rename", "sync folder of the instance"]
LEDGER = ["write ledger", "sync ledger"]
TAKE = """
import sys
from pathlib import Path
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.services.intake import Intake
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import open_ledger
from tests.factories import Clock, mammogram
from tests.services.test_intake import POLICY, send
folder = Path(sys.argv[1])
ledger = open_ledger(f"sqlite:///{folder}/ledger.sqlite", ExamPolicy())
intake = Intake(Archive(folder / "archive"), ledger.receipts, POLICY, Clock())
answer = send(intake, mammogram())
with open(folder / "answer", "w") as file:
    file.write(hex(answer.status))
"""


def test_nothing_is_answered_before_bytes_name_and_ledger_are_on_the_disk(
    tmp_path: Path, archive: Archive, ledger: Ledger
) -> None:
    steps = traced_steps(TAKE, tmp_path)

    assert (tmp_path / "answer").read_text() == "0x0"
    assert steps[:5] == SAFE
    # SQLite may sync the head of its log before the first pages
    assert steps[5 : steps.index("answer")] in (LEDGER, LEDGER * 2)


def test_a_folder_that_another_process_made_is_on_the_disk_before_its_instance_is_answered(
    tmp_path: Path, archive: Archive, ledger: Ledger
) -> None:
    archive.instance_path(sop_uid(R_CC)).parent.mkdir()

    assert traced_steps(TAKE, tmp_path)[:5] == SAFE


def test_the_folders_that_a_node_makes_are_on_the_disk_before_anything_lies_in_them(tmp_path: Path) -> None:
    made = tmp_path / "data" / "archive"
    made.parent.mkdir()  # by another process, perhaps
    prepare = "import sys; from pathlib import Path; from dibmg_node.storage.archive import Archive; "

    traced = trace_of(f"{prepare}Archive(Path(sys.argv[1])).prepare()", made, tmp_path / "trace")

    synced = re.findall(r"fsync\(\d+<([^>]*)>", traced)
    assert synced[:3] == [str(made), str(made.parent), str(tmp_path)]


def traced_steps(program: str, folder: Path) -> list[str]:
    """What strace sees of a program that receives one instance into a folder's archive and ledger."""
    return _steps(trace_of(program, folder, folder / "trace"), folder)


def trace_of(program: str, folder: Path, trace: Path) -> str:
    """The system calls by which a program writes."""
    calls = "write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,sendto"
    strace = ["strace", "-f", "-y", "-s12", "-e", f"trace={calls}", "-o", trace]
    root = Path(__file__).parents[2]
    subprocess.run(
        [*strace, sys.executable, "-c", program, folder], check=True, cwd=root, capture_output=True
    )
    return trace.read_text()


def _steps(trace: str, folder: Path) -> list[str]:
    """What strace saw on the way of one instance, each step once."""
    patterns = {
        "write spool": rf"writev?\(\d+<{folder}/archive/spool/",
        "sync spool": rf"f(data)?sync\(\d+<{folder}/archive/spool/",
        "sync instances": rf"fsync\(\d+<{folder}/archive/instances>",
        "rename": rf"rename[a2t]*\(.*{folder}/archive/spool/.*{folder}/archive/instances/",
        "sync folder of the instance": rf"fsync\(\d+<{folder}/archive/instances/[0-9a-f]{{2}}>",
        "write ledger": rf"pwrite64\(\d+<{folder}/ledger.sqlite-wal>",
        "sync ledger": rf"f(data)?sync\(\d+<{folder}/ledger.sqlite-wal>",
        "answer": rf"write\(\d+<{folder}/answer>|sendto\(.*HTTP/1.1 200",
    }
    steps: list[str] = []
    for line in trace.splitlines():
        for step, pattern in patterns.items():
            if re.search(pattern, line) and (not steps or steps[-1] != step):
                steps.append(step)
    return steps


def asking(*syntaxes: str, calling: str = "MG1") -> AssociationRequest:
    """A request for an association from this machine."""
    return AssociationRequest("a1", calling, "DIBMG", "127.0.0.1", 1, None, "1.2", "", frozenset(syntaxes))


@pytest.mark.parametrize(
    ("syntaxes", "rejected"),
    [
        ([facts.MG_FOR_PRESENTATION], (2, 3, 1)),
        ([facts.MG_FOR_PRESENTATION, facts.VERIFICATION], (2, 3, 1)),
        ([facts.VERIFICATION], None),
    ],
)
def test_while_intake_is_paused_a_sender_is_told_to_come_again_later_and_may_ask_who_is_there(
    archive: Archive, ledger: Ledger, clock: Clock, syntaxes: list[str], rejected: tuple[int, int, int] | None
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=lambda: True), clock)

    assert heard(intake.admit(asking(*syntaxes))) == rejected


def test_what_comes_on_an_open_association_while_intake_is_paused_is_not_begun(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=lambda: True), clock)

    with pytest.raises(IntakePausedError, match="intake is paused: send it again later"):
        intake.open_instance(request_for(mammogram()))
    assert files_under(archive, "spool") == []


def test_an_image_that_was_begun_before_a_pause_is_stored(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    paused: list[bool] = []
    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=lambda: bool(paused)), clock)
    dataset = mammogram()
    reception = intake.open_instance(request_for(dataset))
    paused.append(True)

    reception.write(memoryview(data_set_bytes(dataset)))

    assert reception.commit() == StoreAnswer(StoreStatus.SUCCESS)


def test_an_association_is_admitted_although_nobody_can_tell_whether_intake_is_paused(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    def silent() -> bool:
        raise LedgerUnavailableError("the ledger cannot be read")

    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=silent), clock)

    assert intake.admit(asking(facts.MG_FOR_PRESENTATION)) is None
    with pytest.raises(LedgerUnavailableError):
        intake.open_instance(request_for(mammogram()))


@pytest.mark.parametrize(
    ("configured", "stated", "priority"),
    [
        (None, None, "routine"),
        (None, "STAT", "stat"),
        (Priority.LOW, None, "low"),
        (Priority.LOW, "STAT", "low"),
    ],
)
def test_a_study_is_as_urgent_as_its_sender_is_configured_else_as_its_images_say(
    archive: Archive,
    ledger: Ledger,
    clock: Clock,
    configured: Priority | None,
    stated: str | None,
    priority: str,
) -> None:
    policy = replace(POLICY, priority={"MG1": configured}.get)
    dataset = mammogram()
    if stated:
        dataset.RequestedProcedurePriority = stated

    send(Intake(archive, ledger.receipts, policy, clock), dataset)

    study = ledger.views.study(STUDY_UID)
    assert study is not None
    assert study["priority"] == priority
