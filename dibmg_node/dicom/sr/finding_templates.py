"""Templates of findings and of features that are made of them, with their places.

Rows are numbered as in PixelMed's machine-readable templates of 2022. Source: TID 4004 to
4006, 4021, 4022, 4108, PS3.16.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.property_templates import measurements, on_image, percent_row, value_row
from dibmg_node.dicom.sr.rows import (
    ANY_NUMBER,
    Include,
    InTree,
    ParentIs,
    ParentIsNot,
    Requirement,
    Row,
    Template,
)
from dibmg_node.dicom.sr_content import (
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
)

M, MC, U, UC = Requirement
_AREAS: Final = ("POLYLINE", "CIRCLE", "ELLIPSE")
_NO_LESION: Final = (
    terms.BREAST_COMPOSITION,
    terms.BREAST_GEOMETRY,
    terms.NIPPLE,
    codes.SELECTED_REGION,
    terms.IMAGE_QUALITY,
    terms.NON_LESION,
)
_PLACELESS: Final = (terms.BREAST_COMPOSITION, terms.BREAST_GEOMETRY, terms.IMAGE_QUALITY)


def _only(template: str, number: str, requirement: Requirement, value: Code) -> Include:
    return Include(number, template, HAS_PROPERTIES, requirement, when=ParentIs((value,)))


def _geometry(most: int, variant: str = "") -> Template:
    return Template(
        "4021",
        (
            Row(
                "1",
                "",
                ("SCOORD",),
                (codes.CENTER,),
                most=most,
                graphics=("POINT",),
                children=(on_image("2"),),
            ),
            Row(
                "3",
                "",
                ("SCOORD",),
                (codes.OUTLINE,),
                U,
                most=most,
                graphics=_AREAS,
                children=(on_image("4"),),
            ),
            Row("5", "", ("SCOORD",), (), U, named_by=6166, most=ANY_NUMBER, children=(on_image("6"),)),
        ),
        variant=variant,
    )


FINDING_TEMPLATES: Final = (
    Template(
        "4004",
        (
            Row(
                "1",
                "",
                ("CODE",),
                (terms.COMPOSITE_FEATURE,),
                value_set=6016,
                children=(
                    terms.INTENT_ROW,
                    Include("3", "4108", HAS_OBSERVATION_CONTEXT, U),
                    Include("4", "4005", HAS_PROPERTIES, U),
                    Include("5", "4004", INFERRED_FROM, U, ANY_NUMBER, loosely=True),
                    Include("6", "4006", INFERRED_FROM, U, ANY_NUMBER, loosely=True),
                    Include("7", "4022", HAS_OBSERVATION_CONTEXT, U),
                ),
                one_of=("5", "6"),
            ),
        ),
    ),
    Template(
        "4005",
        (
            value_row("1", terms.COMPOSITE_TYPE, 6035, M),
            value_row("2", terms.SCOPE_OF_FEATURE, 6036, M),
            Include("3", "4019"),
            percent_row("4", terms.CERTAINTY_OF_FEATURE),
            Row(
                "5",
                "",
                ("NUM",),
                (codes.PROBABILITY_OF_CANCER,),
                UC,
                when=ParentIsNot((terms.NON_LESION,)),
                units=(codes.PERCENT,),
            ),
            value_row("6", terms.PATHOLOGY, 6030, U, ANY_NUMBER),
            *measurements(7),
            Include("10", "4021 of features", INFERRED_FROM, U, ANY_NUMBER),
            Row("11", "", ("NUM",), (), U, named_by=6037, most=ANY_NUMBER, open=True),
        ),
    ),
    Template(
        "4006",
        (
            Row(
                "1",
                "",
                ("CODE",),
                (codes.SINGLE_IMAGE_FINDING,),
                value_set=6014,
                children=(
                    replace(
                        terms.INTENT_ROW,
                        children=(
                            Row(
                                "3",
                                HAS_PROPERTIES,
                                ("NUM",),
                                (terms.OPERATING_POINT,),
                                UC,
                                when=InTree(terms.MAXIMUM_OPERATING_POINT, codes.PRESENTATION_OPTIONAL),
                            ),
                        ),
                    ),
                    Include("4", "4108", HAS_OBSERVATION_CONTEXT, U),
                    Include("5", "4019", HAS_PROPERTIES),
                    replace(percent_row("6", codes.CERTAINTY_OF_FINDING), relationship=HAS_PROPERTIES),
                    Row(
                        "7",
                        HAS_PROPERTIES,
                        ("NUM",),
                        (codes.PROBABILITY_OF_CANCER,),
                        UC,
                        when=ParentIsNot(_NO_LESION),
                        units=(codes.PERCENT,),
                    ),
                    Include("8", "4021", HAS_PROPERTIES, MC, when=ParentIsNot(_PLACELESS)),
                    _only("4007", "9", MC, terms.BREAST_COMPOSITION),
                    Row(
                        "10",
                        INFERRED_FROM,
                        ("CODE",),
                        (codes.SINGLE_IMAGE_FINDING,),
                        UC,
                        most=ANY_NUMBER,
                        by_reference=True,
                        when=ParentIs((terms.BREAST_COMPOSITION,)),
                    ),
                    _only("4008", "11", MC, terms.BREAST_GEOMETRY),
                    _only("4009", "12", UC, terms.INDIVIDUAL_CALCIFICATION),
                    _only("4010", "13", UC, terms.CALCIFICATION_CLUSTER),
                    _only("4011", "14", UC, codes.BREAST_DENSITY),
                    Row(
                        "15",
                        HAS_PROPERTIES,
                        ("CODE",),
                        (terms.NIPPLE_CHARACTERISTIC,),
                        UC,
                        when=ParentIs((terms.NIPPLE,)),
                        value_set=6039,
                    ),
                    _only("4012", "16", MC, terms.NON_LESION),
                    _only("4013", "17", MC, codes.SELECTED_REGION),
                    Row(
                        "18",
                        INFERRED_FROM,
                        ("IMAGE",),
                        (),
                        UC,
                        by_reference=True,
                        when=ParentIs((terms.IMAGE_QUALITY,)),
                    ),
                    Row(
                        "19",
                        HAS_PROPERTIES,
                        ("SCOORD",),
                        (terms.IMAGE_REGION,),
                        UC,
                        most=ANY_NUMBER,
                        when=ParentIs((terms.IMAGE_QUALITY,)),
                        children=(on_image("20"),),
                    ),
                    replace(_only("4014", "21", MC, terms.IMAGE_QUALITY), most=ANY_NUMBER),
                    Row(
                        "22",
                        HAS_PROPERTIES,
                        ("NUM",),
                        (),
                        U,
                        named_by=6142,
                        most=ANY_NUMBER,
                        children=(
                            replace(terms.DERIVATION_ROW, number="23"),
                            replace(terms.CALCULATION_ROW, number="24"),
                        ),
                    ),
                    Include(
                        "25",
                        "4006",
                        INFERRED_FROM,
                        UC,
                        ANY_NUMBER,
                        when=ParentIs((terms.CALCIFICATION_CLUSTER,)),
                        loosely=True,
                    ),
                    Include("26", "4022", HAS_OBSERVATION_CONTEXT, U),
                ),
            ),
        ),
    ),
    _geometry(1),
    _geometry(ANY_NUMBER, " of features"),
    Template(
        "4022",
        (
            Row(
                "1",
                HAS_OBSERVATION_CONTEXT,
                ("COMPOSITE",),
                (terms.ORIGINAL_SOURCE,),
                U,
                children=(Include("2", "1204", HAS_CONCEPT_MODIFIER, U),),
            ),
            # TID 1001 Observation Context: who observed whom, in any of its forms
            Row(
                "3",
                HAS_OBSERVATION_CONTEXT,
                ("TEXT", "CODE", "NUM", "DATE", "TIME", "PNAME", "UIDREF", "COMPOSITE"),
                (),
                U,
                any_name=True,
                most=ANY_NUMBER,
                open=True,
            ),
        ),
    ),
    Template(
        "4108",
        (
            Row("1", "", ("TEXT",), (codes.TRACKING_IDENTIFIER,), U),
            Row("2", "", ("UIDREF",), (codes.TRACKING_UNIQUE_IDENTIFIER,), U),
        ),
        ordered=False,
    ),
)
