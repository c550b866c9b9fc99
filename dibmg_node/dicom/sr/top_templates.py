"""The upper templates of a Mammography CAD report: root and impressions.

Rows are numbered as in PixelMed's machine-readable templates of 2022. Source: TID 1204, 4000 to 4003,
PS3.16.
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
    ParentIsNot,
    Requirement,
    Row,
    Template,
)
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_CONCEPT_MODIFIER,
    HAS_PROPERTIES,
    INFERRED_FROM,
)

M, MC, U, UC = Requirement
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
)
