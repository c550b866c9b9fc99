"""Templates of what a report speaks of: images, algorithms, and what each was tried on.

Rows are numbered as in PixelMed's machine-readable templates of 2022. Source: TID 4015 to 4020, 4023, PS3.16.
"""

from __future__ import annotations

from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.rows import ANY_NUMBER, Include, ParentIs, Requirement, Row, Template
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

COVERAGE_TEMPLATES: Final = (
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
