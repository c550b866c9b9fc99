"""Templates of what a finding is like: composition, geometry, calcifications, density, quality, measurements.

Rows are numbered as in PixelMed's machine-readable templates of 2022. Source: TID 1400 to 1402, 4007 to
4014, PS3.16.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.rows import ANY_NUMBER, Beside, Include, Requirement, Row, Template
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
)

M, MC, U, UC = Requirement


def on_image(number: str) -> Row:
    """The image that a place lies on: one of the library, by reference."""
    return Row(number, SELECTED_FROM, ("IMAGE",), by_reference=True)


def measurements(first: int) -> tuple[Include, ...]:
    """TID 1400, 1401 and 1402, any number of each, from a row number on."""
    return tuple(
        Include(str(first + place), tid, "", U, ANY_NUMBER)
        for place, tid in enumerate(("1400", "1401", "1402"))
    )


def percent_row(number: str, concept: Code, requirement: Requirement = U) -> Row:
    """A number of percent."""
    return Row(number, "", ("NUM",), (concept,), requirement, units=(codes.PERCENT,))


def value_row(number: str, concept: Code, value_set: int, requirement: Requirement = U, most: int = 1) -> Row:
    """A code of a context group."""
    return Row(number, "", ("CODE",), (concept,), requirement, value_set=value_set, most=most)


def _measurement(
    tid: str, name_set: int, unit_set: int, method_set: int, outline: tuple[Code, ...]
) -> Template:
    source = Row("3", SELECTED_FROM, ("IMAGE",), any_name=True, open=True)
    sources = (
        Row(
            "2",
            INFERRED_FROM,
            ("SCOORD",),
            outline,
            U,
            most=ANY_NUMBER,
            children=(
                replace(source, by_reference=True, requirement=U),
                replace(source, number="4", requirement=U),
            ),
            one_of=("3", "4"),
        ),
        Row("5", INFERRED_FROM, ("IMAGE",), (), U, any_name=True, most=ANY_NUMBER),
        Row("6", INFERRED_FROM, ("IMAGE",), (), U, any_name=True, most=ANY_NUMBER, by_reference=True),
        Row("7", HAS_PROPERTIES, ("CODE",), (terms.MEASUREMENT_METHOD,), U, value_set=method_set),
        Include("8", "4108", HAS_OBSERVATION_CONTEXT, U),
    )
    row = Row(
        "1", "", ("NUM",), (), M, named_by=name_set, most=ANY_NUMBER, unit_set=unit_set, children=sources
    )
    return Template(tid, (row,), ordered=False)


PROPERTY_TEMPLATES: Final = (
    Template(
        "4007",
        (
            # CONTAINS by the template, which PS3.3 A.35.5.3.1.3 does not allow below a CODE
            replace(value_row("1", terms.BREAST_COMPOSITION, 6000), disputed=CONTAINS),
            replace(percent_row("2", terms.PERCENT_FIBROGLANDULAR), disputed=CONTAINS),
        ),
        one_of=("1", "2"),
    ),
    Template(
        "4008",
        (
            Row(
                "1",
                "",
                ("SCOORD",),
                (terms.BREAST_OUTLINE,),
                graphics=("POLYLINE",),
                children=(on_image("2"),),
            ),
            Row(
                "3",
                "",
                ("SCOORD",),
                (terms.PECTORAL_OUTLINE,),
                U,
                graphics=("POLYLINE",),
                children=(on_image("4"),),
            ),
        ),
    ),
    Template("4009", (value_row("1", terms.CALCIFICATION_TYPE, 6010, U, ANY_NUMBER), *measurements(2))),
    Template(
        "4010",
        (
            value_row("1", terms.CALCIFICATION_TYPE, 6010, U, ANY_NUMBER),
            value_row("2", terms.CALCIFICATION_DISTRIBUTION, 6012),
            Row("3", "", ("NUM",), (terms.NUMBER_OF_CALCIFICATIONS,), U, units=(terms.NO_UNITS,)),
            *measurements(4),
        ),
    ),
    Template(
        "4011",
        (
            value_row("1", terms.LESION_DENSITY, 6008),
            value_row("2", terms.SHAPE, 6004),
            Row("3", "", ("CODE",), terms.MARGINS, U, value_set=6006, most=ANY_NUMBER),
            *measurements(4),
        ),
    ),
    Template("4012", (value_row("1", terms.OBJECT_TYPE, 6040, M), *measurements(2))),
    Template("4013", (Row("1", "", ("TEXT",), (codes.SELECTED_REGION_DESCRIPTION,)), *measurements(2))),
    Template(
        "4014",
        (
            Row(
                "1",
                "",
                ("CODE",),
                (terms.QUALITY_FINDING,),
                value_set=6041,
                children=(
                    Row("2", HAS_PROPERTIES, ("CODE",), (terms.QUALITY_ASSESSMENT,), U, value_set=6044),
                    Row(
                        "3",
                        HAS_PROPERTIES,
                        ("CODE",),
                        (terms.QUALITY_STANDARD,),
                        UC,
                        when=Beside((terms.QUALITY_ASSESSMENT,)),
                        may_otherwise=True,
                        value_set=6045,
                    ),
                    Row("4", HAS_PROPERTIES, ("NUM",), (terms.QUALITY_RATING,), U, units=(terms.RATING,)),
                ),
            ),
        ),
    ),
    _measurement("1400", 7470, 7460, 7473, (terms.PATH, terms.PATH_VERTEX)),
    _measurement("1401", 7471, 7461, 7473, (terms.PATH, terms.AREA_OUTLINE)),
    _measurement("1402", 7472, 7462, 7474, (terms.PERIMETER_OUTLINE,)),
)
