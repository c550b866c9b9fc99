"""Reports read back into findings: the node's own, and a vendor's with everything that those have."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.identity import tracking_uid
from dibmg_node.dicom.sr.cad_content import CadContent, CadFinding, Intent, Performed
from dibmg_node.dicom.sr.reader import read_cad_content
from dibmg_node.dicom.sr_content import code_sequence
from dibmg_node.domain.result import ExamResult, FindingCode
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View
from tests.dicom.factories_results import L_MLO as OUR_L_MLO
from tests.dicom.factories_results import sop_uid, states
from tests.dicom.sr.factories_vendor import (
    BREAST_LINE,
    CLUSTER_LINE,
    L_CC,
    L_MLO,
    MASS_CIRCLE,
    MASS_ELLIPSE,
    R_CC,
    R_MLO,
    SIZE,
    SPOTS,
    STUDY_UID,
    vendor_report,
)


def own(state: str, finding_code: FindingCode = FindingCode.DENSITY) -> CadContent:
    written = encode(cad_report(**states()[state], finding_code=finding_code))
    return read_cad_content(dcmread(BytesIO(written)))


def by_kind(content: CadContent, kind: str) -> list[CadFinding]:
    return [one for one in content.findings if one.kind.meaning == kind]


@pytest.fixture(scope="module")
def vendor() -> CadContent:
    return read_cad_content(vendor_report())


@pytest.mark.parametrize("state", ["findings", "calibrated"])
@pytest.mark.parametrize("finding_code", FindingCode)
def test_the_nodes_own_report_read_back_has_the_findings_it_was_written_from(
    state: str, finding_code: FindingCode
) -> None:
    result = states()[state]["result"]
    assert isinstance(result, ExamResult)
    written = sorted(result.findings, key=lambda one: (one.view.laterality is Laterality.LEFT, one.number))

    read = own(state, finding_code).findings

    assert [one.center for one in read] == [one.center for one in written]
    assert [one.outline.points for one in read if one.outline] == [one.outline for one in written]
    assert [one.sop_uids for one in read] == [(one.sop_uid,) for one in written]
    assert [one.certainty for one in read] == [pytest.approx(100 * one.score) for one in written]
    assert [one.tracking_uid for one in read] == [
        tracking_uid(one, result.model, result.operating_point) for one in written
    ]
    assert [str(one.algorithm) for one in read] == ["DIB-MG synthetic 0.1.0"] * 3
    assert {one.intent for one in read} == {Intent.REQUIRED}


def test_a_probability_is_read_where_the_report_has_one() -> None:
    assert [one.probability is None for one in own("findings").findings] == [True] * 3
    assert [one.probability is None for one in own("calibrated").findings] == [False] * 3


def test_the_library_tells_views_and_sizes_of_images() -> None:
    content = own("findings")

    told = [(one.sop_uid, one.name, one.size, one.number) for one in content.images.values()]

    assert told == [
        (sop_uid(view), str(view), (320, 400), place) for place, view in enumerate(STANDARD_VIEWS, start=1)
    ]


def test_what_failed_on_which_image_is_told() -> None:
    content = own("failed view with finding")

    failed = [one for one in content.performed if not one.succeeded]

    assert content.summary is not None
    assert content.summary.meaning == "Not all algorithms succeeded; with findings"
    assert [(one.what.meaning, one.is_detection, one.sop_uids) for one in failed] == [
        ("Mammography breast density", True, (sop_uid(OUR_L_MLO),)),
        ("Overall Impression/Recommendation Analysis", False, (sop_uid(OUR_L_MLO),)),
    ]


def test_a_study_that_was_not_read_says_why() -> None:
    content = own("excluded")

    assert content.findings == content.performed == ()
    assert content.detections is not None
    assert content.detections.meaning == "Not Attempted"
    assert "no mammogram that the model may read" in content.impression


def test_views_and_sides_are_known_from_retired_codes(vendor: CadContent) -> None:
    told = [(one.sop_uid, one.laterality, one.view, one.size) for one in vendor.images.values()]

    assert told == [
        (R_CC, Laterality.RIGHT, View.CC, SIZE),
        (L_CC, Laterality.LEFT, View.CC, SIZE),
        (R_MLO, Laterality.RIGHT, View.MLO, SIZE),
        (L_MLO, Laterality.LEFT, View.MLO, SIZE),
    ]


def test_a_composite_feature_names_the_findings_of_both_views(vendor: CadContent) -> None:
    (mass,) = by_kind(vendor, "Mammographic breast mass")
    in_cc, in_mlo = by_kind(vendor, "Mammography breast density")

    assert (mass.composite, mass.certainty, mass.probability) == (True, 80.0, 41.0)
    assert mass.parts == (in_cc.path, in_mlo.path)
    assert (in_cc.sop_uids, in_mlo.sop_uids) == ((R_CC,), (R_MLO,))
    assert in_cc.outline is not None
    assert (in_cc.outline.kind, in_cc.outline.points) == ("ELLIPSE", MASS_ELLIPSE)
    assert in_mlo.outline is not None
    assert (in_mlo.outline.kind, in_mlo.outline.points) == ("CIRCLE", MASS_CIRCLE)
    assert (in_cc.certainty, in_cc.probability, in_cc.tracking_uid) == (71.5, 33.0, f"{STUDY_UID}.77")


def test_a_cluster_names_its_calcifications_by_value_and_by_reference(vendor: CadContent) -> None:
    (cluster,) = by_kind(vendor, "Calcification Cluster")
    spots = by_kind(vendor, "Individual Calcification")

    assert [one.center for one in spots] == list(SPOTS)
    assert cluster.parts == tuple(one.path for one in spots)
    assert cluster.intent is Intent.OPTIONAL
    assert cluster.outline is not None
    assert cluster.outline.points == CLUSTER_LINE
    assert dict(cluster.properties) == {
        "Calcification Distribution": "Grouped calcification distribution",
        "Number of calcifications": "3",
    }


def test_breast_outline_nipple_and_composition_are_read(vendor: CadContent) -> None:
    (geometry,) = by_kind(vendor, "Breast geometry")
    (nipple,) = by_kind(vendor, "Nipple")
    (composition,) = by_kind(vendor, "Breast composition")

    assert [(one.name, one.points) for one in geometry.shapes] == [("Breast outline", BREAST_LINE)]
    assert nipple.center == (228.5, 200.5)
    assert dict(composition.properties) == {"Percent Fibroglandular Tissue": "35 %"}
    assert composition.parts == (geometry.path,)
    assert {one.intent for one in (geometry, nipple, composition)} == {Intent.NOT}


def test_a_private_row_is_kept_as_a_property(vendor: CadContent) -> None:
    (mass,) = by_kind(vendor, "Mammographic breast mass")

    assert ("Emphasis", "3") in mass.properties


def test_which_vendors_algorithm_failed_on_which_image_is_told(vendor: CadContent) -> None:
    def told(one: Performed) -> tuple[str, str, tuple[str, ...]]:
        return one.what.meaning, str(one.algorithm), one.sop_uids

    assert [told(one) for one in vendor.performed if not one.succeeded] == [
        ("Calcification Cluster", "CalcFinder 8.3", (L_MLO,)),
        ("Image quality analysis", "Inspector 8.3", (L_MLO,)),
    ]


def test_a_report_written_right_and_one_written_loosely_say_the_same_of_the_mass(vendor: CadContent) -> None:
    strict = read_cad_content(vendor_report(conforming=True))

    assert [one.shapes for one in by_kind(strict, "Mammography breast density")] == [
        one.shapes for one in by_kind(vendor, "Mammography breast density")
    ]


def feature(report: Dataset) -> Dataset:
    """The density in R-CC."""
    return report.ContentSequence[2].ContentSequence[0].ContentSequence[1].ContentSequence[8]


def test_shapes_that_cannot_be_used_are_told_and_the_rest_is_read() -> None:
    report = vendor_report()
    center, outline = (one for one in feature(report).ContentSequence if one.get("ValueType") == "SCOORD")
    center.GraphicData = [1.0, 2.0, 3.0]
    outline.ContentSequence[0].ReferencedContentItemIdentifier = [1, 2, 77]

    content = read_cad_content(report)

    in_cc = by_kind(content, "Mammography breast density")[0]
    assert content.remarks == (
        "1.3.1.2.9.7: POINT of 0 points",
        "1.3.1.2.9.8: it is not said on which image",
    )
    assert (in_cc.center, in_cc.sop_uids, len(content.findings)) == (None, (), 10)


def test_references_that_go_round_in_circles_end() -> None:
    report = vendor_report()
    center, outline = (one for one in feature(report).ContentSequence if one.get("ValueType") == "SCOORD")
    center.ContentSequence[0].ReferencedContentItemIdentifier = [1, 3, 1, 2, 9, 7]
    outline.ContentSequence[0].ReferencedContentItemIdentifier = [1, 3, 1, 2, 9, 7, 1]

    in_cc = by_kind(read_cad_content(report), "Mammography breast density")[0]

    assert [one.sop_uid for one in in_cc.shapes] == ["", ""]


def test_an_image_that_is_not_in_the_library_is_still_an_image() -> None:
    report = vendor_report()
    in_mlo = report.ContentSequence[2].ContentSequence[0].ContentSequence[1].ContentSequence[9]
    for place in in_mlo.ContentSequence:
        if place.get("ValueType") == "SCOORD":
            place.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"

    image = read_cad_content(report).images["1.2.3.4"]

    assert (image.number, image.name) == (0, "?-?")


def test_a_finding_without_its_code_is_kept_and_told() -> None:
    report = vendor_report()
    del feature(report).ConceptCodeSequence

    content = read_cad_content(report)

    assert len(content.findings) == 10
    assert content.remarks == ("1.3.1.2.9: a finding without a code",)


def test_invisible_characters_of_meanings_are_taken_out() -> None:
    report = vendor_report()
    code = code_sequence(("111234", "DCM", "Overall Impression/\u200bRecommendation Analysis"))
    report.ContentSequence[4].ContentSequence[0].ContentSequence[0].ConceptCodeSequence = code

    told = [one.what.meaning for one in read_cad_content(report).performed]

    assert "Overall Impression/\u200bRecommendation Analysis" not in told
