from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from errno import ENOENT
from functools import partial
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from sqlalchemy import select

from dibmg_node.dicom.header import read_instance
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.selftest import SELFTEST_AET, SELFTEST_DESTINATION
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.errors import PermanentError, RejectedError, RetryableError, StorageFullError
from dibmg_node.machine.confinement import Limits
from dibmg_node.services.analysis import LEASE, Analyst, Subscriber
from dibmg_node.services.orders import ANSWER_CLASSES, Answered, Asked, Reader
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.writing import Wish
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.claims import Claim, Claims
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.receipts import Received
from dibmg_node.storage.schema import exam_scores
from tests.factories import (
    L_MLO,
    PATIENCE,
    R_CC,
    START,
    STUDY_UID,
    Clock,
    FakePredictor,
    archive_data_set,
    mammogram,
    new_archive,
    new_ledger,
    sop_uid,
)

BOTH = (Wish(ResultKind.CAD_SR), Wish(ResultKind.OVERLAY))
PACS = Subscriber("pacs", BOTH[:1], answer_unread=True)


def work_here(order: Asked) -> Answered:
    return Reader(FakePredictor()).carry_out(order)


def build_work() -> Callable[[Asked], Answered]:
    return work_here


def nothing() -> None:
    """No preparation."""


class InProcess(Sandbox[Asked, Answered]):
    """A sandbox without a child: carries orders out where it is, and may fail first.

    Attributes:
        before: Called in turn before each order; may raise. Afterwards orders just work.
    """

    def __init__(self, *before: Callable[[], None]) -> None:
        super().__init__(build_work, nothing, 1.0)
        self.before = list(before)
        self.orders = 0

    def run(self, order: Asked, tick: Callable[[], None]) -> Answered:
        self.orders += 1
        if self.before:
            self.before.pop(0)()
        tick()
        return work_here(order)


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@dataclass
class Station:
    """A worker with a real archive and ledger."""

    archive: Archive
    ledger: Ledger
    clock: Clock
    sandbox: Sandbox[Asked, Answered] = field(default_factory=InProcess)
    subscribers: Sequence[Subscriber] = (PACS,)
    archive_identity: str | None = None

    def receive(self, *datasets: FileDataset, sender: str = "MG1") -> None:
        for dataset in datasets:
            size, crc32 = archive_data_set(self.archive, dataset)
            instance = read_instance(dataset, str(dataset.file_meta.TransferSyntaxUID))
            self.ledger.receipts.store(Received(instance, size, crc32, sender), PATIENCE, self.clock())

    def complete(self) -> None:
        self.clock.advance(PATIENCE.longest.total_seconds())
        self.ledger.receipts.complete_due(self.clock())

    def analyze(self, revision: int = 4, study_uid: str = STUDY_UID) -> Sequence[str]:
        return self.analyst().analyze(study_uid, revision)

    def analyst(self) -> Analyst:
        return Analyst(
            "worker",
            self.archive,
            self.ledger.claims,
            self.sandbox,
            ExamPolicy(),
            self.subscribers,
            512,
            self.clock,
            archive_identity=self.archive_identity,
        )

    def study(self) -> dict[str, object]:
        study = self.ledger.views.study(STUDY_UID)
        assert study is not None
        return study

    def kinds(self) -> list[str]:
        return sorted(one["kind"] for one in self.study()["results"])  # type: ignore[attr-defined]


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    return station


def test_a_ready_study_is_read_and_its_results_are_owed(station: Station) -> None:
    destinations = station.analyze()

    study = station.study()
    assert destinations == ["pacs"]
    assert (study["state"], study["reason"]) == ("ANALYZED", "")
    assert station.kinds() == ["cad-sr"]
    assert {one["code"] for one in study["instances"]} == {"USED"}  # type: ignore[attr-defined]
    assert {one["state"] for one in study["deliveries"]} == {"OWED"}  # type: ignore[attr-defined]
    for result in study["results"]:  # type: ignore[attr-defined]
        assert dcmread(station.archive.result_path(result["sop_uid"])).SOPInstanceUID == result["sop_uid"]


@pytest.mark.parametrize("views", [4, 1])
def test_results_of_a_self_test_are_owed_to_its_own_pacs_and_to_no_destination(
    archive: Archive, ledger: Ledger, clock: Clock, views: int
) -> None:
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS[:views]), sender=SELFTEST_AET)
    station.complete()

    destinations = station.analyze(revision=views)

    told = [one["destination"] for one in station.study()["deliveries"]]  # type: ignore[attr-defined]
    assert destinations == [SELFTEST_DESTINATION]
    assert set(told) == {SELFTEST_DESTINATION}
    assert len(told) == len(station.kinds()) == (5 if views == 4 else 1)


def test_a_real_child_gives_the_bytes_that_this_process_gives(
    tmp_path: Path, station: Station, clock: Clock
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    ledger = new_ledger(folder)
    other = Station(
        new_archive(folder), ledger, Clock(), sandbox=Sandbox(build_work, nothing, 60, answers=ANSWER_CLASSES)
    )
    other.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    other.complete()

    station.analyze()
    other.analyze()

    other.sandbox.stop()
    assert station.study()["results"] == other.study()["results"] != []
    ledger.engine.dispose()


def test_a_message_that_comes_twice_is_dropped(station: Station) -> None:
    station.analyze()

    assert station.analyze() == ()
    assert station.sandbox.orders == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("revision", [3, 5])
def test_a_message_of_another_revision_is_dropped(station: Station, revision: int) -> None:
    assert station.analyze(revision) == ()
    assert station.study()["state"] == "READY"


def test_a_clock_of_a_modality_that_ran_ahead_costs_no_view_of_the_exam(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    station = Station(archive, ledger, clock)
    views = [mammogram(view) for view in STANDARD_VIEWS[:3]]
    station.receive(*views, mammogram(STANDARD_VIEWS[3], AcquisitionDate="20620303"))
    station.complete()

    station.analyze()

    assert [one["code"] for one in station.study()["instances"]] == ["USED"] * 4  # type: ignore[attr-defined]


def test_a_study_that_cannot_be_read_is_excluded_and_its_report_owed(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    station = Station(archive, ledger, clock)
    station.receive(mammogram(R_CC))
    station.complete()

    destinations = station.analyze(1)

    study = station.study()
    assert (study["state"], study["reason"]) == ("EXCLUDED", "missing views: L-CC, R-MLO, L-MLO")
    assert (station.kinds(), destinations) == (["cad-sr"], ["pacs"])


def test_a_destination_that_wants_no_answer_for_unread_studies_gets_none(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    quiet = Subscriber("quiet", BOTH, answer_unread=False)
    station = Station(archive, ledger, clock, subscribers=[quiet])
    station.receive(mammogram(R_CC))
    station.complete()

    assert station.analyze(1) == []
    assert (station.study()["state"], station.study()["deliveries"]) == ("EXCLUDED", [])


def test_each_destination_is_owed_what_it_wants(station: Station) -> None:
    station.subscribers = [Subscriber("reports", BOTH[:1], True), Subscriber("images", BOTH[1:], True)]

    assert station.analyze() == ["images", "reports"]

    deliveries = [one["destination"] for one in station.study()["deliveries"]]  # type: ignore[attr-defined]
    assert deliveries == ["images"] * 4 + ["reports"]


def test_a_node_without_destinations_still_keeps_its_results(station: Station) -> None:
    station.subscribers = ()

    assert station.analyze() == []
    assert (station.study()["state"], len(station.kinds())) == ("DELIVERED", 5)


@pytest.mark.parametrize("error", [RetryableError("broke"), OSError(5, "Input/output error")])
def test_an_attempt_that_fails_is_tried_again(station: Station, error: Exception) -> None:
    station.sandbox = InProcess(raising(error))

    assert station.analyze() == ()
    assert station.study()["state"] == "READY"
    assert station.analyze() == ["pacs"]
    assert station.study()["state"] == "ANALYZED"


def test_the_third_failure_is_the_last_and_the_report_says_so(station: Station) -> None:
    station.sandbox = InProcess(*[raising(RetryableError("the model process ended (SIGSEGV)"))] * 3)

    answers = [station.analyze() for _ in range(3)]

    study = station.study()
    reason = "analysis failed after 3 attempts: the model process ended (SIGSEGV)"
    assert (answers, study["state"], study["reason"]) == ([(), (), ["pacs"]], "FAILED", reason)
    assert {(one["used"], one["code"]) for one in study["instances"]} == {(False, "ANALYSIS_FAILED")}  # type: ignore[attr-defined]
    (report,) = study["results"]  # type: ignore[misc]
    assert b"SIGSEGV" in station.archive.result_path(report["sop_uid"]).read_bytes()


@pytest.mark.parametrize("error", [PermanentError("WeightsError: differ"), RejectedError("no")])
def test_an_error_that_will_not_pass_is_not_tried_again(station: Station, error: Exception) -> None:
    station.sandbox = InProcess(raising(error))

    station.analyze()

    assert station.study()["state"] == "FAILED"
    assert station.study()["reason"] == f"analysis failed after 1 attempt: {error}"


def test_a_worker_that_keeps_dying_leaves_a_failed_study_behind(station: Station) -> None:
    for _ in range(3):
        station.ledger.claims.claim(STUDY_UID, 4, "dying", station.clock(), PATIENCE.quiet)
        station.ledger.claims.end_expired(station.clock.advance(60))

    assert station.analyze() == ["pacs"]
    assert station.study()["reason"] == "analysis failed after 3 attempts: the worker's lease ran out"
    assert station.sandbox.orders == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 100], ids=["gone", "empty", "garbage"])
def test_a_damaged_file_ends_in_a_failed_study_with_a_report_of_the_others(
    station: Station, content: bytes | None
) -> None:
    path = station.archive.instance_path(sop_uid(R_CC))
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    for _ in range(3):
        station.analyze()

    study = station.study()
    assert study["state"] == "FAILED"
    assert str(station.archive.root) not in str(study["reason"])
    assert station.kinds() == ["cad-sr"]


def test_a_failed_study_of_two_patients_gets_no_report(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS[:3]))
    station.receive(mammogram(L_MLO, PatientID="somebody else"))
    station.complete()
    station.archive.instance_path(sop_uid(R_CC)).write_bytes(b"garbage")

    for _ in range(3):
        station.analyze()

    assert (station.study()["state"], station.kinds()) == ("FAILED", [])


def lose_share(station: Station) -> Path:
    """The archive's folder is not mounted: an empty one is in its place."""
    station.archive_identity = station.archive.give_identity()
    away = station.archive.root.with_name("away")
    station.archive.root.rename(away)
    station.archive.root.mkdir()
    return away


def test_attempts_while_the_archive_is_away_do_not_count_and_do_not_come_at_once(station: Station) -> None:
    away = lose_share(station)

    told = []
    for _ in range(4):
        assert station.analyze() == ()
        told.append([station.ledger.claims.unpublished(station.clock.advance(s), START) for s in (4, 596)])

    assert (station.study()["state"], station.study()["attempts"]) == ("READY", 0)
    assert str(station.study()["reason"]).startswith("the archive is away: ")
    assert told == [[[], [(STUDY_UID, 4, Priority.ROUTINE)]]] * 4
    station.archive.root.rmdir()
    away.rename(station.archive.root)
    assert station.analyze() == ["pacs"]
    assert (station.study()["state"], station.study()["reason"]) == ("ANALYZED", "")


def test_a_study_is_not_failed_without_its_report_while_the_archive_is_away(station: Station) -> None:
    away = lose_share(station)
    station.sandbox = InProcess(*[raising(PermanentError("WeightsError: differ"))] * 2)

    station.analyze()

    assert (station.study()["state"], station.study()["reason"]) == ("READY", "WeightsError: differ")
    station.archive.root.rmdir()
    away.rename(station.archive.root)
    assert station.analyze() == ["pacs"]
    assert (station.study()["state"], station.kinds()) == ("FAILED", ["cad-sr"])


def test_a_failure_whose_report_cannot_be_written_keeps_its_reason_and_comes_again(station: Station) -> None:
    results = station.archive.root / "results"
    results.rmdir()
    results.write_text("no folder")
    station.sandbox = InProcess(*[raising(PermanentError("WeightsError: differ"))] * 2)

    station.analyze()

    assert (station.study()["state"], station.study()["reason"]) == ("READY", "WeightsError: differ")
    results.unlink()
    results.mkdir()
    assert station.analyze() == ["pacs"]
    assert station.study()["state"] == "FAILED"


@dataclass(frozen=True)
class Lacking(Archive):
    """An archive from afar that lacks an object."""

    lacks: str = ""

    def instance(self, sop_uid: str) -> Path:
        if sop_uid == self.lacks:
            raise FileNotFoundError(ENOENT, "No such file or directory")
        return super().instance(sop_uid)


def test_an_object_that_is_gone_ends_in_a_failed_study_with_a_report_of_the_others(station: Station) -> None:
    station.archive = Lacking(station.archive.root, lacks=sop_uid(R_CC))

    for _ in range(3):
        station.analyze()

    reason = "analysis failed after 3 attempts: disk: No such file or directory"
    assert (station.study()["state"], station.study()["reason"]) == ("FAILED", reason)
    assert station.kinds() == ["cad-sr"]


class WatchedClaims(Claims):
    """Tells how often a claim was renewed."""

    renewed = threading.Semaphore(0)

    def renew(self, claim: Claim, now: datetime, lease: timedelta) -> None:
        super().renew(claim, now, lease)
        self.renewed.release()


@dataclass(frozen=True)
class Slow(Archive):
    """An archive from afar whose clock goes on while a file comes, or goes."""

    clock: Clock = field(default_factory=Clock)
    renewed: threading.Semaphore = field(default_factory=threading.Semaphore)

    @property
    def is_far(self) -> bool:
        return True

    def instance(self, sop_uid: str) -> Path:
        self._take_long()
        return super().instance(sop_uid)

    def put_result(self, sop_uid: str, content: bytes) -> str:
        self._take_long()
        return super().put_result(sop_uid, content)

    def _take_long(self) -> None:
        """Twice as long as a claim holds, in steps during each of which it is renewed."""
        for _ in range(4):
            self.clock.advance(LEASE.total_seconds() / 2)
            while self.renewed.acquire(blocking=False):
                pass
            # the renewal after the one that is going on has the new time
            for _ in range(2):
                assert self.renewed.acquire(timeout=30)


def test_a_file_that_takes_longer_than_a_claim_holds_does_not_cost_the_claim(station: Station) -> None:
    claims = WatchedClaims(station.ledger.engine)
    slow = Slow(station.archive.root, clock=station.clock, renewed=claims.renewed)

    def end_expired() -> None:
        assert claims.end_expired(station.clock()) == 0

    station.sandbox = InProcess(end_expired)
    analyst = replace(station.analyst(), archive=slow, claims=claims, renew_every=timedelta(milliseconds=10))

    assert analyst.analyze(STUDY_UID, 4) == ["pacs"]

    assert [one["event"] for one in station.study()["timeline"]][-2:] == ["claimed", "reported"]  # type: ignore[attr-defined]


def test_a_study_all_of_whose_files_are_gone_still_ends(station: Station) -> None:
    for view in STANDARD_VIEWS:
        station.archive.instance_path(sop_uid(view)).unlink()

    for _ in range(3):
        station.analyze()

    assert (station.study()["state"], station.kinds()) == ("FAILED", [])


def test_work_is_dropped_when_a_view_comes_in_while_the_study_is_read(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS[:3]))
    station.complete()
    station.sandbox = InProcess(lambda: station.receive(mammogram(L_MLO)))

    assert station.analyze(3) == ()

    assert (station.study()["state"], station.study()["results"]) == ("RECEIVING", [])
    station.complete()
    assert station.analyze(4) == ["pacs"]
    assert station.kinds() == ["cad-sr"]


def test_a_full_disk_at_the_end_costs_an_attempt_and_no_more(station: Station) -> None:
    results = station.archive.root / "results"
    results.rmdir()
    results.write_text("no folder")

    assert station.analyze() == ()
    assert station.study()["state"] == "READY"
    results.unlink()
    results.mkdir()
    assert station.analyze() == ["pacs"]


def test_a_later_attempt_gives_the_bytes_that_the_first_would_have_given(
    tmp_path: Path, station: Station
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    ledger = new_ledger(folder)
    other = Station(new_archive(folder), ledger, Clock())
    other.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    other.complete()
    other.sandbox = InProcess(raising(StorageFullError("no room")))
    other.analyze()
    other.clock.advance(3600)

    station.analyze()
    other.analyze()

    assert station.study()["results"] == other.study()["results"] != []
    ledger.engine.dispose()


def _kill_once(marker: Path, order: Asked) -> Answered:
    if not marker.exists():
        marker.touch()
        os._exit(9)
    return work_here(order)


def build_killed(marker: Path) -> Callable[[Asked], Answered]:
    return partial(_kill_once, marker)


def test_a_codec_that_kills_the_child_costs_an_attempt_not_the_node(station: Station, tmp_path: Path) -> None:
    limits = Limits(files=True)
    station.sandbox = Sandbox(partial(build_killed, tmp_path / "killed"), nothing, 60, limits, ANSWER_CLASSES)

    first = station.analyze()
    reason = station.study()["reason"]
    second = station.analyze()
    station.sandbox.stop()

    assert (first, reason) == ((), "the model process ended (exit code 9)")
    assert (second, station.study()["state"]) == (["pacs"], "ANALYZED")


def test_an_analysis_keeps_score_and_threshold_under_the_device_of_its_images(station: Station) -> None:
    station.analyze()

    reading = station.study()["reading"]
    assert isinstance(reading, dict)
    (series,) = station.ledger.exam_scores.series(reading["model"]["sha256"])
    exams = station.ledger.exam_scores.newest({series.name: None}, 10)[series.name]
    assert str(series.device) == "Maker Unit 1, software 1.0 2.0"
    assert exams.scores == (reading["scores"]["exam"],)
    assert (exams.threshold, exams.last) == (reading["operating_point"]["threshold"], station.clock())


def test_an_exam_that_is_not_read_leaves_no_score(archive: Archive, ledger: Ledger, clock: Clock) -> None:
    station = Station(archive, ledger, clock)
    station.receive(mammogram(R_CC))
    station.complete()

    station.analyze(revision=1)

    with ledger.engine.connect() as connection:
        assert connection.execute(select(exam_scores)).all() == []


def test_a_self_test_leaves_no_score(archive: Archive, ledger: Ledger, clock: Clock) -> None:
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS), sender=SELFTEST_AET)
    station.complete()

    station.analyze()

    assert station.study()["state"] in ("ANALYZED", "DELIVERED")
    with ledger.engine.connect() as connection:
        assert connection.execute(select(exam_scores)).all() == []
