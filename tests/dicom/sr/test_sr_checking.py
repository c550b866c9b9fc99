"""The checker of TID 4000: nothing against right reports, each planted defect at its place and row."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.dicom import codes
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.checking import check_report, errors_of
from dibmg_node.dicom.sr.complaints import Severity
from dibmg_node.dicom.sr_content import code_sequence
from dibmg_node.domain.result import FindingCode
from tests.dicom.factories_results import states
from tests.dicom.sr.factories_vendor import vendor_report

SUMMARY = "CAD Processing and Findings Summary"
DETECTIONS = "Summary of Detections"
FINDING = (SUMMARY, "Individual Impression/Recommendation", "Single Image Finding")
DETECTED = (DETECTIONS, "Successful Detections", "Detection Performed")


def own(state: str = "findings", finding_code: FindingCode = FindingCode.DENSITY) -> Dataset:
    """The node's own report, read back from its bytes."""
    return dcmread(BytesIO(_own_bytes(state, finding_code)))


@cache
def _own_bytes(state: str, finding_code: FindingCode) -> bytes:
    return encode(cad_report(**states()[state], finding_code=finding_code))


def meaning(item: Dataset) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""


class Place:
    """A content item, found by the names on the way to it, or by its numbers."""

    def __init__(self, report: Dataset, *steps: str | int) -> None:
        self.item, self.parent, self.path = report, report, "1"
        for step in steps:
            items = list(self.item.ContentSequence)
            index = step - 1 if isinstance(step, int) else [meaning(one) for one in items].index(step)
            self.parent, self.item, self.path = self.item, items[index], f"{self.path}.{index + 1}"

    def remove(self) -> None:
        self.parent.ContentSequence = [one for one in self.parent.ContentSequence if one is not self.item]

    def add(self, item: Dataset) -> None:
        """Put an item behind all others."""
        self.item.ContentSequence = [*self.item.ContentSequence, item]

    def add_behind(self, item: Dataset) -> None:
        items = list(self.parent.ContentSequence)
        index = next(place for place, one in enumerate(items) if one is self.item)
        self.parent.ContentSequence = [*items[: index + 1], item, *items[index + 1 :]]


def coded_item(relationship: str, concept: Code, value: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, "CODE"
    item.ConceptNameCodeSequence, item.ConceptCodeSequence = code_sequence(concept), code_sequence(value)
    return item


def text_item(relationship: str, concept: Code, words: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = relationship, "TEXT", words
    item.ConceptNameCodeSequence = code_sequence(concept)
    return item


Planted = list[tuple[str, str]]
"""(path, rule) of each error that a defect must give, and of no other."""


def missing(report: Dataset, row: str, *steps: str | int) -> Planted:
    place = Place(report, *steps)
    place.remove()
    return [(place.path.rpartition(".")[0], row)]


def no_center(report: Dataset) -> Planted:
    return missing(report, "TID 4021 row 1", *FINDING, "Center")


def no_rendering_intent(report: Dataset) -> Planted:
    return missing(report, "TID 4006 row 2", *FINDING, "Rendering Intent")


def no_rendering_intent_of_a_container(report: Dataset) -> Planted:
    return missing(report, "TID 4003 row 2", *FINDING[:2], "Rendering Intent")


def no_algorithm_version(report: Dataset) -> Planted:
    return missing(report, "TID 4019 row 2", *FINDING, "Algorithm Version")


def no_algorithm(report: Dataset) -> Planted:
    place = Place(report, *FINDING)
    place.item.ContentSequence = [
        one for one in place.item.ContentSequence if not meaning(one).startswith("Algorithm")
    ]
    return [(place.path, "TID 4006 row 5 (TID 4019)")]


def no_summary_of_detections(report: Dataset) -> Planted:
    return missing(report, "TID 4000 row 6", DETECTIONS)


def no_language(report: Dataset) -> Planted:
    place = Place(report, 1)
    place.item.ConceptNameCodeSequence = code_sequence(codes.COUNTRY_OF_LANGUAGE)
    return [("1.1", "TID 4000 row 1"), ("1", "TID 4000 row 2 (TID 1204)")]


def wrong_relationship_of_an_algorithm(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Algorithm Name")
    place.item.RelationshipType = "HAS CONCEPT MOD"
    return [(place.path, "TID 4019 row 1")]


def selected_region_without_description(report: Dataset) -> Planted:
    place = Place(report, *FINDING)
    place.item.ConceptCodeSequence = code_sequence(codes.SELECTED_REGION)
    return [(place.path, "TID 4006 row 17 (TID 4013)")]


def probability_of_a_selected_region(report: Dataset) -> Planted:
    finding = Place(report, *FINDING)
    finding.item.ConceptCodeSequence = code_sequence(codes.SELECTED_REGION)
    certainty = Place(report, *FINDING, "Certainty of Finding")
    certainty.item.ConceptNameCodeSequence = code_sequence(codes.PROBABILITY_OF_CANCER)
    return [(certainty.path, "TID 4006 row 7"), (finding.path, "TID 4006 row 17 (TID 4013)")]


def description_of_what_is_no_selected_region(report: Dataset) -> Planted:
    place = Place(report, *FINDING)
    place.add(text_item("HAS PROPERTIES", codes.SELECTED_REGION_DESCRIPTION, "here"))
    added = len(place.item.ContentSequence)
    return [(f"{place.path}.{added}", "TID 4006 row 17")]


def selected_from_by_value(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center", 1)
    image = Place(report, "Image Library", 1).item
    del place.item.ReferencedContentItemIdentifier
    place.item.ValueType = "IMAGE"
    place.item.ReferencedSOPSequence = deepcopy(image.ReferencedSOPSequence)
    return [(place.path, "TID 4021 row 2")]


def dangling_reference(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center", 1)
    place.item.ReferencedContentItemIdentifier = [1, 2, 99]
    return [(place.path, "PS3.3 C.17.3.2.5")]


def reference_to_itself(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center", 1)
    place.item.ReferencedContentItemIdentifier = [int(one) for one in place.path.split(".")]
    return [(place.path, "PS3.3 C.17.3.2.5")]


def reference_to_an_ancestor(report: Dataset) -> Planted:
    place = Place(report, *DETECTED, 9)
    place.item.ReferencedContentItemIdentifier = [1, 4]
    return [(place.path, "PS3.3 C.17.3.2.5"), (place.path, "TID 4017 row 4")]


def reference_to_a_text(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center", 1)
    place.item.ReferencedContentItemIdentifier = [1, 3, 1]
    return [(place.path, "PS3.3 A.35.5.3.1.2"), (place.path, "TID 4021 row 2")]


def reference_with_a_value(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center", 1)
    place.item.ValueType = "IMAGE"
    return [(place.path, "PS3.3 C.17.3.2.5")]


def image_with_a_name(report: Dataset) -> Planted:
    place = Place(report, "Image Library", 2)
    place.item.ConceptNameCodeSequence = code_sequence(Code("260753009", "SCT", "Source"))
    return [(place.path, "TID 4020 row 1")]


def no_template(report: Dataset) -> Planted:
    del report.ContentTemplateSequence
    return [("1", "PS3.3 C.18.8")]


def another_template(report: Dataset) -> Planted:
    report.ContentTemplateSequence[0].TemplateIdentifier = "1500"
    return [("1", "PS3.3 C.18.8")]


def image_without_evidence(report: Dataset) -> Planted:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence = series.ReferencedSOPSequence[1:]
    return [("1.2.1", "PS3.3 C.17.2.3")]


def evidence_of_another_class(report: Dataset) -> Planted:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.3"
    return [("1.2.1", "PS3.3 C.17.2.3")]


def evidence_without_its_series(report: Dataset) -> Planted:
    del report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID
    return [("", "PS3.3 C.17.2.3")]


def invisible_character(report: Dataset) -> Planted:
    place = Place(report, *FINDING[:2])
    place.item.ConceptNameCodeSequence[0].CodeMeaning = "Individual Impression/\u200bRecommendation"
    report.SpecificCharacterSet = "ISO_IR 192"
    return [(place.path, "PS3.5 6.1")]


def rows_in_another_order(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Rendering Intent")
    items = [one for one in place.parent.ContentSequence if one is not place.item]
    place.parent.ContentSequence = [*items, place.item]
    parent = place.path.rpartition(".")[0]
    return [(f"{parent}.{len(items) + 1}", "TID 4006 row 2")]


def summaries_in_another_order(report: Dataset) -> Planted:
    items = list(report.ContentSequence)
    report.ContentSequence = [*items[:3], items[4], items[3]]
    return [("1.5", "TID 4000 row 6")]


def observer_at_the_root(report: Dataset) -> Planted:
    device = Code("121007", "DCM", "Device")
    report.ContentSequence = [
        *report.ContentSequence,
        coded_item("HAS OBS CONTEXT", Code("121005", "DCM", "Observer Type"), device),
    ]
    return [("1.6", "TID 4000 row 1")]


def row_of_another_template(report: Dataset) -> Planted:
    place = Place(report, *FINDING)
    place.add(text_item("HAS PROPERTIES", Code("121106", "DCM", "Comment"), "private"))
    return [(f"{place.path}.{len(place.item.ContentSequence)}", "TID 4006 row 1")]


def two_certainties(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Certainty of Finding")
    place.add_behind(deepcopy(place.item))
    last = int(place.path.rpartition(".")[2]) + 1
    return [(f"{place.path.rpartition('.')[0]}.{last}", "TID 4006 row 6")]


def more_than_all(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Certainty of Finding")
    place.item.MeasuredValueSequence[0].NumericValue = "183"
    return [(place.path, "TID 4006 row 6")]


def another_unit(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Certainty of Finding")
    place.item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = code_sequence(codes.MILLIMETER)
    return [(place.path, "TID 4006 row 6")]


def intent_of_no_value_set(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Rendering Intent")
    place.item.ConceptCodeSequence = code_sequence(codes.SUCCEEDED)
    return [(place.path, "TID 4006 row 2")]


def intent_as_text(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Rendering Intent")
    place.item.ValueType, place.item.TextValue = "TEXT", "required"
    return [(place.path, "TID 4006 row 2")]


def center_of_two_points(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center")
    place.item.GraphicData = [1.5, 2.5, 3.5, 4.5]
    return [(place.path, "PS3.3 C.18.6.1.2")]


def center_as_circle(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center")
    place.item.GraphicType, place.item.GraphicData = "CIRCLE", [1.5, 2.5, 3.5, 4.5]
    return [(place.path, "TID 4021 row 1")]


def center_off_the_image(report: Dataset) -> Planted:
    place = Place(report, *FINDING, "Center")
    place.item.GraphicData = [321.5, 20.5]
    return [(place.path, "PS3.3 C.18.6.1")]


def detections_that_were_not_attempted(report: Dataset) -> Planted:
    place = Place(report, DETECTIONS)
    place.item.ConceptCodeSequence = code_sequence(codes.NOT_ATTEMPTED)
    return [(f"{place.path}.1", "TID 4000 row 7"), (f"{place.path}.1", "TID 4015 row 1")]


def failed_without_what_failed(report: Dataset) -> Planted:
    place = Place(report, DETECTIONS)
    place.item.ConceptCodeSequence = code_sequence(codes.PARTIALLY_SUCCEEDED)
    return [(place.path, "TID 4015 row 3"), ("1.3", "TID 4001 row 1")]


def detection_on_no_image(report: Dataset) -> Planted:
    place = Place(report, *DETECTED)
    place.item.ContentSequence = [one for one in place.item.ContentSequence if "ValueType" in one]
    return [(place.path, "TID 4017 rows 3, 4, 5, 6")]


def container_without_findings(report: Dataset) -> Planted:
    place = Place(report, *FINDING[:2])
    place.item.ContentSequence = place.item.ContentSequence[:1]
    return [(place.path, "TID 4003 rows 4, 5")]


def summary_that_tells_of_no_findings(report: Dataset) -> Planted:
    place = Place(report, SUMMARY)
    place.item.ContentSequence = [
        one for one in place.item.ContentSequence if one.RelationshipType != "INFERRED FROM"
    ]
    return [(place.path, "TID 4001 row 3")]


def text_below_an_image(report: Dataset) -> Planted:
    place = Place(report, "Image Library", 1, "Patient Orientation Row")
    place.item.RelationshipType = "HAS PROPERTIES"
    return [(place.path, "PS3.3 A.35.5.3.1.2"), (place.path, "TID 4020 row 5")]


def container_without_continuity(report: Dataset) -> Planted:
    del Place(report, "Image Library").item.ContinuityOfContent
    return [("1.2", "PS3.3 C.17.3.2")]


def code_without_a_meaning(report: Dataset) -> Planted:
    place = Place(report, *FINDING)
    place.item.ConceptCodeSequence[0].CodeMeaning = ""
    return [(place.path, "PS3.3 8.1")]


def another_modality(report: Dataset) -> Planted:
    report.Modality = "MG"
    return [("", "PS3.3 C.17.1")]


def verified_by_nobody(report: Dataset) -> Planted:
    report.VerificationFlag = "VERIFIED"
    return [("", "PS3.3 C.17.2")]


DEFECTS = (
    no_center,
    no_rendering_intent,
    no_rendering_intent_of_a_container,
    no_algorithm_version,
    no_algorithm,
    no_summary_of_detections,
    no_language,
    wrong_relationship_of_an_algorithm,
    selected_region_without_description,
    probability_of_a_selected_region,
    description_of_what_is_no_selected_region,
    selected_from_by_value,
    dangling_reference,
    reference_to_itself,
    reference_to_an_ancestor,
    reference_to_a_text,
    reference_with_a_value,
    image_with_a_name,
    no_template,
    another_template,
    image_without_evidence,
    evidence_of_another_class,
    evidence_without_its_series,
    invisible_character,
    rows_in_another_order,
    summaries_in_another_order,
    observer_at_the_root,
    row_of_another_template,
    two_certainties,
    more_than_all,
    another_unit,
    intent_of_no_value_set,
    intent_as_text,
    center_of_two_points,
    center_as_circle,
    center_off_the_image,
    detections_that_were_not_attempted,
    failed_without_what_failed,
    detection_on_no_image,
    container_without_findings,
    summary_that_tells_of_no_findings,
    text_below_an_image,
    container_without_continuity,
    code_without_a_meaning,
    another_modality,
    verified_by_nobody,
)


@pytest.mark.parametrize("state", states())
@pytest.mark.parametrize("finding_code", FindingCode)
def test_nothing_is_said_against_the_nodes_own_report(state: str, finding_code: FindingCode) -> None:
    report = own(state, finding_code)

    assert check_report(report) == []


@pytest.mark.parametrize("plant", DEFECTS, ids=lambda plant: plant.__name__)
def test_a_planted_defect_is_told_at_its_place_with_its_row(plant: Callable[[Dataset], Planted]) -> None:
    report = own()
    expected = plant(report)

    told = [(one.path, one.rule) for one in errors_of(check_report(report))]

    assert sorted(told) == sorted(expected)


def test_a_report_in_retired_codes_has_warnings_alone() -> None:
    complaints = check_report(vendor_report(conforming=True))

    assert errors_of(complaints) == []
    assert {one.rule for one in complaints} == {"PS3.16 chapter 8"}
    assert ("1.3.2.2", '(F-01775, SRT, "Calcification Cluster"), in 3 items') in [
        (one.path, one.found) for one in complaints
    ]


def test_composite_features_clusters_and_anatomy_are_checked_to_the_last_row() -> None:
    report = vendor_report()

    told = [
        (one.severity, one.path, one.rule) for one in check_report(report) if one.rule != "PS3.16 chapter 8"
    ]

    assert told == [
        (Severity.WARNING, "1.3.1.2.8", "TID 1400 row 1"),
        (Severity.ERROR, "1.3.1.2.10.4.1", "TID 4021 row 2"),
        (Severity.ERROR, "1.3.1.2.10.5.1", "TID 4021 row 4"),
        (Severity.WARNING, "1.3.2.2.11", "TID 4006 row 1"),
    ]


def test_a_cluster_made_of_its_own_container_is_a_loop() -> None:
    report = vendor_report()
    cluster = Place(report, SUMMARY, 2, 2)
    cluster.item.ContentSequence[-1].ReferencedContentItemIdentifier = [1, 3, 2]

    told = [
        (one.path, one.found) for one in errors_of(check_report(report)) if one.path == f"{cluster.path}.11"
    ]

    assert ("1.3.2.2.11", "a reference to 1.3.2, that it stands in") in told


def test_a_reference_to_itself_is_called_one() -> None:
    report = own()
    reference_to_itself(report)

    assert [one.found for one in check_report(report)] == ["a reference to itself"]


def test_calcifications_of_a_density_are_no_row_of_the_template() -> None:
    report = vendor_report(conforming=True)
    cluster = Place(report, SUMMARY, 2, 2)
    cluster.item.ConceptCodeSequence = code_sequence(codes.BREAST_DENSITY)

    told = [(one.path, one.rule) for one in errors_of(check_report(report))]

    assert told == [
        ("1.3.2.2.7", "TID 4006 row 13"),
        ("1.3.2.2.9", "TID 4006 row 25"),
    ]


def test_an_asymmetry_that_is_not_between_the_breasts_is_told() -> None:
    report = vendor_report(conforming=True)
    feature = Place(report, SUMMARY, 1, 2)
    feature.item.ConceptCodeSequence = code_sequence(Code("129790003", "SCT", "Asymmetric breast tissue"))

    told = [(one.path, one.rule) for one in errors_of(check_report(report))]

    assert told == [("1.3.1.2.2", "TID 4005 row 1")]


def test_composition_as_the_template_has_it_and_the_iod_has_not_is_a_warning() -> None:
    report = vendor_report(conforming=True)
    composition = Place(report, SUMMARY, 5, 2, 4)
    composition.item.RelationshipType = "CONTAINS"

    told = [(one.severity, one.path, one.rule) for one in check_report(report) if "chapter 8" not in one.rule]

    assert told == [
        (Severity.WARNING, composition.path, "PS3.3 A.35.5.3.1.2"),
        (Severity.WARNING, composition.path, "TID 4007 row 2"),
    ]


def number_item(relationship: str, concept: Code, value: str, unit: Code) -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, code_sequence(unit)
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, "NUM"
    item.ConceptNameCodeSequence, item.MeasuredValueSequence = code_sequence(concept), [measured]
    return item


def test_an_operating_point_needs_a_greatest_one() -> None:
    report = vendor_report(conforming=True)
    unit = Code("1", "UCUM", "no units")
    intent = Place(report, SUMMARY, 2, 2, 1)
    intent.item.ContentSequence = [number_item("HAS PROPERTIES", terms.OPERATING_POINT, "3", unit)]

    without = [(one.path, one.rule) for one in errors_of(check_report(report))]
    Place(report, DETECTIONS, 1, 2).add(
        number_item("HAS PROPERTIES", terms.MAXIMUM_OPERATING_POINT, "5", unit)
    )
    with_one = errors_of(check_report(report))

    assert without == [(f"{intent.path}.1", "TID 4006 row 3")]
    assert with_one == []


def test_an_impression_of_a_container_stands_in_it() -> None:
    report = vendor_report(conforming=True)
    intent = Place(report, SUMMARY, 1, 1)
    rows = [
        text_item("CONTAINS", codes.IMPRESSION_DESCRIPTION, "one mass"),
        text_item("CONTAINS", codes.ALGORITHM_NAME, "Reasoner"),
        text_item("CONTAINS", codes.ALGORITHM_VERSION, "8.3"),
    ]
    for row in reversed(rows):
        intent.add_behind(row)

    right = errors_of(check_report(report))
    Place(report, SUMMARY, 1, 4).remove()
    wrong = [(one.path, one.rule) for one in errors_of(check_report(report))]

    assert right == []
    assert wrong == [("1.3.1", "TID 4019 row 2")]


def test_no_complaint_shows_a_text_of_the_report() -> None:
    report = own()
    place = Place(report, *FINDING)
    place.add(text_item("CONTAINS", Code("121106", "DCM", "Comment"), "Secret Sally"))

    told = " ".join(map(str, check_report(report)))

    assert "Comment" in told
    assert "Secret" not in told
