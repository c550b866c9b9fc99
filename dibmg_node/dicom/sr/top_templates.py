"""The upper templates of a Mammography CAD report: root, impressions, detections, analyses, image library.

Rows are numbered as in PixelMed's machine-readable templates of 2022. Source: TID 1204, 4000 to 4003,
4015 to 4020, 4023, PS3.16.
"""

from __future__ import annotations

from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.rows import (
    ANY_NUMBER,
    Beside,
    Include,
    NotBeside,
    ParentIs,
    ParentIsNot,
    Requirement,
    Row,
    Template,
)
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_ACQUISITION_CONTEXT,
    HAS_CONCEPT_MODIFIER,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
)

M, MC, U, UC = Requirement
_DONE: Final = (codes.SUCCEEDED, codes.PARTIALLY_SUCCEEDED)
_FAILED: Final = (codes.FAILED, codes.PARTIALLY_SUCCEEDED)
_SAID: Final = (codes.IMPRESSION_DESCRIPTION, terms.ASSESSMENT_CATEGORY, terms.DIFFERENTIAL_DIAGNOSIS)
_RECOMMENDED: Final = (
    terms.RECOMMENDED_FOLLOW_UP,
    terms.RECOMMENDED_FOLLOW_UP_INTERVAL,
    terms.RECOMMENDED_FOLLOW_UP_DATE,
)


def _laterality(number: str) -> Row:
    return Row(number, HAS_CONCEPT_MODIFIER, ("CODE",), (terms.LATERALITY,), U, value_set=6022)


def _summary(number: str, concept: Code, below: str, included: str) -> Row:
    attempted = ParentIsNot((codes.NOT_ATTEMPTED,))
    return Row(
        number,
        CONTAINS,
        ("CODE",),
        (concept,),
        value_set=6042,
        children=(Include(below, included, INFERRED_FROM, MC, when=attempted),),
    )


def _outcomes(tid: str, done: Code, failed: Code, included: str) -> Template:
    performed = (Include("2", included, CONTAINS, M, ANY_NUMBER),)
    failures = (Include("4", included, CONTAINS, M, ANY_NUMBER),)
    return Template(
        tid,
        (
            Row("1", "", ("CONTAINER",), (done,), MC, when=ParentIs(_DONE), children=performed),
            Row("3", "", ("CONTAINER",), (failed,), MC, when=ParentIs(_FAILED), children=failures),
        ),
    )


def _performed(tid: str, concept: Code, value_set: int) -> Template:
    selected = Row("7", SELECTED_FROM, ("IMAGE",), by_reference=True)
    children: tuple[Row | Include, ...] = (
        Include("2", "4019", HAS_PROPERTIES),
        Row("3", HAS_PROPERTIES, ("IMAGE",), (), U, most=ANY_NUMBER),
        Row("4", HAS_PROPERTIES, ("IMAGE",), (), U, most=ANY_NUMBER, by_reference=True),
        Row("5", HAS_PROPERTIES, ("UIDREF",), (terms.SERIES_INSTANCE_UID,), U, most=ANY_NUMBER),
        Row("6", INFERRED_FROM, ("SCOORD",), (terms.IMAGE_REGION,), U, children=(selected,)),
        Include("9", "4023", HAS_PROPERTIES, U),
    )
    images = ("3", "4", "5", "6")
    row = Row("1", "", ("CODE",), (concept,), value_set=value_set, children=children, one_of=images)
    return Template(tid, (row,))


def _context(number: str, value_type: str, concept: Code, *units: Code) -> Row:
    return Row(number, HAS_ACQUISITION_CONTEXT, (value_type,), (concept,), U, units=units)


_LENGTHS: Final = (codes.MILLIMETER, terms.MICROMETER)
_LIBRARY_ENTRY: Final = (
    Row("2", HAS_ACQUISITION_CONTEXT, ("CODE",), (codes.IMAGE_LATERALITY,), U, value_set=6022),
    Row(
        "3",
        HAS_ACQUISITION_CONTEXT,
        ("CODE",),
        (codes.IMAGE_VIEW,),
        U,
        value_set=4014,
        children=(
            Row(
                "4",
                HAS_CONCEPT_MODIFIER,
                ("CODE",),
                (codes.IMAGE_VIEW_MODIFIER,),
                U,
                most=ANY_NUMBER,
                value_set=4015,
            ),
        ),
    ),
    _context("5", "TEXT", codes.ORIENTATION_ROW),
    _context("6", "TEXT", codes.ORIENTATION_COLUMN),
    _context("7", "DATE", codes.STUDY_DATE),
    _context("8", "TIME", codes.STUDY_TIME),
    _context("9", "DATE", codes.CONTENT_DATE),
    _context("10", "TIME", codes.CONTENT_TIME),
    _context("11", "NUM", codes.HORIZONTAL_SPACING, *_LENGTHS),
    _context("12", "NUM", codes.VERTICAL_SPACING, *_LENGTHS),
    _context("13", "NUM", codes.PRIMARY_ANGLE, codes.DEGREE),
    _context("14", "NUM", codes.SECONDARY_ANGLE, codes.DEGREE),
    _context("15", "NUM", terms.SPACING_BETWEEN_SLICES, codes.MILLIMETER),
    _context("16", "NUM", terms.SLICE_THICKNESS, codes.MILLIMETER),
    _context("17", "UIDREF", terms.FRAME_OF_REFERENCE_UID),
    *(
        _context(str(18 + place), "NUM", concept, codes.MILLIMETER if place < 3 else terms.DIRECTION)
        for place, concept in enumerate(terms.IMAGE_PLANE)
    ),
    _context("27", "NUM", codes.ROWS, codes.PIXELS),
    _context("28", "NUM", codes.COLUMNS, codes.PIXELS),
)

TOP_TEMPLATES: Final = (
    Template(
        "1204",
        (
            Row(
                "1",
                HAS_CONCEPT_MODIFIER,
                ("CODE",),
                (codes.LANGUAGE,),
                value_set=5000,
                children=(
                    Row(
                        "2",
                        HAS_CONCEPT_MODIFIER,
                        ("CODE",),
                        (codes.COUNTRY_OF_LANGUAGE,),
                        U,
                        value_set=5001,
                    ),
                ),
            ),
        ),
    ),
    Template(
        "4000",
        (
            Row(
                "1",
                "",
                ("CONTAINER",),
                (codes.CAD_REPORT,),
                children=(
                    Include("2", "1204", HAS_CONCEPT_MODIFIER),
                    Row(
                        "3",
                        CONTAINS,
                        ("CONTAINER",),
                        (codes.IMAGE_LIBRARY,),
                        children=(Include("4", "4020", CONTAINS, M, ANY_NUMBER),),
                    ),
                    Include("5", "4001", CONTAINS),
                    _summary("6", codes.SUMMARY_OF_DETECTIONS, "7", "4015"),
                    _summary("8", codes.SUMMARY_OF_ANALYSES, "9", "4016"),
                ),
            ),
        ),
    ),
    Template(
        "4001",
        (
            Row(
                "1",
                "",
                ("CODE",),
                (codes.FINDINGS_SUMMARY,),
                value_set=6047,
                children=(
                    Include("2", "4002", HAS_PROPERTIES, U),
                    # required where there are findings, which stand nowhere else: see consistency
                    Include("3", "4003", INFERRED_FROM, U, ANY_NUMBER),
                ),
            ),
        ),
    ),
    Template(
        "4002",
        (
            Row(
                "1",
                "",
                ("CODE",),
                (terms.ASSESSMENT_CATEGORY,),
                U,
                most=ANY_NUMBER,
                value_set=6026,
                children=(_laterality("2"),),
            ),
            Row(
                "3",
                "",
                ("CODE",),
                (terms.DIFFERENTIAL_DIAGNOSIS,),
                U,
                most=ANY_NUMBER,
                value_set=6002,
                children=(_laterality("4"),),
            ),
            Row("5", "", ("TEXT",), (codes.IMPRESSION_DESCRIPTION,), U),
            Row(
                "6",
                "",
                ("CODE",),
                (terms.RECOMMENDED_FOLLOW_UP,),
                U,
                most=ANY_NUMBER,
                value_set=6028,
                children=(_laterality("7"),),
            ),
            Row("8", "", ("NUM",), (terms.RECOMMENDED_FOLLOW_UP_INTERVAL,), U, unit_set=6046),
            Row(
                "9",
                "",
                ("DATE",),
                (terms.RECOMMENDED_FOLLOW_UP_DATE,),
                UC,
                when=NotBeside((terms.RECOMMENDED_FOLLOW_UP_INTERVAL,)),
            ),
            Row(
                "10",
                "",
                ("NUM",),
                (codes.CERTAINTY_OF_IMPRESSION,),
                UC,
                when=Beside(_SAID),
                units=(codes.PERCENT,),
            ),
            Include("11", "4019", "", MC, ANY_NUMBER, when=Beside(_SAID + _RECOMMENDED), may_otherwise=True),
            Row(
                "12",
                "",
                ("NUM",),
                (),
                U,
                named_by=6142,
                most=ANY_NUMBER,
                children=(_laterality("13"), terms.DERIVATION_ROW, terms.CALCULATION_ROW),
            ),
        ),
        one_of=("1", "3", "5", "6", "8", "9"),
    ),
    Template(
        "4003",
        (
            Row(
                "1",
                "",
                ("CONTAINER",),
                (codes.INDIVIDUAL_IMPRESSION,),
                children=(
                    terms.INTENT_ROW,
                    # the relationship that the IOD allows; PixelMed's template says HAS PROPERTIES
                    Include("3", "4002", CONTAINS, U),
                    Include("4", "4004", CONTAINS, U, ANY_NUMBER),
                    Include("5", "4006", CONTAINS, U, ANY_NUMBER),
                ),
                one_of=("4", "5"),
            ),
        ),
    ),
    _outcomes("4015", codes.SUCCESSFUL_DETECTIONS, codes.FAILED_DETECTIONS, "4017"),
    _outcomes("4016", codes.SUCCESSFUL_ANALYSES, codes.FAILED_ANALYSES, "4018"),
    _performed("4017", codes.DETECTION_PERFORMED, 6014),
    _performed("4018", codes.ANALYSIS_PERFORMED, 6043),
    Template(
        "4019",
        (
            Row("1", "", ("TEXT", "CODE"), (codes.ALGORITHM_NAME,)),
            Row("2", "", ("TEXT",), (codes.ALGORITHM_VERSION,)),
            Row("2b", "", ("TEXT",), (codes.ALGORITHM_MANUFACTURER,), U),
            Row("3", "", ("TEXT",), (codes.ALGORITHM_PARAMETERS,), U, most=ANY_NUMBER),
            Row("4", "", ("CODE",), (terms.ALGORITHM_FAMILY,), U),
        ),
        ordered=False,
    ),
    Template("4020", (Row("1", CONTAINS, ("IMAGE",), children=_LIBRARY_ENTRY),)),
    Template(
        "4023",
        (
            Row("1", "", ("NUM",), (terms.MAXIMUM_OPERATING_POINT,)),
            Row("2", "", ("NUM",), (terms.RECOMMENDED_OPERATING_POINT,), U),
            Row("3", "", ("CONTAINER",), (terms.OPERATING_POINT_TABLE,), U, open=True),
        ),
    ),
)
