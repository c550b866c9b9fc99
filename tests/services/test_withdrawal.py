"""Results that no longer hold: what takes them back, and at which destination."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from errno import ETIMEDOUT
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.dicom.presentation import images_of
from dibmg_node.dicom.sr.checking import check_report
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.services.analysis import Subscriber
from dibmg_node.services.writing import Wish
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.retries import Retry
from dibmg_node.storage.settlement import Settlement
from tests.factories import L_CC, L_MLO, R_CC, R_MLO, STUDY_UID, Clock, mammogram, sop_uid
from tests.services.test_analysis import Station
from tests.services.test_late_images import replaced

ALONE = [Subscriber(kind.value, (Wish(kind),), answer_unread=False) for kind in ResultKind]
ALL = Subscriber("all", tuple(Wish(kind) for kind in ResultKind), answer_unread=True)


def deliver(station: Station, destination: str) -> list[Dataset]:
    """A destination takes all that it is owed; what it got."""
    owed = station.ledger.outbox.claim(STUDY_UID, destination, station.clock(), timedelta(minutes=5))
    settlements = [Settlement(one.sop_uid, DeliveryState.STORED, "0x0000", "") for one in owed]
    station.clock.advance(1)
    station.ledger.outbox.settle(STUDY_UID, destination, settlements, station.clock())
    return [dcmread(station.archive.result_path(one.sop_uid)) for one in owed]


def delivered_station(archive: Archive, ledger: Ledger, clock: Clock, *subscribers: Subscriber) -> Station:
    station = Station(archive, ledger, clock, subscribers=subscribers)
    station.receive(*(mammogram(view) for view in STANDARD_VIEWS))
    station.complete()
    station.analyze()
    return station


def implants(station: Station, *views: object) -> int:
    """Images come that keep breasts from being read; the study's revision then."""
    station.receive(*(mammogram(view, number=1, BreastImplantPresent="YES") for view in views))  # type: ignore[arg-type]
    station.complete()
    return 4 + len(views)


@pytest.fixture
def alone(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """Four destinations, each of which wants one kind only, and no answers for unread studies."""
    return delivered_station(archive, ledger, clock, *ALONE)


@pytest.fixture
def station(archive: Archive, ledger: Ledger, clock: Clock) -> Station:
    """One destination that wants everything."""
    return delivered_station(archive, ledger, clock, ALL)


def words_of(result: Dataset) -> str:
    """Everything that is said in a result, from its own text attributes."""
    return " ".join(str(one.value) for one in result.iterall() if one.VR in ("ST", "LT", "UT", "LO"))


@pytest.mark.parametrize("kind", ResultKind)
def test_whoever_has_a_result_is_told_that_it_no_longer_holds_whichever_kind_alone_it_wants(
    alone: Station, kind: ResultKind
) -> None:
    before = deliver(alone, kind.value)
    alone.analyze(implants(alone, R_CC, L_CC))

    after = deliver(alone, kind.value)

    assert len(after) == len(before)
    assert {one.SeriesInstanceUID for one in after} == {one.SeriesInstanceUID for one in before}
    assert not {one.SOPInstanceUID for one in after} & {one.SOPInstanceUID for one in before}
    assert all("breast implant" in words_of(one) for one in after)


@pytest.mark.parametrize("kind", ResultKind)
def test_whoever_has_nothing_is_told_nothing(alone: Station, kind: ResultKind) -> None:
    alone.analyze(implants(alone, R_CC, L_CC))

    assert [one["destination"] for one in alone.study()["deliveries"] if one["state"] == "OWED"] == []  # type: ignore[attr-defined]
    assert alone.study()["state"] == "EXCLUDED"


def test_each_report_is_replaced_by_one_of_its_own_kind(station: Station) -> None:
    before = {one.SOPClassUID: one for one in deliver(station, "all")}
    station.analyze(implants(station, R_CC, L_CC))

    after = {one.SOPClassUID: one for one in deliver(station, "all")}

    reports = [uid for uid, one in before.items() if one.Modality == "SR"]
    assert {uid: replaced(after[uid]) for uid in reports} == {
        uid: [before[uid].SOPInstanceUID] for uid in reports
    }
    assert len(reports) == 2


def test_a_withdrawn_measurement_report_keeps_its_images_and_says_nothing_of_them(alone: Station) -> None:
    (before,) = deliver(alone, "measurement-sr")
    alone.analyze(implants(alone, R_CC, L_CC))

    (after,) = deliver(alone, "measurement-sr")

    evidence = "CurrentRequestedProcedureEvidenceSequence"
    concepts = [item.ConceptNameCodeSequence[0].CodeMeaning for item in after.ContentSequence]
    assert after[evidence].value == before[evidence].value
    assert (concepts[-2:], "Imaging Measurements" in concepts) == (
        ["Image Library", "Qualitative Evaluations"],
        False,
    )
    assert "WITHDRAWN" not in words_of(before)


def test_a_withdrawn_overlay_is_words_on_the_same_grid(alone: Station) -> None:
    before = {one.InstanceNumber: one for one in deliver(alone, "overlay")}
    alone.analyze(implants(alone, R_CC, L_CC))

    after = {one.InstanceNumber: one for one in deliver(alone, "overlay")}

    for number, one in after.items():
        pixels = one.pixel_array
        assert pixels.shape == before[number].pixel_array.shape
        assert 0 < (pixels.max(axis=2) > 0).mean() < 0.5
        assert f"Withdraws SOP Instance {before[number].SOPInstanceUID}." in one.DerivationDescription


def test_a_withdrawn_presentation_state_shows_no_outline(alone: Station) -> None:
    (before,) = deliver(alone, "presentation")
    alone.analyze(implants(alone, R_CC, L_CC))

    (after,) = deliver(alone, "presentation")

    assert images_of(after) == images_of(before)
    assert any("GraphicObjectSequence" in one for one in before.GraphicAnnotationSequence)
    assert not any("GraphicObjectSequence" in one for one in after.GraphicAnnotationSequence)
    assert len(after.GraphicAnnotationSequence) == 4


def test_of_a_breast_that_is_no_longer_read_overlays_and_outlines_are_taken_back(station: Station) -> None:
    deliver(station, "all")
    station.analyze(implants(station, R_CC))

    after = deliver(station, "all")

    withdrawn = [one for one in after if "withdrawn" in words_of(one).lower()]
    states = {frozenset(images_of(one)) for one in withdrawn if one.Modality == "PR"}
    assert sorted(one.InstanceNumber for one in withdrawn if one.Modality == "OT") == ["1", "3"]
    assert states == {frozenset({sop_uid(R_CC), sop_uid(R_MLO)})}
    assert sorted(one.Modality for one in after if one not in withdrawn) == ["OT", "OT", "PR", "SR", "SR"]


def test_after_a_view_that_comes_again_nothing_is_withdrawn(station: Station) -> None:
    deliver(station, "all")
    station.receive(mammogram(R_CC, number=1))
    station.complete()
    station.analyze(5)

    assert not any("withdrawn" in words_of(one).lower() for one in deliver(station, "all"))


def test_what_is_withdrawn_is_not_withdrawn_again(station: Station) -> None:
    deliver(station, "all")
    station.analyze(implants(station, R_CC, L_CC))
    deliver(station, "all")
    station.receive(mammogram(L_MLO, number=2, BreastImplantPresent="YES"))
    station.complete()
    station.analyze(7)

    (report,) = deliver(station, "all")

    assert report.Modality == "SR"


def test_a_withdrawal_that_never_arrived_is_made_anew(station: Station) -> None:
    deliver(station, "all")
    station.analyze(implants(station, R_CC, L_CC))
    station.receive(mammogram(L_MLO, number=2, BreastImplantPresent="YES"))
    station.complete()
    station.analyze(7)

    assert sorted(one.Modality for one in deliver(station, "all")) == ["OT"] * 4 + ["PR", "SR", "SR"]


@pytest.mark.parametrize("kind", ResultKind)
def test_what_holds_again_after_it_was_withdrawn_is_sent_again_as_the_newest(
    alone: Station, kind: ResultKind
) -> None:
    before = deliver(alone, kind.value)
    gone = [alone.archive.instance_path(sop_uid(view)) for view in STANDARD_VIEWS]
    kept = [path.read_bytes() for path in gone]
    alone.ledger.retries.ask(STUDY_UID, alone.clock(), Retry.ANALYSIS)
    for path in gone:
        path.unlink()
    for _ in range(3):
        alone.analyze(4)
    taken_back = deliver(alone, kind.value)
    for path, content in zip(gone, kept, strict=True):
        path.write_bytes(content)
    alone.ledger.retries.ask(STUDY_UID, alone.clock(), Retry.ANALYSIS)
    alone.analyze(4)

    again = deliver(alone, kind.value)

    known = {one.SOPInstanceUID for one in [*before, *taken_back]}
    assert len(again) == len(before)
    assert not {one.SOPInstanceUID for one in again} & known
    assert not any("withdrawn" in words_of(one).lower() for one in again)


def test_results_of_a_study_that_turns_out_to_name_two_patients_are_taken_back_where_they_are(
    station: Station,
) -> None:
    before = deliver(station, "all")
    station.receive(mammogram(R_CC, number=1, PatientID="SOMEBODY ELSE"))
    station.complete()
    station.analyze(5)

    after = deliver(station, "all")

    assert len(after) == len(before)
    assert {one.PatientID for one in after} == {one.PatientID for one in before}
    assert all("different patients" in words_of(one) for one in after)


def test_withdrawn_reports_are_what_the_templates_want(station: Station) -> None:
    deliver(station, "all")
    station.receive(mammogram(R_CC, number=1, PatientID="SOMEBODY ELSE"))
    station.complete()
    station.analyze(5)

    reports = [one for one in deliver(station, "all") if one.Modality == "SR"]

    assert [list(check_report(one)) for one in reports if one.SOPClassUID.endswith("88.50")] == [[]]


def test_an_earlier_result_that_is_damaged_or_gone_keeps_no_study_from_its_end(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    before = deliver(station, "all")
    first, second, *others = [station.archive.result_path(one.SOPInstanceUID) for one in before]
    first.unlink()
    second.write_bytes(b"no DICOM")
    station.analyze(implants(station, R_CC, L_CC))

    after = deliver(station, "all")

    assert station.study()["state"] == "EXCLUDED"
    assert len(after) == len(others)
    assert caplog.messages.count("result cannot be withdrawn") == 2


@dataclass(frozen=True)
class Unsteady(Archive):
    """An archive that does not answer for results for a while.

    Attributes:
        left: Raised in turn, before it answers again.
    """

    left: list[OSError] = field(default_factory=list)

    def result(self, sop_uid: str) -> Path:
        if self.left:
            raise self.left.pop()
        return super().result(sop_uid)


@pytest.fixture
def unsteady(tmp_path: Path) -> Unsteady:
    archive = Unsteady(tmp_path / "archive")
    archive.prepare()
    return archive


def unanswered() -> OSError:
    return OSError(ETIMEDOUT, "the storage does not answer")


def test_while_the_archive_does_not_answer_nothing_is_entered_without_its_withdrawals(
    unsteady: Unsteady, ledger: Ledger, clock: Clock
) -> None:
    station = delivered_station(unsteady, ledger, clock, ALL)
    before = deliver(station, "all")
    unsteady.left.extend([unanswered()] * 2)
    revision = implants(station, R_CC, L_CC)

    station.analyze(revision)
    state, reason = station.study()["state"], station.study()["reason"]
    station.analyze(revision)
    station.analyze(revision)

    assert (state, reason) == ("READY", "disk: the storage does not answer")
    assert len(deliver(station, "all")) == len(before)


def test_an_earlier_result_that_cannot_be_read_is_passed_over_at_the_last_attempt(
    unsteady: Unsteady, ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    station = delivered_station(unsteady, ledger, clock, ALL)
    before = deliver(station, "all")
    unsteady.left.extend([unanswered()] * 3)
    revision = implants(station, R_CC, L_CC)

    for _ in range(3):
        station.analyze(revision)

    assert station.study()["state"] == "EXCLUDED"
    assert len(deliver(station, "all")) == len(before) - 1
    assert caplog.messages.count("result cannot be withdrawn") == 1


def test_a_result_that_is_gone_with_its_archive_is_not_passed_over(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    for one in deliver(station, "all"):
        station.archive.result_path(one.SOPInstanceUID).unlink()
    station.archive_identity = "of another archive"

    station.analyze(implants(station, R_CC, L_CC))

    assert station.study()["state"] == "READY"
    assert str(station.study()["reason"]).startswith("the archive is away")
    assert "result cannot be withdrawn" not in caplog.messages
