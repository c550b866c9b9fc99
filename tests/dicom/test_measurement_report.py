"""Rows of the measurement report (TID 1500), and what an independent reader makes of it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes as known

from dibmg_node.dicom import facts
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.identity import tracking_uid
from dibmg_node.dicom.measurement_report import measurement_report
from dibmg_node.domain.result import Predecessor
from dibmg_node.domain.study import Exclusion, ExclusionCode, Laterality
from tests.dicom.factories_results import (
    CALIBRATED,
    L_CC,
    MODEL,
    NOW,
    POINT,
    R_CC,
    R_MLO,
    STANDARD_VIEWS,
    STUDY_UID,
    exam,
    finding,
    header,
    images,
    sop_uid,
    states,
)
from tests.dicom.rows import child, every, row, rows, value, walk

FINDINGS = (finding(R_CC), finding(R_MLO, 2, 0.61, (120.25, 300.0)), finding(L_CC, 3, 0.4))
RIGHT = (R_CC, R_MLO)
WITHOUT_LEFT = Exclusion(
    ExclusionCode.BREAST_INCOMPLETE, "left breast: L-MLO is missing", laterality=Laterality.LEFT
)


def report_of(*findings, views=STANDARD_VIEWS, point=POINT, **arguments):
    return measurement_report(images(views), exam(*findings, views=views, point=point), NOW, **arguments)


def groups(report):
    return child(report, "Imaging Measurements").ContentSequence


def impressions(report):
    return list(child(report, "Qualitative Evaluations").ContentSequence)


def words(report):
    return value(impressions(report)[0])


def test_the_root_has_the_rows_of_tid_1500():
    report = report_of(*FINDINGS)

    assert row(report) == "CONTAINER | Imaging Measurement Report"
    assert rows(report) == [
        "HAS CONCEPT MOD | CODE | Language of Content Item and Descendants | en",
        "HAS OBS CONTEXT | CODE | Observer Type | 121007",
        f"HAS OBS CONTEXT | UIDREF | Device Observer UID | {facts.IMPLEMENTATION_CLASS_UID}",
        "HAS OBS CONTEXT | TEXT | Device Observer Name | DIB-MG synthetic",
        "HAS OBS CONTEXT | TEXT | Device Observer Manufacturer | dibmg_node",
        "HAS OBS CONTEXT | TEXT | Device Observer Model Name | DIB-MG node",
        "HAS CONCEPT MOD | CODE | Procedure reported | 363679005",
        "CONTAINS | CONTAINER | Image Library",
        "CONTAINS | CONTAINER | Imaging Measurements",
        "CONTAINS | CONTAINER | Qualitative Evaluations",
    ]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_the_library_names_every_image_that_was_read_with_the_rows_of_tid_1601():
    report = report_of()

    (group,) = child(report, "Image Library").ContentSequence
    assert [value(item) for item in group.ContentSequence] == [sop_uid(view) for view in STANDARD_VIEWS]
    assert rows(group.ContentSequence[3]) == [
        "HAS ACQ CONTEXT | CODE | Modality | MG",
        "HAS ACQ CONTEXT | CODE | Target Region | 76752008",
        "HAS ACQ CONTEXT | CODE | Image Laterality | 7771000",
        "HAS ACQ CONTEXT | DATE | Study Date | 20260303",
        "HAS ACQ CONTEXT | TIME | Study Time | 101112",
        "HAS ACQ CONTEXT | DATE | Content Date | 20260303",
        "HAS ACQ CONTEXT | TIME | Content Time | 101112",
        "HAS ACQ CONTEXT | CODE | Image View | 399368009",
        "HAS ACQ CONTEXT | TEXT | Patient Orientation Row | A",
        "HAS ACQ CONTEXT | TEXT | Patient Orientation Column | FR",
        "HAS ACQ CONTEXT | NUM | Horizontal Pixel Spacing | 0.1 mm",
        "HAS ACQ CONTEXT | NUM | Vertical Pixel Spacing | 0.08 mm",
        "HAS ACQ CONTEXT | NUM | Positioner Primary Angle | -45 deg",
        "HAS ACQ CONTEXT | NUM | Pixel Data Rows | 400 {pixels}",
        "HAS ACQ CONTEXT | NUM | Pixel Data Columns | 320 {pixels}",
    ]


def test_a_finding_is_a_group_with_the_rows_of_tid_1410():
    report = report_of(*FINDINGS)

    group = groups(report)[1]
    assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
    assert rows(group) == [
        "HAS OBS CONTEXT | TEXT | Tracking Identifier | DIB-MG R-MLO finding 2",
        f"HAS OBS CONTEXT | UIDREF | Tracking Unique Identifier | {tracking_uid(FINDINGS[1], MODEL, POINT)}",
        "CONTAINS | CODE | Finding | 111099",
        "CONTAINS | SCOORD | Image Region | POLYLINE 5",
        "HAS CONCEPT MOD | CODE | Finding Site | 76752008",
        "CONTAINS | NUM | Certainty of Finding | 61 %",
    ]
    outline = child(group, "Image Region")
    assert rows(outline) == [f"SELECTED FROM | IMAGE | {sop_uid(R_MLO)}"]
    expected = [coordinate for point in FINDINGS[1].outline for coordinate in point]
    assert list(outline.GraphicData) == pytest.approx(expected)
    assert rows(child(group, "Finding Site")) == ["HAS CONCEPT MOD | CODE | Laterality | 24028007"]


def test_every_number_says_which_algorithm_with_which_weights_gave_it():
    report = report_of(*FINDINGS)

    expected = [
        "HAS CONCEPT MOD | TEXT | Algorithm Name | DIB-MG",
        "HAS CONCEPT MOD | TEXT | Algorithm Version | synthetic 0.1.0",
        "HAS CONCEPT MOD | TEXT | Algorithm Manufacturer | dibmg_node",
        f"HAS CONCEPT MOD | TEXT | Algorithm Parameters | weights SHA-256 {MODEL.sha256}",
        "HAS CONCEPT MOD | TEXT | Algorithm Parameters | preprocessing version 1",
        "HAS CONCEPT MOD | TEXT | Algorithm Parameters | input size 1600",
        "HAS CONCEPT MOD | TEXT | Algorithm Parameters | runtime openvino, precision f32",
        "HAS CONCEPT MOD | TEXT | Algorithm Parameters | operating point default, version 1, threshold 0.37",
    ]
    measured = [item for _, item in walk(report) if value(item).endswith(" %")]
    assert len(measured) == 6
    assert [rows(item) for item in measured] == [expected] * 6


def test_exam_and_breasts_are_impressions_with_their_scores():
    report = report_of(finding(L_CC, 1, 0.83))

    assert [rows(item) for item in impressions(report)] == [
        ["HAS PROPERTIES | NUM | Certainty of impression | 83 %"],
        [
            "HAS CONCEPT MOD | CODE | Finding Site | 76752008",
            "HAS PROPERTIES | NUM | Certainty of impression | 12.5 %",
        ],
        [
            "HAS CONCEPT MOD | CODE | Finding Site | 76752008",
            "HAS PROPERTIES | NUM | Certainty of impression | 83 %",
        ],
    ]
    assert [value(item) for item in impressions(report)[1:]] == [
        "Right breast: score 0.125 (0 to 1).",
        "Left breast: score 0.830 (0 to 1).",
    ]
    sides = [value(child(child(one, "Finding Site"), "Laterality")) for one in impressions(report)[1:]]
    assert sides == ["24028007", "7771000"]


def test_every_group_has_its_outline():
    assert [len(every(group, "Image Region")) for group in groups(report_of(*FINDINGS))] == [1, 1, 1]


def test_an_exam_without_findings_has_its_impression_alone_which_says_that_nothing_is_marked():
    report = report_of()

    assert [row(item) for item in report.ContentSequence][-2:] == [
        "CONTAINS | CONTAINER | Image Library",
        "CONTAINS | CONTAINER | Qualitative Evaluations",
    ]
    assert "No suspicious regions marked." in words(report)
    assert value(child(impressions(report)[0], "Certainty of impression")) == "12.5 %"


def test_the_impression_says_that_it_is_research_and_not_told_apart_by_type():
    lines = words(report_of(*FINDINGS)).split("\r\n")

    assert lines[0] == "Research use only. Not for diagnosis."
    assert "3 suspicious regions marked." in lines
    assert any("coded Selected region, whatever it is" in line for line in lines)


def test_without_a_calibration_there_is_no_probability_in_it():
    assert b"probabilit" not in encode(report_of(*FINDINGS)).lower()


def test_with_a_calibration_the_exam_and_every_finding_have_their_probability():
    result = exam(*FINDINGS, point=CALIBRATED)
    report = measurement_report(images(), result, NOW)

    told = [value(item) for item in every(report, "Probability of cancer")]
    assert result.probability is not None
    fractions = [*(result.probability_of(one) for one in FINDINGS), result.probability]
    assert [float(one.split()[0]) for one in told] == pytest.approx(
        [100 * one for one in fractions], abs=1e-3
    )
    assert "The probability of a region is that of its breast" in words(report)


def test_a_breast_that_was_not_read_has_no_score_and_its_reason():
    report = report_of(finding(R_CC), views=RIGHT, exclusions=[WITHOUT_LEFT])

    assert [value(item) for item in impressions(report)[1:]] == ["Right breast: score 0.830 (0 to 1)."]
    assert "Views not read: L-CC, L-MLO.\r\nleft breast: L-MLO is missing" in words(report)


def test_its_tracking_identifiers_are_those_of_the_cad_report():
    arguments = states()["findings"]
    cad = cad_report(**arguments)
    report = measurement_report(images(), arguments["result"], NOW)

    def tracked(document):
        parents = [item for _, item in walk(document) if "ContentSequence" in item]
        pairs = {
            (value(child(item, "Tracking Identifier")), value(child(item, "Tracking Unique Identifier")))
            for item in parents
            if any("Tracking Identifier" in line for line in rows(item))
        }
        return {pair for pair in pairs if "finding" in pair[0]}

    assert len(tracked(cad)) == 3
    assert tracked(cad) == tracked(report)


def test_every_tracking_uid_is_of_one_group():
    report = report_of(*FINDINGS)

    uids = [value(item) for item in every(report, "Tracking Unique Identifier")]
    assert len(set(uids)) == len(uids) == 3


def test_the_evidence_is_the_images_that_were_read():
    report = report_of(finding(R_CC), views=RIGHT)

    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    named = [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence]
    assert (study.StudyInstanceUID, named) == (STUDY_UID, [sop_uid(view) for view in RIGHT])


def test_it_is_a_document_of_its_own_series():
    report = report_of()

    assert (report.SOPClassUID, report.Modality) == (facts.COMPREHENSIVE_SR, "SR")
    assert (report.SeriesNumber, report.ContentQualification) == (9002, "RESEARCH")
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert report.SeriesInstanceUID != cad_report(**states()["no finding"]).SeriesInstanceUID


def test_it_names_the_report_that_it_replaces_but_never_itself():
    earlier = Predecessor(facts.COMPREHENSIVE_SR, "2.25.7", "2.25.8")
    itself = Predecessor(facts.COMPREHENSIVE_SR, report_of().SOPInstanceUID, "2.25.8")

    report = report_of(predecessors=[earlier, itself])

    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "2.25.8"
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == ["2.25.7"]


def test_another_exam_other_weights_another_point_and_other_reasons_are_other_instances():
    reports = [
        report_of(),
        report_of(views=RIGHT),
        report_of(views=RIGHT, exclusions=[WITHOUT_LEFT]),
        report_of(point=replace(POINT, version="2")),
        measurement_report(images(), exam(model=replace(MODEL, sha256="f" * 64)), NOW),
    ]

    assert len({report.SOPInstanceUID for report in reports}) == 5


def test_an_image_that_was_left_out_makes_no_other_instance():
    spot = Exclusion(ExclusionCode.VIEW_MODIFIED, "a spot view", sop_uid="1.2.3")

    assert encode(report_of(exclusions=[spot])) == encode(report_of())


def test_highdicom_reads_the_findings_back():
    written = dcmread(BytesIO(encode(report_of(*FINDINGS))))

    report = highdicom.sr.ComprehensiveSR.from_dataset(written).content

    regions = report.get_planar_roi_measurement_groups()
    assert [str(group.tracking_uid) for group in regions] == [
        tracking_uid(one, MODEL, POINT) for one in FINDINGS
    ]
    for group, one in zip(regions, FINDINGS, strict=True):
        assert group.roi.value == pytest.approx(np.array(one.outline))
        assert group.finding_type == known.DCM.SelectedRegion
        assert [site.laterality for site in group.finding_sites] == [
            known.SCT.Right if one.view.laterality is Laterality.RIGHT else known.SCT.Left
        ]
        (certainty,) = group.get_measurements(known.DCM.CertaintyOfFinding)
        assert certainty.value == pytest.approx(100 * one.score)


def test_images_that_are_not_those_of_the_result_are_refused():
    with pytest.raises(ValueError, match="images of R-CC, expected those of L-CC"):
        measurement_report(images([R_CC]), exam(), NOW)
    stranger = replace(finding(R_CC), sop_uid="1.2.3")
    with pytest.raises(ValueError, match=r"not read: 1\.2\.3"):
        report_of(stranger)


def test_a_lossy_image_and_how_images_were_prepared_are_told():
    lossy = {**images(), R_CC: header(R_CC, LossyImageCompression="01")}
    result = replace(exam(), notes={L_CC: ("WINDOW_ESTIMATED: no window",)})

    report = measurement_report(lossy, result, NOW)

    parameters = {value(item) for item in every(report, "Algorithm Parameters")}
    assert {f"lossy compressed input {sop_uid(R_CC)}", "L-CC: WINDOW_ESTIMATED: no window"} <= parameters
