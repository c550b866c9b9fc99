from __future__ import annotations

import json
import pickle
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from dibmg.operating_points import PlattCalibration
from dibmg_node.dicom import facts
from dibmg_node.domain.device import Device
from dibmg_node.domain.result import Delivered, FindingCode, OperatingPoint, OverlayStyle, ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.services.reading import Reading
from dibmg_node.services.reading_json import reading_json
from dibmg_node.services.writing import Wish, Writing, Written, write_results
from dibmg_node.storage.archive import Archive
from tests.factories import CANARY, R_CC, START, FakePredictor, mammogram, sop_uid
from tests.services.test_reading import exam, files_of, read_with

BOTH = (Wish(ResultKind.CAD_SR), Wish(ResultKind.OVERLAY))
PLATT = PlattCalibration(
    slope=0.9, intercept=-1.0, population="1000 screening exams", prevalence=0.25, brier=0.1, n=1000
)
CALIBRATED = OperatingPoint("default", 0.37, "2", calibration=PLATT, device=Device("Maker"))
WRITING = Writing(BOTH, START, max_side=0)


@pytest.fixture
def reading(archive: Archive) -> Reading:
    return read_with(FakePredictor(), files_of(archive, exam()))


@pytest.fixture
def unread(archive: Archive) -> Reading:
    return read_with(FakePredictor(), files_of(archive, exam()[:1]))


def kinds(written: list[Written]) -> list[str]:
    return [f"{one.result.kind}{one.result.variant and ' '}{one.result.variant}" for one in written]


def test_an_exam_that_was_read_is_an_overlay_a_view_and_a_report(reading: Reading) -> None:
    written = list(write_results(reading, WRITING))

    assert kinds(written) == ["overlay"] * 4 + ["cad-sr density"]
    assert [one.result.view for one in written] == [*STANDARD_VIEWS, None]


def test_a_results_entry_is_true_of_its_bytes(reading: Reading) -> None:
    for one in write_results(reading, WRITING):
        dataset = dcmread(BytesIO(one.content))

        assert dataset.SOPInstanceUID == one.result.sop_uid
        assert dataset.SOPClassUID == one.result.sop_class_uid
        assert dataset.SeriesInstanceUID == one.series_uid
        assert dataset.file_meta.TransferSyntaxUID == one.result.transfer_syntax_uid
        assert one.result.sha256 == sha256(one.content).hexdigest()
        assert one.result.size == len(one.content)


def test_the_same_reading_is_written_as_the_same_bytes(reading: Reading) -> None:
    first = [one.content for one in write_results(reading, WRITING)]
    second = [one.content for one in write_results(reading, replace(WRITING, wishes=BOTH[::-1]))]

    assert first == second


def test_only_what_somebody_wants_is_written(reading: Reading) -> None:
    assert kinds(list(write_results(reading, replace(WRITING, wishes=BOTH[:1])))) == ["cad-sr density"]
    assert kinds(list(write_results(reading, replace(WRITING, wishes=BOTH[1:])))) == ["overlay"] * 4
    assert list(write_results(reading, replace(WRITING, wishes=()))) == []


def test_two_ways_to_call_a_finding_are_two_reports(reading: Reading) -> None:
    wishes = (Wish(ResultKind.CAD_SR), Wish(ResultKind.CAD_SR, FindingCode.SELECTED_REGION))

    written = list(write_results(reading, replace(WRITING, wishes=wishes)))

    assert kinds(written) == ["cad-sr density", "cad-sr selected-region"]
    assert written[0].result.sop_uid != written[1].result.sop_uid


def test_a_study_that_was_not_read_gets_a_report_that_says_so(unread: Reading) -> None:
    (report,) = write_results(unread, WRITING)

    assert b"missing views: L-CC, R-MLO, L-MLO" in report.content


def test_a_broken_analysis_gets_a_report_with_its_failure(unread: Reading) -> None:
    (report,) = write_results(unread, WRITING, "the model process ended (SIGKILL)")

    assert b"SIGKILL" in report.content


def test_a_study_of_other_objects_is_not_answered(archive: Archive) -> None:
    capture = mammogram(R_CC, SOPClassUID=facts.SECONDARY_CAPTURE, Modality="OT")
    reading = read_with(FakePredictor(), files_of(archive, [capture]))

    assert list(write_results(reading, WRITING)) == []


def test_an_instance_without_a_header_does_not_stop_the_report(unread: Reading, reading: Reading) -> None:
    headers = {uid: header for uid, header in reading.headers.items() if uid != sop_uid(R_CC)}
    broken = replace(reading, result=None, headers=headers, mammograms={})

    assert kinds(list(write_results(broken, WRITING, "broke"))) == ["cad-sr density"]


def test_a_study_without_any_header_is_not_answered(unread: Reading) -> None:
    assert list(write_results(replace(unread, headers={}), WRITING, "broke")) == []


def test_a_reading_as_json_has_scores_findings_and_no_patient(reading: Reading) -> None:
    told = json.loads(json.dumps(reading_json(reading)))

    assert set(told["scores"]) == {"exam", "R", "L", "views"}
    assert set(told["scores"]["views"]) == {"R-CC", "L-CC", "R-MLO", "L-MLO"}
    assert set(told["model"]) >= {"version", "sha256", "runtime", "precision"}
    finding = told["findings"][0]
    assert set(finding) >= {"view", "score", "center", "outline", "sop_uid"}
    assert finding["outline"][0] == finding["outline"][-1]
    assert (told["exclusions"], CANARY in json.dumps(told)) == ([], False)


def test_a_calibrated_reading_as_json_has_the_probability_of_the_exam_and_what_it_rests_on(
    archive: Archive,
) -> None:
    calibrated = read_with(FakePredictor(point=CALIBRATED), files_of(archive, exam()))

    told = json.loads(json.dumps(reading_json(calibrated)))

    assert told["scores"]["probability"] == pytest.approx(PLATT.probability(told["scores"]["exam"]))
    point = told["operating_point"]
    assert (point["manufacturer"], point["calibration"]["population"]) == ("Maker", PLATT.population)


def test_without_a_calibration_no_result_knows_the_word_probability(
    reading: Reading, unread: Reading
) -> None:
    told = [json.dumps(reading_json(one)).encode() for one in (reading, unread)]
    told += [one.content for one in write_results(reading, WRITING)]
    told += [one.content for one in write_results(unread, WRITING)]

    assert [one for one in told if b"probabilit" in one.lower()] == []


def test_an_unread_study_as_json_has_its_exclusions(unread: Reading) -> None:
    told = reading_json(unread)

    assert (told["scores"], told["model"], told["findings"]) == (
        {"exam": None, "R": None, "L": None, "views": {}},
        None,
        [],
    )
    assert [one["code"] for one in told["exclusions"]] == ["BREAST_INCOMPLETE", "MISSING_VIEWS"]


def test_a_study_whose_images_name_different_patients_is_not_answered(archive: Archive) -> None:
    images = exam()
    images[0].PatientID = "P124"
    strangers = read_with(FakePredictor(), files_of(archive, images))

    assert "2 different patients" in strangers.selection.reason
    assert list(write_results(strangers, WRITING)) == []


@pytest.mark.parametrize(
    ("keyword", "damaged"),
    [
        ("ImagerPixelSpacing", b"none\\abc "),
        ("PositionerPrimaryAngle", b"NA"),
        ("EstimatedRadiographicMagnificationFactor", b"n/a "),
    ],
)
def test_a_damaged_optional_attribute_is_an_absent_one(
    archive: Archive, keyword: str, damaged: bytes
) -> None:
    images = exam()
    for image in images:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        image[keyword] = RawDataElement(BaseTag(tag), "DS", len(damaged), damaged, 0, False, True)

    written = list(write_results(read_with(FakePredictor(), files_of(archive, images)), WRITING))

    assert kinds(written) == ["overlay"] * 4 + ["cad-sr density"]


def test_a_reports_predecessor_is_the_one_of_its_own_variant(reading: Reading) -> None:
    place = (ResultKind.CAD_SR, "density", None)
    earlier = Delivered(facts.MAMMOGRAPHY_CAD_SR, "2.25.7", "2.25.8", *place, 4, "pacs")
    wishes = [Wish(ResultKind.CAD_SR, code) for code in FindingCode]
    writing = replace(WRITING, wishes=wishes, delivered=[earlier])

    named = {
        one.result.variant: "PredecessorDocumentsSequence" in dcmread(BytesIO(one.content))
        for one in write_results(reading, writing)
    }

    assert named == {"density": True, "selected-region": False}


ALL = tuple(Wish(kind) for kind in ResultKind)


def test_an_exam_that_was_read_is_written_in_every_kind_that_is_wanted(reading: Reading) -> None:
    written = list(write_results(reading, replace(WRITING, wishes=ALL)))

    assert kinds(written) == ["overlay"] * 4 + ["presentation", "measurement-sr", "cad-sr density"]


def test_each_kind_has_a_series_of_its_own_with_its_number(reading: Reading) -> None:
    numbers = {
        (one.result.kind, one.series_uid, dcmread(BytesIO(one.content)).SeriesNumber)
        for one in write_results(reading, replace(WRITING, wishes=ALL))
    }

    assert {(kind, number) for kind, _, number in numbers} == {
        (ResultKind.CAD_SR, 9001),
        (ResultKind.MEASUREMENT_SR, 9002),
        (ResultKind.OVERLAY, 9101),
        (ResultKind.PRESENTATION, 9201),
    }
    assert len({series_uid for _, series_uid, _ in numbers}) == 4


def test_a_study_that_was_not_read_has_a_cad_report_and_nothing_else(unread: Reading) -> None:
    assert kinds(list(write_results(unread, replace(WRITING, wishes=ALL)))) == ["cad-sr density"]


def test_a_result_wanted_for_two_destinations_is_written_once(reading: Reading) -> None:
    twice = (Wish(ResultKind.MEASUREMENT_SR), Wish(ResultKind.MEASUREMENT_SR, FindingCode.SELECTED_REGION))

    assert kinds(list(write_results(reading, replace(WRITING, wishes=twice)))) == ["measurement-sr"]


@pytest.mark.parametrize("style", OverlayStyle)
def test_each_style_of_overlay_is_other_instances_of_one_series(
    reading: Reading, style: OverlayStyle
) -> None:
    color = list(write_results(reading, replace(WRITING, wishes=BOTH[1:])))
    other = list(write_results(reading, replace(WRITING, wishes=BOTH[1:], style=style)))

    same = {one.result.sop_uid for one in color} & {one.result.sop_uid for one in other}
    assert len(same) == (4 if style is OverlayStyle.COLOR else 0)
    assert {one.series_uid for one in color} == {one.series_uid for one in other}


def test_an_attribute_of_a_side_by_side_overlay_says_how_it_was_derived(reading: Reading) -> None:
    style = OverlayStyle.SIDE_BY_SIDE

    for one in write_results(reading, replace(WRITING, wishes=BOTH[1:], style=style)):
        capture = dcmread(BytesIO(one.content))

        assert (capture.Rows, capture.Columns) == (96, 128)
        assert "left half the windowed mammogram, right half the same with" in capture.DerivationDescription
        assert [float(value) for value in capture.PixelSpacing] == pytest.approx([0.1 / 1.03] * 2)


def test_a_result_travels_with_its_content_beside_it_or_in_it(reading: Reading) -> None:
    one = next(iter(write_results(reading, WRITING)))
    beside: list[pickle.PickleBuffer] = []

    rest = pickle.dumps(one, protocol=5, buffer_callback=beside.append)

    assert len(rest) < 2000 < len(one.content)
    came = pickle.loads(rest, buffers=[bytes(content) for content in beside])
    assert (came, type(came.content)) == (one, bytes)
    alone = pickle.loads(pickle.dumps(one, protocol=5))
    assert (alone, type(alone.content)) == (one, bytes)
