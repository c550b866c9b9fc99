"""Each fault that a course could find, planted by hand: the accounts tell it, and by its own name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from dibmg_node.services.analysis import Subscriber
from dibmg_node.services.writing import Wish
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import open_ledger
from dibmg_node.storage.settlement import Settlement
from tests.chaos.accounting import Account, Expectation, account
from tests.chaos.modality import Acknowledgment
from tests.factories import (
    R_CC,
    STUDY_UID,
    Clock,
    breast_pixels,
    data_set_bytes,
    mammogram,
    new_archive,
    new_ledger,
    part10,
)
from tests.services.test_analysis import Station

DELIVERED = Expectation("DELIVERED")


@dataclass
class Books:
    """A study after its course, and what the accountant is shown of it."""

    station: Station
    folder: Path
    acknowledged: list[Acknowledgment]
    held: dict[str, list[bytes]]

    def account(self, expectation: Expectation = DELIVERED) -> Account:
        return account(self.folder, self.acknowledged, {STUDY_UID: expectation}, self.held)

    def sql(self, statement: str) -> None:
        with self.station.ledger.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def instance_path(self) -> Path:
        return self.station.archive.instance_path(self.acknowledged[0].sop_uid)

    def report(self) -> str:
        return next(uid for uid, (content, *_) in self.held.items() if b"Findings" in content)

    def receive(self, dataset: FileDataset) -> None:
        """A newer image; the study is read anew, its results owed."""
        self.station.receive(dataset)
        self.acknowledged.append(acknowledgment(dataset))
        self.station.complete()
        self.station.analyze(len(self.acknowledged))

    def deliver(self) -> None:
        """The PACS takes what is owed to it."""
        clock, outbox = self.station.clock, self.station.ledger.outbox
        owed = outbox.claim(STUDY_UID, "pacs", clock(), timedelta(minutes=5))
        for one in owed:
            self.held[one.sop_uid] = [self.station.archive.result_path(one.sop_uid).read_bytes()]
        settlements = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
        outbox.settle(STUDY_UID, "pacs", settlements, clock())


def image(view: ViewKey, number: int = 0) -> FileDataset:
    """Large enough for the words of an overlay: fitting them into a smaller one takes seconds."""
    return mammogram(view, number=number, pixels=breast_pixels(view, 512, 384))


def acknowledgment(dataset: FileDataset) -> Acknowledgment:
    digest = sha256(data_set_bytes(dataset)).hexdigest()
    return Acknowledgment(STUDY_UID, str(dataset.SOPInstanceUID), digest)


def station_in(folder: Path) -> Station:
    archive = Archive(folder / "archive")
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.sqlite'}", ExamPolicy())
    wishes = (Wish(ResultKind.CAD_SR), Wish(ResultKind.OVERLAY))
    subscriber = Subscriber("pacs", wishes, answer_unread=True)
    return Station(archive, ledger, Clock(), subscribers=[subscriber])


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """A study that was received, read and delivered; it is copied, never changed."""
    folder = tmp_path_factory.mktemp("delivered")
    new_ledger(folder).engine.dispose()
    new_archive(folder)
    images = [image(view) for view in STANDARD_VIEWS]
    books = Books(station_in(folder), folder, [acknowledgment(one) for one in images], {})
    books.station.receive(*images)
    books.station.complete()
    books.station.analyze()
    books.deliver()
    books.station.ledger.engine.dispose()
    return books


@pytest.fixture
def books(tmp_path: Path, delivered: Books) -> Iterator[Books]:
    folder = shutil.copytree(delivered.folder, tmp_path / "books")
    station = station_in(folder)
    station.clock.time = delivered.station.clock.time
    yield Books(station, folder, list(delivered.acknowledged), dict(delivered.held))
    station.ledger.engine.dispose()


def test_a_study_with_all_that_was_promised_has_no_fault(books: Books) -> None:
    assert books.account().faults() == {}
    assert len(books.held) == 5


def test_a_newer_image_whose_report_names_the_one_that_it_replaces_is_no_fault(books: Books) -> None:
    books.receive(image(R_CC, number=1))
    books.deliver()

    assert books.account().faults() == {}
    assert len(books.held) == 10


def lose_row(books: Books) -> None:
    books.acknowledged.append(acknowledgment(mammogram(R_CC, number=7)))


def lose_file(books: Books) -> None:
    books.instance_path().unlink()


def flip_a_bit(books: Books) -> None:
    content = bytearray(books.instance_path().read_bytes())
    content[-1] ^= 1
    books.instance_path().write_bytes(content)


def leave_a_named_file(books: Books) -> None:
    books.instance_path().with_name("0" * 32 + ".dcm").write_bytes(b"never entered")


def leave_analyzing(books: Books) -> None:
    books.sql("update studies set state = 'ANALYZING'")


def leave_owed(books: Books) -> None:
    books.sql("update deliveries set state = 'OWED' where result_uid = (select max(sop_uid) from results)")


def end_otherwise(books: Books) -> None:
    books.sql("update studies set state = 'EXCLUDED', reason = 'no view'")


def give_no_reason(books: Books) -> None:
    books.sql("update studies set state = 'FAILED'")


def lose_a_result(books: Books) -> None:
    del books.held[next(uid for uid in books.held if uid != books.report())]


def change_a_result(books: Books) -> None:
    dataset = dcmread(BytesIO(books.held[books.report()][0]))
    dataset.PatientAge = "001Y"
    books.held[books.report()] = [part10(dataset)]


def send_two_contents(books: Books) -> None:
    (content,) = books.held[books.report()]
    books.held[books.report()] = [content, content + b"\0\0"]


def send_twice_under_new_uids(books: Books) -> None:
    for content in [content for (content,) in books.held.values()]:
        dataset = dcmread(BytesIO(content))
        dataset.SOPInstanceUID = f"2.25.{int.from_bytes(os.urandom(8))}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.ContentTime = "235959"
        books.held[str(dataset.SOPInstanceUID)] = [part10(dataset)]


def leave_a_draft(books: Books) -> None:
    (books.station.archive.root / "drafts" / "abc").write_bytes(b"half")


def leave_in_the_spool(books: Books) -> None:
    (books.station.archive.root / "spool" / "abc").write_bytes(b"half")


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lose_row, {"missing": 1}),
        (lose_file, {"missing": 1, "without_file": 1}),
        (flip_a_bit, {"different": 1}),
        (leave_a_named_file, {"without_row": 1}),
        (leave_analyzing, {"not_final": 1}),
        (leave_owed, {"not_final": 1}),
        (end_otherwise, {"wrong_state": 1}),
        (give_no_reason, {"wrong_state": 1, "without_reason": 1}),
        (lose_a_result, {"result_missing": 1}),
        (change_a_result, {"result_different": 1}),
        (send_two_contents, {"result_different": 1}),
        (send_twice_under_new_uids, {"result_unknown": 5, "result_duplicate": 5, "reports": 1}),
        (leave_a_draft, {"left_over": 1}),
        (leave_in_the_spool, {"left_over": 1}),
    ],
)
def test_a_planted_fault_is_told_by_its_name(
    books: Books, plant: Callable[[Books], None], told: dict[str, int]
) -> None:
    plant(books)

    assert {name: len(found) for name, found in books.account().faults().items()} == told


def test_a_report_that_does_not_name_the_one_that_it_replaces_is_told(books: Books) -> None:
    books.sql("update deliveries set state = 'SUPERSEDED'")
    books.receive(image(R_CC, number=1))
    books.deliver()

    assert list(books.account().faults()) == ["reports"]


def test_a_study_that_three_kills_made_failed_is_in_its_final_state(books: Books) -> None:
    reason = "analysis failed after 3 attempts: the worker ended in mid-analysis"
    books.sql(f"update studies set state = 'FAILED', reason = '{reason}'")

    assert books.account().faults() == {}
