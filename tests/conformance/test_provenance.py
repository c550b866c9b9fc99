"""What the statement says of created objects is found by comparing: found right, and nothing left out."""

from __future__ import annotations

import pytest

from dibmg_node.conformance.iods import iod_tables
from dibmg_node.conformance.provenance import Origin, Presence, Written, written_attributes
from dibmg_node.conformance.specimens import Cause, specimens
from dibmg_node.domain.result import ResultKind


def attribute(kind: ResultKind, *path: str) -> Written:
    (found,) = [one for one in written_attributes(kind) if one.path == path]
    return found


@pytest.mark.parametrize(
    ("kind", "path", "presence", "origin", "causes"),
    [
        (ResultKind.CAD_SR, ("Modality",), Presence.ALWAYS, Origin.FIXED, ()),
        (ResultKind.CAD_SR, ("PatientName",), Presence.VALUE_NOT_ALWAYS, Origin.COPIED, (Cause.IMAGES,)),
        (ResultKind.CAD_SR, ("PatientAge",), Presence.NOT_ALWAYS, Origin.COPIED, (Cause.IMAGES,)),
        (ResultKind.CAD_SR, ("ContentTime",), Presence.ALWAYS, Origin.GENERATED, (Cause.TIME,)),
        (ResultKind.CAD_SR, ("PerformedProcedureCodeSequence",), Presence.EMPTY, None, ()),
        (ResultKind.CAD_SR, ("PredecessorDocumentsSequence",), Presence.NOT_ALWAYS, None, (Cause.EARLIER,)),
        (
            ResultKind.CAD_SR,
            ("SOPInstanceUID",),
            Presence.ALWAYS,
            Origin.GENERATED,
            (Cause.IMAGES, Cause.ANALYSIS, Cause.CONFIGURATION),
        ),
        (
            ResultKind.MEASUREMENT_SR,
            ("SOPInstanceUID",),
            Presence.ALWAYS,
            Origin.GENERATED,
            (Cause.IMAGES, Cause.ANALYSIS),
        ),
        (
            ResultKind.OVERLAY,
            ("Rows",),
            Presence.ALWAYS,
            Origin.GENERATED,
            (Cause.IMAGES, Cause.CONFIGURATION),
        ),
        (ResultKind.OVERLAY, ("ImageLaterality",), Presence.ALWAYS, Origin.COPIED, ()),
        (
            ResultKind.OVERLAY,
            ("SourceImageSequence", "ReferencedSOPInstanceUID"),
            Presence.ALWAYS,
            Origin.GENERATED,
            (Cause.IMAGES,),
        ),
        (
            ResultKind.PRESENTATION,
            ("GraphicAnnotationSequence", "GraphicObjectSequence", "GraphicData"),
            Presence.ALWAYS,
            Origin.GENERATED,
            (Cause.ANALYSIS,),
        ),
        (
            ResultKind.PRESENTATION,
            ("GraphicAnnotationSequence", "GraphicObjectSequence", "GraphicType"),
            Presence.ALWAYS,
            Origin.FIXED,
            (),
        ),
    ],
)
def test_presence_and_source_of_an_attribute_are_found(
    kind: ResultKind,
    path: tuple[str, ...],
    presence: Presence,
    origin: Origin | None,
    causes: tuple[Cause, ...],
):
    found = attribute(kind, *path)

    assert (found.presence, found.origin, found.causes) == (presence, origin, causes)


def test_a_fixed_code_is_told_with_its_scheme_and_meaning():
    found = attribute(ResultKind.OVERLAY, "AnatomicRegionSequence")

    assert found.values == ("(76752008, SCT, Breast)",)


def test_every_kind_of_result_is_in_the_statement():
    assert {kind for kind in ResultKind if f"({kind.value})" not in iod_tables()} == set()


def test_the_specimens_have_every_attribute_that_the_writing_of_results_looks_for():
    there = {element.keyword for one in specimens().all for image in one.sources for element in image}

    looked_for = {path[0] for path in specimens().looked.for_results}

    assert looked_for - there == set()


def test_what_counts_only_where_something_else_is_missing_is_seen_too():
    seen = specimens().looked.at_the_door

    assert {("ImageLaterality",), ("Laterality",), ("FrameLaterality",), ("ViewPosition",)} <= seen


def test_no_value_of_a_made_up_patient_is_told_as_fixed():
    women = {
        str(image.PatientName) for one in specimens().all for image in one.sources if "PatientName" in image
    }
    studies = {str(image.StudyInstanceUID) for one in specimens().all for image in one.sources}

    text = iod_tables()

    assert [value for value in women | studies if value in text] == []
