"""A view that comes late, or again: what is sent then, what it replaces, and what is not sent twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import OverlayStyle, ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.services.analysis import Analyst, Subscriber
from dibmg_node.services.writing import Wish
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.settlement import Settlement
from tests.factories import R_CC, STUDY_UID, Clock, mammogram
from tests.services.test_analysis import InProcess, Station

ALL = Subscriber("pacs", tuple(Wish(kind) for kind in ResultKind), answer_unread=True)
REPORTS = ("cad-sr", "measurement-sr")


def deliver(station: Station) -> list[Dataset]:
    """The destination takes all that it is owed; what it got, in the order of sending."""
    owed = station.ledger.outbox.claim(STUDY_UID, "pacs", station.clock(), timedelta(minutes=5))
    settlements = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    station.ledger.outbox.settle(STUDY_UID, "pacs", settlements, station.clock())
    sent = [dcmread(station.archive.result_path(one.sop_uid)) for one in owed]
    for dataset, one in zip(sent, owed, strict=True):
        dataset.kind = one.kind
    return sent


def replaced(report: Dataset) -> list[str]:
    """SOP Instance UIDs of the documents that a report replaces."""
    return [
        instance.ReferencedSOPInstanceUID
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def kinds(sent: list[Dataset]) -> list[str]:
    return [dataset.kind for dataset in sent]


def by_kind(sent: list[Dataset]) -> dict[str, Dataset]:
    """The last one of each kind."""
    return {dataset.kind: dataset for dataset in sent}


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """A study whose results a destination has already."""
    station = Station(archive, ledger, clock, subscribers=[ALL])
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    return station


def analyzed(station: Station, revision: int, *datasets: Dataset) -> list[Dataset]:
    """Receive, wait, analyze and deliver."""
    if datasets:
        station.receive(*datasets)  # type: ignore[arg-type]
        station.complete()
    station.analyze(revision)
    return deliver(station)


def test_images_and_states_go_first_and_reports_last(station: Station) -> None:
    assert kinds(analyzed(station, 4)) == ["overlay"] * 4 + ["presentation", "cad-sr", "measurement-sr"]


def test_a_view_that_comes_again_gives_new_instances_in_the_same_series(station: Station) -> None:
    first = analyzed(station, 4)

    second = analyzed(station, 5, mammogram(R_CC, number=1))

    assert kinds(second) == kinds(first)
    assert not {one.SOPInstanceUID for one in first} & {one.SOPInstanceUID for one in second}
    assert {kind: one.SeriesInstanceUID for kind, one in by_kind(second).items()} == {
        kind: one.SeriesInstanceUID for kind, one in by_kind(first).items()
    }


def test_each_new_report_names_the_one_of_its_own_kind_that_it_replaces(station: Station) -> None:
    first = by_kind(analyzed(station, 4))

    second = by_kind(analyzed(station, 5, mammogram(R_CC, number=1)))

    assert {kind: replaced(second[kind]) for kind in REPORTS} == {
        kind: [first[kind].SOPInstanceUID] for kind in REPORTS
    }
    assert [replaced(first[kind]) for kind in REPORTS] == [[], []]


def test_a_report_that_never_arrived_is_not_named(station: Station) -> None:
    station.analyze(4)

    second = by_kind(analyzed(station, 5, mammogram(R_CC, number=1)))

    assert [replaced(second[kind]) for kind in REPORTS] == [[], []]


def test_after_an_image_that_is_not_read_only_the_report_that_says_so_is_sent(station: Station) -> None:
    first = by_kind(analyzed(station, 4))
    processing = mammogram(R_CC, number=7, PresentationIntentType="FOR PROCESSING")

    second = analyzed(station, 5, processing)

    assert kinds(second) == ["cad-sr"]
    assert replaced(second[0]) == [first["cad-sr"].SOPInstanceUID]


def test_reading_a_study_again_sends_nothing_again(station: Station) -> None:
    analyzed(station, 4)
    before = station.study()["results"]
    station.ledger.retries.ask(STUDY_UID, station.clock())

    assert station.analyze(4) == ["pacs"]

    assert station.study()["results"] == before
    assert {one["state"] for one in station.study()["deliveries"]} == {"STORED"}  # type: ignore[attr-defined]


def test_what_is_in_the_archive_under_a_uid_stays_whatever_comes(station: Station) -> None:
    first = analyzed(station, 4)
    path = station.archive.result_path
    before = {one.SOPInstanceUID: path(one.SOPInstanceUID).read_bytes() for one in first}

    station.clock.advance(86400)
    analyzed(station, 5, mammogram(R_CC, number=1))
    station.ledger.retries.ask(STUDY_UID, station.clock())
    station.analyze(5)

    assert {uid: path(uid).read_bytes() for uid in before} == before


def test_another_style_of_overlay_is_other_instances(station: Station) -> None:
    first = analyzed(station, 4)
    station.ledger.retries.ask(STUDY_UID, station.clock())
    analyst = Analyst(
        "worker",
        station.archive,
        station.ledger.claims,
        InProcess(),
        ExamPolicy(),
        station.subscribers,
        512,
        station.clock,
        OverlayStyle.CONTOUR,
    )

    analyst.analyze(STUDY_UID, 4)

    second = deliver(station)
    assert kinds(second) == ["overlay"] * 4
    assert not {one.SOPInstanceUID for one in first} & {one.SOPInstanceUID for one in second}
