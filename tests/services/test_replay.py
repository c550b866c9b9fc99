"""A study read again: the same bytes, or the difference by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import OperatingPoint, OverlayStyle, ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.errors import PermanentError
from dibmg_node.services.analysis import Subscriber
from dibmg_node.services.images import DamagedFileError
from dibmg_node.services.orders import Answered, Asked, Reader
from dibmg_node.services.replay import Replay, Replayer
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import POINT, STUDY_UID, Clock, FakePredictor, mammogram, sop_uid
from tests.services.test_analysis import BOTH, InProcess, Station
from tests.storage.life import settle

PACS = Subscriber("pacs", BOTH, answer_unread=True)


class Other(InProcess):
    """A sandbox with a predictor of its own."""

    def __init__(self, predictor: FakePredictor) -> None:
        super().__init__()
        self.predictor = predictor

    def run(self, order: Asked, tick: Callable[[], None]) -> Answered:
        return Reader(self.predictor).carry_out(order)


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """A worker that has read one study, and owes a PACS report and overlays."""
    station = Station(archive, ledger, clock, subscribers=(PACS,))
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    station.analyze()
    return station


def replay(
    station: Station, predictor: FakePredictor | None = None, style: OverlayStyle = OverlayStyle.COLOR
) -> Replay:
    record = station.ledger.records.of(STUDY_UID)
    assert record is not None
    sandbox = Other(predictor or FakePredictor())
    return Replayer(station.archive, sandbox, ExamPolicy(), 512, style).replay(record)


def told(found: Replay) -> list[tuple[str, bool]]:
    return sorted((f"{one.result.kind} {one.result.view or ''}".strip(), one.same) for one in found.results)


OVERLAYS = [f"overlay {view}" for view in sorted(map(str, STANDARD_VIEWS))]


def test_the_same_bytes_come_again_and_nothing_is_written(station: Station) -> None:
    before = station.study()
    files = sorted(path for path in station.archive.root.rglob("*"))

    found = replay(station)

    assert told(found) == [("cad-sr", True), *((name, True) for name in OVERLAYS)]
    assert (found.same, found.causes, found.reading) == (True, [], [])
    assert station.study() == before
    assert sorted(path for path in station.archive.root.rglob("*")) == files


def test_results_that_were_delivered_in_the_meantime_do_not_count_as_predecessors(
    station: Station, clock: Clock
) -> None:
    clock.advance(60)
    settle(station.ledger, clock, DeliveryState.STORED, "0x0000")

    assert replay(station).same


def test_a_report_that_replaced_an_earlier_one_names_it_again(station: Station, clock: Clock) -> None:
    settle(station.ledger, clock, DeliveryState.STORED, "0x0000")
    clock.advance(3600)
    station.receive(mammogram(STANDARD_VIEWS[0], number=1))
    station.complete()
    station.analyze(revision=5)
    settle(station.ledger, clock, DeliveryState.STORED, "0x0000")

    found = replay(station)

    assert found.same, [one.told for one in found.results]


def test_a_result_that_an_earlier_reading_wrote_is_the_same_but_for_its_time(
    station: Station, clock: Clock
) -> None:
    settle(station.ledger, clock, DeliveryState.STORED, "0x0000")
    clock.advance(3600)
    station.receive(mammogram(STANDARD_VIEWS[0], number=1, PresentationIntentType="FOR PROCESSING"))
    station.complete()
    station.analyze(revision=5)

    found = replay(station)

    overlays = [one for one in found.results if one.result.kind is ResultKind.OVERLAY]
    assert found.same
    assert [one.told[0].split(":")[0] for one in overlays] == ["but for its time"] * 4


def test_another_operating_point_is_named_as_the_cause_with_what_it_changes(station: Station) -> None:
    found = replay(station, FakePredictor(point=OperatingPoint("strict", 0.9, "2")))

    assert not found.same
    assert found.causes == [
        "operating point: recorded default, now strict",
        "version of the operating points: recorded 1, now 2",
        "threshold: recorded 0.37, now 0.9",
    ]
    assert told(found) == [("cad-sr", False), *((name, False) for name in OVERLAYS)]


def test_scores_and_findings_that_differ_are_named_and_the_attributes_of_the_report(
    station: Station,
) -> None:
    found = replay(station, Brighter())

    scores = [line for line in found.reading if line.startswith("score R-CC")]
    report = next(one for one in found.results if one.result.kind is ResultKind.CAD_SR)
    assert (found.same, found.causes) == (False, [])
    assert len(scores) == 1
    assert ", now 0.5" in scores[0]
    assert any("NumericValue" in line for line in report.told), report.told
    assert "Kanarienvogel" not in repr(found)


def test_overlays_of_another_style_are_told_apart_from_a_report_that_is_the_same(station: Station) -> None:
    found = replay(station, style=OverlayStyle.CONTOUR)

    assert told(found) == [("cad-sr", True), *((name, False) for name in OVERLAYS)]
    assert (found.causes, found.reading) == ([], [])


def test_a_study_that_was_not_read_is_answered_with_the_same_bytes_again(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    station = Station(archive, ledger, clock, subscribers=(PACS,))
    station.receive(*(mammogram(view, BreastImplantPresent="YES") for view in STANDARD_VIEWS))
    station.complete()
    station.analyze()

    found = replay(station)

    assert station.study()["state"] == "EXCLUDED"
    assert (told(found), found.same) == ([("cad-sr", True)], True)


def test_an_image_that_is_not_what_was_received_is_not_read(station: Station) -> None:
    path = station.archive.instance_path(sop_uid(STANDARD_VIEWS[0]))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DamagedFileError, match="received were"):
        replay(station)


def test_a_study_that_is_not_read_or_was_purged_cannot_be_read_again(station: Station, clock: Clock) -> None:
    settle(station.ledger, clock, DeliveryState.STORED, "0x0000")
    station.ledger.purges.purge(STUDY_UID, clock())

    with pytest.raises(PermanentError, match=r"4 of 4 images of study .* were purged"):
        station.ledger.records.of(STUDY_UID)

    station.receive(mammogram(STANDARD_VIEWS[0], study_uid="1.2.3"))
    with pytest.raises(PermanentError, match=r"study 1\.2\.3 is RECEIVING: it has not been read"):
        station.ledger.records.of("1.2.3")

    assert station.ledger.records.of("9.9") is None


class Brighter(FakePredictor):
    """Scores every view 0.5."""

    def predict(self, exam, mammograms):  # type: ignore[no-untyped-def]
        found = super().predict(exam, mammograms)
        scores = replace(found.scores, views=dict.fromkeys(found.scores.views, 0.5), exam=0.5)
        return replace(found, scores=scores, operating_point=POINT)
