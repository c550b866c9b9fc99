"""Purge: what goes, what stays, and what becomes of a study that comes again afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from sqlalchemy import Engine

from dibmg_node.dicom import facts
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.domain.lifecycle import DeliveryState, Proof
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from dibmg_node.errors import PermanentError
from dibmg_node.services.inspection import Found, Inspection
from dibmg_node.services.intake import Intake
from dibmg_node.services.purge import MOST_STUCK, Purge, PurgePolicy
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.claims import Claim, Claims
from dibmg_node.storage.evidence import Evidence, Finding
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.object_archive import ObjectArchive
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import Settlement
from tests.factories import (
    L_MLO,
    PATIENCE,
    R_CC,
    R_MLO,
    START,
    STUDY_UID,
    Clock,
    instance,
    mammogram,
    received,
    sop_uid,
)
from tests.object_storage import running_object_storage
from tests.services.audit_trail import PSEUDONYMS, AuditTrail
from tests.services.test_analysis import Station
from tests.services.test_intake import POLICY, ended, files_under, send
from tests.storage.life import analysis, analyze, make_ready, settle, state_of

DAY = timedelta(days=1)
BY_AGE = PurgePolicy(high_water=1, keep=DAY, after=timedelta(days=30))
NEVER = PurgePolicy(high_water=1, keep=DAY, after=None)
LEASE = timedelta(minutes=5)
RETAKEN = str(mammogram(R_CC, number=1).SOPInstanceUID)


@dataclass(frozen=True)
class SmallArchive(Archive):
    """An archive whose disk is as large and as full as a test says."""

    total: int = 1000
    free: int = 1000

    def total_bytes(self) -> int:
        return self.total

    def free_bytes(self) -> int:
        return self.free


@dataclass(frozen=True, kw_only=True)
class FarArchive(Archive):
    """An archive that enters a sign of life before it hands out or removes a file, and may be away."""

    ledger: Ledger
    away: bool = False

    @property
    def is_far(self) -> bool:
        return True

    def identity(self) -> str | None:
        if self.away:
            raise OSError(errno.EIO, "the object storage does not answer")
        return super().identity()

    def instance(self, sop_uid: str) -> Path:
        self.ledger.beats.beat("intake@a", START, "an image came")
        return super().instance(sop_uid)

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        self.ledger.beats.beat("intake@a", START, "an image came")
        return super().remove(instance_uids, result_uids)


@dataclass(frozen=True)
class DeadlyArchive(Archive):
    """An archive that kills who removes a file, when the file is gone."""

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        super().remove(instance_uids, result_uids)
        raise KeyboardInterrupt


@dataclass(frozen=True, kw_only=True)
class UnmountedArchive(Archive):
    """An archive on a share that is unmounted just when files are to go: its folder is empty then."""

    away: Path

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        if not self.away.exists():
            self.root.rename(self.away)
            self.root.mkdir()
        return super().remove(instance_uids, result_uids)


@dataclass(frozen=True)
class ReadOnlyArchive(Archive):
    """An archive on a disk that takes no change."""

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        raise OSError(errno.EROFS, "read-only file system")


@dataclass(frozen=True, kw_only=True)
class CrossedArchive(Archive):
    """An archive where somebody else begins when a file is about to go, and has a moment to end."""

    uid: str
    other: Thread

    def remove(self, instance_uids: Iterable[str], result_uids: Iterable[str]) -> int:
        if instance_uids == [self.uid]:
            self.other.start()
            self.other.join(0.5)
        return super().remove(instance_uids, result_uids)


@dataclass(frozen=True)
class WatchedArchive(Archive):
    """An archive that notes whether a result is held while it is written."""

    held_while_written: list[bool] = field(default_factory=list)

    def put_result(self, sop_uid: str, content: bytes) -> str:
        folder = self.instance_path(sop_uid).parent
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if folder.exists() else -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.held_while_written.append(False)
        except OSError as error:
            self.held_while_written.append(error.errno == errno.EWOULDBLOCK)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return super().put_result(sop_uid, content)


class SlowClaims(Claims):
    """Claims that something happens to between the files of an analysis and its entry."""

    def __init__(self, engine: Engine, happens: Callable[[], object]) -> None:
        super().__init__(engine)
        self.happens = happens

    def commit(self, claim: Claim, analysis: Analysis, now: datetime) -> None:
        self.happens()
        super().commit(claim, analysis, now)


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """A study that was read, whose report is owed."""
    station = Station(archive, ledger, clock)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    station.analyze()
    return station


@pytest.fixture
def purged(station: Station) -> Station:
    """The same, delivered and purged."""
    settle(station.ledger, station.clock, DeliveryState.STORED)
    assert len(purge_of(station).run()) == 1
    return station


def purge_of(station: Station, policy: PurgePolicy = BY_AGE, age: timedelta = 31 * DAY) -> Purge:
    station.clock.advance(age.total_seconds())
    return Purge(station.archive, station.ledger.purges, policy, station.clock)


def another_object() -> FileDataset:
    """A report that came with the images."""
    uid = f"{STUDY_UID}.77"
    return mammogram(SOPClassUID=facts.BASIC_TEXT_SR, Modality="SR", SOPInstanceUID=uid, PixelData=None)


def purged_station(archive: Archive, ledger: Ledger, clock: Clock, *datasets: FileDataset) -> Station:
    """A study that was read, delivered and purged."""
    station = Station(archive, ledger, clock)
    station.receive(*datasets)
    station.complete()
    station.analyze(revision=len(datasets))
    if study_of(ledger)["deliveries"]:
        settle(ledger, clock, DeliveryState.STORED)
    assert len(purge_of(station).run()) == 1
    return station


def exclude(ledger: Ledger, clock: Clock, study_uid: str) -> None:
    """A study of one image, not read, of which nobody is owed anything."""
    one = instance(R_CC, study_uid=study_uid, sop_uid=f"{study_uid}.1")
    ledger.receipts.store(received(one, size=100), PATIENCE, clock())
    clock.advance(3600)
    ledger.receipts.complete_due(clock())
    claim = ledger.claims.claim(study_uid, 1, "worker", clock(), LEASE)
    ledger.claims.commit(claim, replace(analysis(outcome=Outcome.EXCLUDED), results=(), owed={}), clock())


def files(archive: Archive) -> list[Path]:
    return files_under(archive, "instances") + files_under(archive, "results")


def study_of(ledger: Ledger) -> dict[str, Any]:
    study = ledger.views.study(STUDY_UID)
    assert study is not None
    return study


def test_a_delivered_study_goes_with_its_results_and_the_ledger_keeps_it(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)

    (gone,) = purge_of(station).run()

    study = study_of(station.ledger)
    assert files(station.archive) == []
    assert (gone.reason, study["state"], study["purged_at"]) == (
        "age",
        "DELIVERED",
        station.clock().isoformat(),
    )
    assert all(one["purged"] for one in study["instances"] + study["results"])
    assert study["timeline"][-1]["event"] == "purged"
    assert study["timeline"][-1]["detail"] == f"4 images and 1 result, {gone.study.size} bytes"
    assert study["scores"]["exam"] is not None
    assert station.ledger.catalog.newest() == []
    assert purge_of(station).run() == []


@pytest.mark.parametrize("state", [DeliveryState.OWED, DeliveryState.REFUSED])
def test_what_is_not_delivered_stays_however_old_and_however_full(
    station: Station, state: DeliveryState
) -> None:
    settle(station.ledger, station.clock, state)
    full = SmallArchive(station.archive.root, free=0)

    gone = replace(purge_of(station, age=9999 * DAY), archive=full).run()

    assert (gone, len(files(station.archive))) == ([], 5)


def test_what_is_not_proven_stays_until_it_is(station: Station) -> None:
    ledger, clock = station.ledger, station.clock
    (owed,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [Settlement(owed.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock(), Proof.QUERY)
    purge = purge_of(station)

    before = purge.run()
    ledger.proofs.settle(STUDY_UID, "pacs", [Evidence(owed.sop_uid, Finding.PROVEN)], clock())

    assert (before, len(purge.run())) == ([], 1)


def test_an_excluded_study_whose_report_is_not_proven_stays_until_it_is(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="why"))
    (owed,) = ledger.outbox.claim(STUDY_UID, "pacs", clock(), LEASE)
    said = [Settlement(owed.sop_uid, DeliveryState.STORED, "0x0000", "")]
    ledger.outbox.settle(STUDY_UID, "pacs", said, clock(), Proof.QUERY)
    purge = Purge(archive, ledger.purges, replace(BY_AGE, after=-DAY), clock)

    before = purge.run()
    ledger.proofs.settle(STUDY_UID, "pacs", [Evidence(owed.sop_uid, Finding.PROVEN)], clock())

    assert (before, len(purge.run())) == ([], 1)


def test_a_study_whose_results_went_nowhere_stays(ledger: Ledger, archive: Archive, clock: Clock) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=[]))

    assert state_of(ledger) == "DELIVERED"
    assert Purge(archive, ledger.purges, replace(BY_AGE, after=-DAY), clock).run() == []


@pytest.mark.parametrize(("outcome", "count"), [(Outcome.EXCLUDED, 1), (Outcome.FAILED, 0)])
def test_an_excluded_study_goes_and_a_failed_one_waits_for_its_person(
    ledger: Ledger, archive: Archive, clock: Clock, outcome: Outcome, count: int
) -> None:
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(outcome=outcome, reason="why"))
    settle(ledger, clock, DeliveryState.STORED)

    gone = Purge(archive, ledger.purges, replace(BY_AGE, after=-DAY), clock).run()

    assert len(gone) == count


def test_by_high_water_the_oldest_go_until_it_is_reached_and_none_that_is_young(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    for number in range(4):
        exclude(ledger, clock, f"1.2.{number}")
    clock.advance(86400 - 2 * 3600)  # the first two are older than a day by now
    full = SmallArchive(archive.root, total=1000, free=100)
    policy = PurgePolicy(high_water=0.85, keep=DAY, after=None)
    purge = Purge(full, ledger.purges, policy, clock)

    def planned(free: int) -> list[str]:
        told = replace(purge, archive=replace(full, free=free)).plan()
        return [one.study.study_uid for one in told]

    assert planned(free=150) == []
    assert planned(free=149) == ["1.2.0"]
    assert planned(free=50) == ["1.2.0"]
    assert planned(free=49) == planned(free=0) == ["1.2.0", "1.2.1"]


def test_a_purge_that_was_killed_before_the_files_went_is_ended_by_the_next(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)
    station.ledger.purges.purge(STUDY_UID, station.clock())
    before = len(files(station.archive))

    gone = purge.run()

    assert (before, gone, files(station.archive)) == (5, [], [])
    assert station.ledger.purges.removals.studies() == []


def test_a_purge_that_was_killed_between_two_files_is_ended_by_the_next(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)

    with pytest.raises(KeyboardInterrupt):
        replace(purge, archive=DeadlyArchive(station.archive.root)).run()
    before = len(files(station.archive))
    purge.run()

    assert (before, files(station.archive)) == (4, [])


def test_nothing_is_purged_while_the_share_is_not_mounted(station: Station, tmp_path: Path) -> None:
    root, ledger = station.archive.root, station.ledger
    ledger.marks.enter_archive(station.archive.give_identity())
    settle(ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)
    root.rename(tmp_path / "away")
    root.mkdir()

    with pytest.raises(OSError, match="is it mounted"):
        purge.run()
    while_away = study_of(ledger)["purged_at"]
    root.rmdir()
    (tmp_path / "away").rename(root)

    assert (while_away, len(purge.run()), files(station.archive)) == (None, 1, [])


def test_files_of_a_share_that_is_unmounted_while_they_go_are_removed_later(
    station: Station, tmp_path: Path
) -> None:
    root, ledger = station.archive.root, station.ledger
    ledger.marks.enter_archive(station.archive.give_identity())
    settle(ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)

    with pytest.raises(OSError, match="is it mounted"):
        replace(purge, archive=UnmountedArchive(root, away=tmp_path / "away")).run()
    shutil.rmtree(root)
    (tmp_path / "away").rename(root)
    before = len(files(station.archive))
    purge.run()

    assert (before, files(station.archive)) == (5, [])


def test_a_file_that_cannot_be_removed_stays_until_it_can_and_the_others_go(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    path = station.archive.instance_path(study_of(station.ledger)["instances"][0]["sop_uid"])
    path.unlink()
    path.mkdir()  # which nobody can remove as a file
    purge = purge_of(station)

    assert len(purge.run()) == 1
    assert purge.run() == []
    assert (files(station.archive), path.exists()) == ([], True)

    path.rmdir()
    path.write_bytes(b"an image")
    assert purge.run() == []
    assert not path.exists()


def test_nothing_more_is_purged_while_the_files_of_many_studies_cannot_be_removed(
    ledger: Ledger, archive: Archive, clock: Clock
) -> None:
    for number in range(MOST_STUCK + 5):
        exclude(ledger, clock, f"1.2.{number}")
    purge = Purge(ReadOnlyArchive(archive.root), ledger.purges, replace(BY_AGE, after=-DAY), clock)

    gone = [len(purge.run()), len(purge.run())]

    assert gone == [MOST_STUCK, 0]
    assert len(replace(purge, archive=archive).run()) == 5
    assert ledger.purges.removals.studies() == []


def test_an_image_that_comes_again_before_its_file_went_stays(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)
    station.ledger.purges.purge(STUDY_UID, station.clock())
    intake = Intake(station.archive, station.ledger.receipts, POLICY, station.clock)

    answer = send(intake, mammogram(R_CC))
    replace(purge, policy=NEVER).run()

    assert answer.status == StoreStatus.SUCCESS
    assert files(station.archive) == [station.archive.instance_path(sop_uid(R_CC))]


def test_an_image_that_comes_again_while_its_file_goes_stays(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    intake = Intake(station.archive, station.ledger.receipts, POLICY, station.clock)
    sender = Thread(target=send, args=(intake, mammogram(R_CC)))
    crossed = CrossedArchive(station.archive.root, uid=sop_uid(R_CC), other=sender)

    replace(purge_of(station), archive=crossed).run()
    sender.join()

    (image,) = [one for one in study_of(station.ledger)["instances"] if not one["purged"]]
    assert image["sop_uid"] == sop_uid(R_CC)
    assert files(station.archive) == [station.archive.instance_path(sop_uid(R_CC))]


def test_results_that_are_written_again_before_their_files_went_stay(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)
    station.ledger.purges.purge(STUDY_UID, station.clock())
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    watched = WatchedArchive(station.archive.root)
    purge = replace(purge, policy=NEVER)
    claims = SlowClaims(station.ledger.engine, purge.run)
    replace(station, archive=watched, ledger=replace(station.ledger, claims=claims)).analyze(revision=5)

    purge.run()

    assert watched.held_while_written == [True]
    assert len(files(station.archive)) == 5
    assert not any(one["purged"] for one in study_of(station.ledger)["results"])


def test_a_start_does_not_take_what_is_to_go_for_what_nobody_entered(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    ledger = station.ledger
    ledger.purges.purge(STUDY_UID, station.clock())

    found = Inspection(station.archive, ledger.receipts, ledger.holdings, PATIENCE, station.clock).run()

    assert found == Found()
    assert all(one["purged"] for one in study_of(ledger)["instances"])


def test_a_study_that_was_opened_again_since_it_was_planned_stays(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    purge = purge_of(station)
    planned = purge.plan()
    station.receive(mammogram(R_CC, number=1))

    freed = station.ledger.purges.purge(STUDY_UID, station.clock())

    assert (len(planned), freed) == (1, None)


@pytest.mark.parametrize("what", ["analysis", "delivery", "automatic"])
def test_a_retry_of_a_purged_study_says_what_to_do(purged: Station, what: str) -> None:
    with pytest.raises(PermanentError, match=r"was purged at .* when its images come again"):
        purged.ledger.retries.ask(STUDY_UID, purged.clock(), Retry(what))


def test_images_of_a_purged_study_that_come_again_are_kept_and_it_is_read_once_four_views_are_here(
    purged: Station,
) -> None:
    intake = Intake(purged.archive, purged.ledger.receipts, POLICY, purged.clock)
    before = study_of(purged.ledger)["results"]

    answers = [send(intake, mammogram(view)).status for view in STANDARD_VIEWS[:3]]
    waiting = study_of(purged.ledger)
    answers.append(send(intake, mammogram(L_MLO)).status)
    intake.ended(ended())
    purged.complete()
    purged.analyze(revision=5)

    study = study_of(purged.ledger)
    assert answers == [StoreStatus.SUCCESS] * 4
    assert (waiting["state"], waiting["purged_at"] is None) == ("DELIVERED", False)
    assert [one["purged"] for one in waiting["instances"]].count(True) == 1
    assert "1 other images are purged" in waiting["timeline"][-1]["detail"]
    # the same images and weights: the same bytes, which the destination has already
    assert (study["state"], study["purged_at"]) == ("DELIVERED", None)
    assert [one["sha256"] for one in study["results"]] == [one["sha256"] for one in before]
    assert (len(files(purged.archive)), study["results"][0]["purged"]) == (5, False)
    assert [one["attempts"] for one in study["deliveries"]] == [1]


@pytest.mark.parametrize("views", [(R_CC, R_MLO), STANDARD_VIEWS], ids=["one breast", "four views"])
@pytest.mark.parametrize("place", [None, 0, -1, 9], ids=["not", "first", "before the last", "last"])
def test_a_purged_study_is_read_once_its_mammograms_are_here_wherever_its_report_comes(
    archive: Archive, ledger: Ledger, clock: Clock, views: tuple[ViewKey, ...], place: int | None
) -> None:
    images, report = [mammogram(view) for view in views], another_object()
    station = purged_station(archive, ledger, clock, *images, report)
    before = study_of(ledger)["results"]
    again = list(images)
    if place is not None:
        again.insert(place, report)

    station.receive(*again)
    station.complete()
    station.analyze(revision=study_of(ledger)["revision"])

    study = study_of(ledger)
    assert (study["state"], study["purged_at"]) == ("DELIVERED", None)
    assert [one["sop_uid"] for one in study["results"]] == [one["sop_uid"] for one in before]
    assert not any(one["purged"] for one in study["results"])


def test_a_purged_study_that_was_not_opened_although_its_images_are_here_can_be_retried(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    report = another_object()
    station = purged_station(archive, ledger, clock, report)
    station.receive(report)
    assert study_of(ledger)["purged_at"] is not None

    with pytest.raises(PermanentError, match="was purged at"):
        ledger.retries.ask(STUDY_UID, clock(), Retry.DELIVERY)
    asked = ledger.retries.ask(STUDY_UID, clock())

    assert (asked, study_of(ledger)["purged_at"], state_of(ledger)) == (Retry.ANALYSIS, None, "READY")


def test_one_late_image_of_a_purged_study_is_kept_and_says_that_it_is_not_read(purged: Station) -> None:
    intake = Intake(purged.archive, purged.ledger.receipts, POLICY, purged.clock)

    answer = send(intake, mammogram(R_CC, number=1))

    study = study_of(purged.ledger)
    (late,) = [one for one in study["instances"] if not one["purged"]]
    assert (answer.status, study["state"], study["revision"]) == (StoreStatus.SUCCESS, "DELIVERED", 4)
    assert (late["sop_uid"], late["code"]) == (RETAKEN, "STUDY_PURGED")
    assert "read again once its four standard views, or all of its mammograms, are here" in late["sentence"]


def test_a_late_image_and_four_views_again_are_read_together_and_answered_anew(purged: Station) -> None:
    purged.receive(mammogram(R_CC, number=1))
    purged.receive(*(mammogram(view) for view in STANDARD_VIEWS[1:]))
    purged.complete()

    purged.analyze(revision=5)

    study = study_of(purged.ledger)
    new, old = ([one for one in study["results"] if one["current"] is current] for current in (True, False))
    codes = {one["sop_uid"]: one["code"] for one in study["instances"]}
    assert (study["state"], len(new), len(old)) == ("ANALYZED", 1, 1)
    assert old[0]["purged"]
    assert codes[RETAKEN] == "USED"
    assert codes[sop_uid(R_CC)] == "PURGED"


def test_other_bytes_under_the_uid_of_a_purged_instance_are_quarantined(purged: Station) -> None:
    intake = Intake(purged.archive, purged.ledger.receipts, POLICY, purged.clock)
    other = mammogram(R_CC)
    other.SeriesDescription = "another"

    answer = send(intake, other)

    assert answer.status == StoreStatus.CANNOT_UNDERSTAND
    assert len(files_under(purged.archive, "quarantine")) == 1


def test_no_result_is_written_with_other_bytes_than_destinations_have(purged: Station) -> None:
    purged.ledger.engine.dispose()
    with purged.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE results SET sha256 = 'written by another version'")
    purged.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    purged.complete()

    owed = purged.analyze(revision=5)

    study = study_of(purged.ledger)
    assert (owed, files_under(purged.archive, "results")) == ([], [])
    assert (study["state"], study["results"][0]["purged"]) == ("DELIVERED", True)


def test_what_came_again_of_a_purged_study_is_purged_again(purged: Station) -> None:
    purged.receive(mammogram(R_CC))

    (gone,) = purge_of(purged).run()

    assert (gone.study.study_uid, files(purged.archive)) == (STUDY_UID, [])
    assert purge_of(purged).run() == []


def test_what_goes_is_told_to_the_audit_with_the_patients_pseudonym(
    station: Station, trail: AuditTrail
) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)

    replace(purge_of(station), audit=trail.auditor).run()

    told = trail.of("DICOM Study Deleted")
    assert (told["description"], told["patient"]) == ("age", PSEUDONYMS.of("P123"))
    assert [one["study_uid"] for one in told["studies"]] == [STUDY_UID]


def test_the_ledger_is_not_locked_while_the_pseudonym_is_read_nor_while_files_go(
    station: Station, trail: AuditTrail
) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    far = FarArchive(station.archive.root, ledger=station.ledger)

    (gone,) = replace(purge_of(station), archive=far, audit=trail.auditor).run()

    assert gone.study.study_uid == STUDY_UID
    assert files(station.archive) == []
    assert trail.of("DICOM Study Deleted")["patient"] == PSEUDONYMS.of("P123")


def test_nothing_is_purged_while_an_archive_that_is_far_does_not_answer(station: Station) -> None:
    settle(station.ledger, station.clock, DeliveryState.STORED)
    away = FarArchive(station.archive.root, ledger=station.ledger, away=True)

    with pytest.raises(OSError, match="does not answer"):
        replace(purge_of(station), archive=away).run()

    assert study_of(station.ledger)["purged_at"] is None
    assert len(files(station.archive)) == 5


def test_objects_that_a_killed_machine_was_to_remove_another_one_removes(
    tmp_path: Path, ledger: Ledger, clock: Clock
) -> None:
    with running_object_storage() as storage:
        here, there = (
            ObjectArchive(tmp_path / name, objects=storage.store(), cache_bytes=2**30) for name in ("a", "b")
        )
        for one in (here, there):
            one.prepare()
        station = Station(here, ledger, clock)
        station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
        station.complete()
        station.analyze()
        settle(ledger, clock, DeliveryState.STORED)
        purge = purge_of(station)
        ledger.purges.purge(STUDY_UID, clock())  # and is killed
        station.receive(mammogram(R_CC))

        replace(purge, archive=there, policy=NEVER).run()

        assert list(here.files("instances")) == [here.instance_path(sop_uid(R_CC)).stem]
        assert here.files("results") == {}
    assert ledger.purges.removals.studies() == []
