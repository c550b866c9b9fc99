"""Rows of the CAD report in every state of a study."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._concepts_dict import concepts

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.cad_report import Predecessor, cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.sr_content import code, container, content, image, place, reference
from dibmg_node.domain.result import FindingCode
from dibmg_node.domain.study import Exclusion, ExclusionCode
from tests.dicom.factories_results import (
    CALIBRATED,
    L_CC,
    L_MLO,
    MODEL,
    NOW,
    R_CC,
    R_MLO,
    STANDARD_VIEWS,
    STUDY_UID,
    exam,
    finding,
    header,
    headers,
    read_back,
    sop_uid,
    states,
    unread,
    verdicts,
)
from tests.dicom.rows import child, every, name, row, rows, value, walk


def impression(report):
    return value(child(child(report, "CAD Processing and Findings Summary"), "Impression Description"))


def library_uids(report):
    return [value(item) for item in child(report, "Image Library").ContentSequence]


def referenced(container_item):
    """Library positions that a container of detections or analyses refers to."""
    performed = container_item.ContentSequence[0]
    return [
        item.ReferencedContentItemIdentifier[-1]
        for item in performed.ContentSequence
        if "ReferencedContentItemIdentifier" in item
    ]


ALGORITHM = [
    "{} | TEXT | Algorithm Name | DIB-MG",
    "{} | TEXT | Algorithm Version | synthetic 0.1.0",
    "{} | TEXT | Algorithm Manufacturer | dibmg_node",
    "{} | TEXT | Algorithm Parameters | weights SHA-256 " + MODEL.sha256,
    "{} | TEXT | Algorithm Parameters | preprocessing version 1",
    "{} | TEXT | Algorithm Parameters | input size 1600",
    "{} | TEXT | Algorithm Parameters | runtime openvino, precision f32",
    "{} | TEXT | Algorithm Parameters | operating point default, version 1, threshold 0.37",
]
HAS_PROPERTIES = [line.format("HAS PROPERTIES") for line in ALGORITHM]


def test_the_root_has_the_rows_of_tid_4000_in_order():
    report = cad_report(**states()["findings"])

    assert row(report) == "CONTAINER | Mammography CAD Report"
    assert rows(report) == [
        "HAS CONCEPT MOD | CODE | Language of Content Item and Descendants | en",
        "CONTAINS | CONTAINER | Image Library",
        "CONTAINS | CODE | CAD Processing and Findings Summary | 111242",
        "CONTAINS | CODE | Summary of Detections | 111222",
        "CONTAINS | CODE | Summary of Analyses | 111222",
    ]
    assert rows(report.ContentSequence[0]) == ["HAS CONCEPT MOD | CODE | Country of Language | US"]
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "4000"
    assert report.ContinuityOfContent == "SEPARATE"


def test_a_library_image_is_nameless_and_has_the_rows_of_tid_4020_in_order():
    report = cad_report(**states()["findings"])

    entry = child(report, "Image Library").ContentSequence[2]

    assert "ConceptNameCodeSequence" not in entry
    assert row(entry) == f"CONTAINS | IMAGE | {sop_uid(R_MLO)}"
    assert rows(entry) == [
        "HAS ACQ CONTEXT | CODE | Image Laterality | 73056007",
        "HAS ACQ CONTEXT | CODE | Image View | 399368009",
        "HAS ACQ CONTEXT | TEXT | Patient Orientation Row | P",
        "HAS ACQ CONTEXT | TEXT | Patient Orientation Column | FL",
        "HAS ACQ CONTEXT | DATE | Study Date | 20260303",
        "HAS ACQ CONTEXT | TIME | Study Time | 101112",
        "HAS ACQ CONTEXT | DATE | Content Date | 20260303",
        "HAS ACQ CONTEXT | TIME | Content Time | 101112",
        "HAS ACQ CONTEXT | NUM | Horizontal Pixel Spacing | 0.1 mm",
        "HAS ACQ CONTEXT | NUM | Vertical Pixel Spacing | 0.08 mm",
        "HAS ACQ CONTEXT | NUM | Positioner Primary Angle | -45 deg",
        "HAS ACQ CONTEXT | NUM | Pixel Data Rows | 400 {pixels}",
        "HAS ACQ CONTEXT | NUM | Pixel Data Columns | 320 {pixels}",
    ]


def test_a_view_modifier_stands_under_its_view():
    modified = Dataset()
    modified.CodeValue, modified.CodingSchemeDesignator = "R-102D5", "SRT"
    modified.CodeMeaning = "Implant Displaced"
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "R-10242", "SRT", "cranio-caudal"
    view.ViewModifierCodeSequence = Sequence([modified])
    sources = {**headers(), sop_uid(R_CC): header(R_CC, ViewCodeSequence=Sequence([view]))}

    report = cad_report(sources, verdicts(), NOW, result=exam())

    entry = child(child(report, "Image Library").ContentSequence[0], "Image View")
    assert row(entry) == "HAS ACQ CONTEXT | CODE | Image View | 399162004"
    assert rows(entry) == ["HAS CONCEPT MOD | CODE | Image View Modifier | 399209000"]


def test_what_a_header_does_not_say_is_left_out_of_the_library():
    odd = header(
        R_CC,
        ImageLaterality=None,
        ViewCodeSequence=None,
        PatientOrientation=None,
        ImagerPixelSpacing=None,
        PositionerPrimaryAngle=None,
        StudyDate="",
        StudyTime="",
        ContentDate=None,
        ContentTime=None,
    )

    report = cad_report({sop_uid(R_CC): odd}, [], NOW)

    assert rows(child(report, "Image Library").ContentSequence[0]) == [
        "HAS ACQ CONTEXT | NUM | Pixel Data Rows | 400 {pixels}",
        "HAS ACQ CONTEXT | NUM | Pixel Data Columns | 320 {pixels}",
    ]


def test_the_library_is_in_the_order_of_every_output_whatever_order_the_headers_have():
    turned = dict(reversed(headers().items()))

    report = cad_report(turned, verdicts(), NOW, result=exam())

    assert library_uids(report) == [sop_uid(view) for view in STANDARD_VIEWS]


def test_findings_stand_in_one_container_a_breast_right_first():
    report = cad_report(**states()["findings"])

    summary = child(report, "CAD Processing and Findings Summary")

    assert rows(summary) == [
        f"HAS PROPERTIES | TEXT | Impression Description | {impression(report)}",
        "HAS PROPERTIES | NUM | Certainty of impression | 83 %",
        *HAS_PROPERTIES,
        "INFERRED FROM | CONTAINER | Individual Impression/Recommendation",
        "INFERRED FROM | CONTAINER | Individual Impression/Recommendation",
    ]
    right, left = every(report, "Individual Impression/Recommendation")
    finding_row = "CONTAINS | CODE | Single Image Finding | 129793001"
    intent = "HAS CONCEPT MOD | CODE | Rendering Intent | 111150"
    assert rows(right) == [intent, finding_row, finding_row]
    assert rows(left) == [intent, finding_row]


def test_a_finding_has_the_rows_of_tid_4006_in_order():
    report = cad_report(**states()["findings"])

    second = every(report, "Single Image Finding")[1]

    tracking = value(child(second, "Tracking Unique Identifier"))
    assert rows(second) == [
        "HAS CONCEPT MOD | CODE | Rendering Intent | 111150",
        "HAS OBS CONTEXT | TEXT | Tracking Identifier | DIB-MG R-MLO finding 2",
        f"HAS OBS CONTEXT | UIDREF | Tracking Unique Identifier | {tracking}",
        *HAS_PROPERTIES,
        "HAS PROPERTIES | NUM | Certainty of Finding | 61 %",
        "HAS PROPERTIES | SCOORD | Center | POINT 1",
        "HAS PROPERTIES | SCOORD | Outline | POLYLINE 5",
    ]
    assert rows(child(second, "Center")) == ["SELECTED FROM -> 1.2.3"]
    assert rows(child(second, "Outline")) == ["SELECTED FROM -> 1.2.3"]


def test_center_and_outline_are_the_finding_s_own_numbers():
    one = finding(R_CC, center=(200.25, 150.75))

    report = dcmread(BytesIO(encode(cad_report(headers(), verdicts(), NOW, result=exam(one)))))

    written = every(report, "Single Image Finding")[0]
    assert list(child(written, "Center").GraphicData) == [200.25, 150.75]
    assert list(child(written, "Outline").GraphicData) == [xy for point in one.outline for xy in point]


@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_every_reference_resolves_to_a_library_image(state, finding_code):
    report = cad_report(**states()[state], finding_code=finding_code)

    items = dict(walk(report))

    for item in items.values():
        if "ReferencedContentItemIdentifier" in item:
            assert set(item.keys()) == {0x0040A010, 0x0040DB73}
            target = items[tuple(item.ReferencedContentItemIdentifier)]
            assert target.ValueType == "IMAGE"
            assert target.RelationshipType == "CONTAINS"


@pytest.mark.parametrize("state", states())
def test_the_center_of_a_finding_refers_to_the_finding_s_image(state):
    arguments = states()[state]
    report = cad_report(**arguments)

    items = dict(walk(report))

    images = [
        value(items[tuple(child(one, "Center").ContentSequence[0].ReferencedContentItemIdentifier)])
        for one in every(report, "Single Image Finding")
    ]
    result = arguments.get("result")
    assert sorted(images) == sorted(one.sop_uid for one in (result.findings if result else ()))


@pytest.mark.parametrize("state", states())
def test_the_evidence_names_exactly_the_library(state):
    report = cad_report(**states()[state])

    named = [
        (study.StudyInstanceUID, series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]

    expected = [(STUDY_UID, f"{STUDY_UID}.100", uid) for uid in library_uids(report)]
    assert sorted(named) == sorted(expected)


@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_own_text_is_ascii(state, finding_code):
    report = cad_report(**states()[state], finding_code=finding_code)

    for _, item in walk(report):
        assert f"{row(item)}{name(item)}".isascii()


@pytest.mark.parametrize("state", states())
def test_the_same_analysis_gives_the_same_bytes(state):
    assert encode(cad_report(**states()[state])) == encode(cad_report(**states()[state]))


def test_every_state_has_its_own_uid():
    names = ("findings", "missing view", "failed view", "excluded", "failed", "failed without model")

    uids = {cad_report(**states()[name]).SOPInstanceUID for name in names}

    assert len(uids) == len(names)


def test_other_weights_make_another_instance_in_another_series():
    other = replace(MODEL, sha256="f" * 64)

    first = cad_report(headers(), verdicts(), NOW, result=exam())
    second = cad_report(headers(), verdicts(), NOW, result=exam(model=other))

    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


ALL, NONE = [1, 2, 3, 4], None


@pytest.mark.parametrize(
    ("state", "findings", "summary", "read", "failed"),
    [
        ("findings", "111242", "111222", ALL, NONE),
        ("no finding", "111241", "111222", ALL, NONE),
        ("missing view", "111242", "111222", [1, 2], NONE),
        ("failed view", "111243", "111223", [1, 2, 3], [4]),
        ("failed view with finding", "111244", "111223", [1, 2, 3], [4]),
        ("excluded", "111245", "111225", NONE, NONE),
        ("failed", "111245", "111224", NONE, ALL),
        ("failed without model", "111245", "111224", NONE, ALL),
    ],
)
def test_the_summaries_of_a_state(state, findings, summary, read, failed):
    report = cad_report(**states()[state])

    assert value(child(report, "CAD Processing and Findings Summary")) == findings
    for of, performed, meaning in (
        ("Detections", "Detection Performed", "129793001"),
        ("Analyses", "Analysis Performed", "111234"),
    ):
        item = child(report, f"Summary of {of}")
        assert value(item) == summary
        expected = [
            (f"{word} {of}", images)
            for word, images in (("Successful", read), ("Failed", failed))
            if images is not None
        ]
        found = [(name(one), referenced(one)) for one in item.get("ContentSequence", [])]
        assert found == expected
        for one in item.get("ContentSequence", []):
            assert rows(one) == [f"CONTAINS | CODE | {performed} | {meaning}"]


def test_a_detection_names_its_algorithm_and_then_its_images():
    report = cad_report(**states()["findings"])

    assert rows(every(report, "Detection Performed")[0]) == [
        *HAS_PROPERTIES,
        *(f"HAS PROPERTIES -> 1.2.{position}" for position in ALL),
    ]


@pytest.mark.parametrize("state", ["no finding", "failed view", "excluded", "failed", "failed without model"])
def test_without_findings_there_is_no_individual_impression(state):
    assert every(cad_report(**states()[state]), "Individual Impression/Recommendation") == []


def test_an_excluded_study_shows_what_was_received_and_why_it_was_not_read():
    report = cad_report(**states()["excluded"])

    assert library_uids(report) == [sop_uid(view) for view in STANDARD_VIEWS]
    words = impression(report).split("\r\n")
    assert words == [
        "Research use only. Not for diagnosis.",
        "This study was not analyzed. That no finding is reported says nothing about the images.",
        "no mammogram that the model may read",
        "L-CC: breast implant",
        "L-MLO: breast implant",
        "R-CC: breast implant",
        "R-MLO: breast implant",
    ]
    assert every(report, "Certainty of impression") == []


def test_a_failed_study_says_why():
    report = cad_report(**states()["failed"])

    assert "Analysis failed: the model did not answer within 120 s" in impression(report)


def test_a_breast_that_was_not_read_is_named_and_its_image_stays_out_of_the_library():
    report = cad_report(**states()["missing view"])

    assert sop_uid(L_CC) not in library_uids(report)
    words = impression(report).split("\r\n")
    assert "Views not read: L-CC, L-MLO." in words
    assert "left breast: L-MLO is missing" in words
    assert "L-CC: not read, for L-MLO is missing" in words


def test_the_impression_of_an_exam_tells_scores_threshold_training_and_limits():
    words = impression(cad_report(**states()["findings"])).split("\r\n")

    assert words == [
        "Research use only. Not for diagnosis.",
        "Score of the exam 0.830 (0 to 1); right breast 0.830, left breast 0.400; "
        "views R-CC 0.830, L-CC 0.400, R-MLO 0.610, L-MLO 0.125.",
        "The score of the exam is at or above the operating point default (version 1), 0.370.",
        "The operating point was chosen for sensitivity 80.0 % and specificity 85.0 %.",
        "The operating point was chosen on 400 synthetic exams.",
        "3 suspicious regions marked.",
        "The score is not calibrated: a higher one is more suspicious, but it is not a percentage.",
        "The algorithm does not tell types of lesion apart: a marked region is coded "
        "Mammography breast density, whatever it is.",
        "DIB-MG synthetic 0.1.0, trained on synthetic mammograms alone.",
    ]


def test_images_unlike_those_of_training_are_named_in_the_impression():
    state = states()["findings"]
    usual = impression(cad_report(**state)).split("\r\n")

    unlike = replace(state["result"], unlike_training=(R_CC, L_MLO))
    words = impression(cad_report(**{**state, "result": unlike})).split("\r\n")

    assert [line for line in words if line not in usual] == [
        "Unlike the images that the model was trained on: R-CC, L-MLO.",
        "Scores and regions of such images may mean nothing.",
    ]


def test_sentences_that_many_images_share_are_told_once():
    many = [unread(view, ExclusionCode.TOMOSYNTHESIS, "tomosynthesis is not read") for view in STANDARD_VIEWS]

    report = cad_report(headers(), many, NOW)

    assert "tomosynthesis is not read (4 images)" in impression(report).split("\r\n")


def test_an_exclusion_of_an_image_is_not_told_a_second_time_by_its_verdict():
    about = Exclusion(ExclusionCode.IMPLANT, "R-CC shows an implant", sop_uid(R_CC))
    said = [unread(R_CC, ExclusionCode.IMPLANT, "implant")]

    words = impression(cad_report(headers([R_CC]), said, NOW, exclusions=[about]))

    assert words.split("\r\n")[2:] == ["R-CC shows an implant"]


@pytest.mark.parametrize("state", sorted(set(states()) - {"calibrated"}))
def test_without_a_calibration_a_report_does_not_even_know_the_word_probability(state):
    assert b"probabilit" not in encode(cad_report(**states()[state])).lower()


def test_a_calibration_gives_each_finding_its_probability_after_its_certainty():
    one = finding(R_CC, score=0.5)

    report = cad_report(headers(), verdicts(), NOW, result=exam(one, point=CALIBRATED))

    lines = rows(every(report, "Single Image Finding")[0])
    index = lines.index("HAS PROPERTIES | NUM | Certainty of Finding | 50 %")
    assert lines[index + 1] == "HAS PROPERTIES | NUM | Probability of cancer | 26.894 %"
    assert "by calibration on 1000 screening exams: 26.9 %" in impression(report)
    assert "It holds where 25.0 % of exams show cancer" in impression(report)
    assert "not calibrated" not in impression(report)


def test_a_calibration_and_whose_images_the_point_is_for_are_among_the_parameters():
    report = cad_report(**states()["calibrated"])

    parameters = {value(one) for one in every(report, "Algorithm Parameters")}
    assert "operating point default for Maker, version 2026-03-01-0123456789ab, threshold 0.37" in parameters
    assert "calibration platt, fitted on 1000 exams, prevalence 0.25: 1000 screening exams" in parameters
    assert "the operating point default for Maker (version 2026-03-01-0123456789ab)" in impression(report)


def test_a_selected_region_is_described_and_never_has_a_probability():
    report = cad_report(**states()["calibrated"], finding_code=FindingCode.SELECTED_REGION)

    findings = every(report, "Single Image Finding")

    assert [value(one) for one in findings] == ["111099"] * 3
    assert every(report, "Probability of cancer") == []
    for one in findings:
        assert rows(one)[-1].startswith(
            "HAS PROPERTIES | TEXT | Selected Region Description | Suspicious region"
        )
    assert [value(one) for one in every(report, "Detection Performed")] == ["111099"]


def test_the_finding_codes_of_two_destinations_make_two_instances():
    first = cad_report(**states()["findings"])
    second = cad_report(**states()["findings"], finding_code=FindingCode.SELECTED_REGION)

    assert first.SOPInstanceUID != second.SOPInstanceUID
    trackings = [
        [value(one) for one in every(report, "Tracking Unique Identifier")] for report in (first, second)
    ]
    assert trackings[0] == trackings[1]


def test_a_finding_at_the_operating_point_must_be_presented_and_one_below_may_be():
    found = (finding(R_CC, 1, 0.37), finding(L_CC, 2, 0.3699))

    report = cad_report(headers(), verdicts(), NOW, result=exam(*found))

    intents = [value(child(one, "Rendering Intent")) for one in every(report, "Single Image Finding")]
    assert intents == ["111150", "111151"]


def test_lossy_input_and_estimated_windows_are_among_the_parameters():
    sources = {**headers(), sop_uid(R_CC): header(R_CC, LossyImageCompression="01")}
    result = replace(exam(), notes={L_MLO: ("WINDOW_ESTIMATED",)})

    report = cad_report(sources, verdicts(), NOW, result=result)

    parameters = {value(one) for one in every(report, "Algorithm Parameters")}
    assert "L-MLO: WINDOW_ESTIMATED" in parameters
    assert f"lossy compressed input {sop_uid(R_CC)}" in parameters


def test_a_report_names_its_predecessors_but_never_itself():
    own = cad_report(**states()["findings"])
    before = Predecessor(facts.MAMMOGRAPHY_CAD_SR, "1.2.3.4", "1.2.3")
    itself = Predecessor(facts.MAMMOGRAPHY_CAD_SR, own.SOPInstanceUID, own.SeriesInstanceUID)

    report = cad_report(**states()["findings"], predecessors=[before, itself])

    series = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert [
        (one.SeriesInstanceUID, one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in series
    ] == [("1.2.3", "1.2.3.4")]


def test_the_request_of_the_images_is_the_request_of_the_report():
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    sources = {**headers(), sop_uid(R_CC): header(R_CC, RequestAttributesSequence=Sequence([request]))}

    report = cad_report(sources, verdicts(), NOW, result=exam())

    item = report.ReferencedRequestSequence[0]
    assert (item.RequestedProcedureID, item.AccessionNumber) == ("RP1", "A123")
    assert item.StudyInstanceUID == STUDY_UID


def test_the_document_is_complete_final_and_unverified():
    report = cad_report(**states()["findings"])

    assert report.Modality == "SR"
    assert report.SeriesNumber == 9001
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert len(report.ReferencedPerformedProcedureStepSequence) == 0
    assert "VerifyingObserverSequence" not in report


def test_objects_that_are_no_images_stay_out_of_the_library():
    other = Dataset()
    other.SOPClassUID, other.SOPInstanceUID = facts.BASIC_TEXT_SR, "1.2.3.5"
    other.StudyInstanceUID, other.SeriesInstanceUID = STUDY_UID, "1.2.3"

    report = cad_report({**headers([R_CC]), "1.2.3.5": read_back(other)}, [], NOW)

    assert library_uids(report) == [sop_uid(R_CC)]
    with pytest.raises(ValueError, match="at least one image"):
        cad_report({"1.2.3.5": read_back(other)}, [], NOW)


def test_contradicting_arguments_are_refused():
    with pytest.raises(ValueError, match="not both"):
        cad_report(headers(), verdicts(), NOW, result=exam(), failure="broken")
    with pytest.raises(ValueError, match="no header given"):
        cad_report(headers([R_CC]), verdicts(), NOW, result=exam())
    with pytest.raises(ValueError, match="no verdict calls used"):
        cad_report(headers(), verdicts([R_CC]), NOW, result=exam(finding(L_CC)))


def test_a_reference_out_of_the_tree_is_refused():
    stranger = image("CONTAINS", "1.2", "1.3")
    elsewhere = reference("SELECTED FROM", stranger)
    tree = container("", codes.CAD_REPORT, [place("CONTAINS", codes.CENTER, [(1.0, 1.0)], elsewhere)])

    with pytest.raises(ValueError, match="outside of the tree"):
        content(tree)


def all_codes():
    for attribute in vars(codes).values():
        if isinstance(attribute, codes.Code):
            yield attribute
        elif isinstance(attribute, dict):
            yield from (one for one in attribute.values() if isinstance(one, codes.Code))


def test_codes_are_those_of_the_standard():
    known = {
        (code_value, scheme): meaning.replace("\u200b", "").lower()
        for scheme, names in concepts.items()
        for values in names.values()
        for code_value, (meaning, _) in values.items()
    }
    # Absent from pydicom's dictionary: CID 5000, CID 5001, the annotation unit {pixels} and UMLS.
    absent = {"en", "US", "{pixels}", "C0034375"}

    unknown = {one for one in all_codes() if (one.value, one.scheme) not in known}
    misspelled = {
        one
        for one in all_codes()
        if one.scheme == "DCM" and one.meaning.lower() != known[one.value, one.scheme]
    }

    assert {one.value for one in unknown} == absent
    assert misspelled == set()


def test_a_code_item_may_have_children():
    item = code("CONTAINS", codes.IMAGE_VIEW, codes.BREAST, [image("CONTAINS", "1.2", "1.3")])

    assert len(content(item).ContentSequence) == 1
