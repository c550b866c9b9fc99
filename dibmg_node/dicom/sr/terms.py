"""Coded concepts that only other vendors' reports use, and the small rows that many templates share.

Source: PS3.16.
"""

from __future__ import annotations

from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.rows import Requirement, Row
from dibmg_node.dicom.sr_content import HAS_CONCEPT_MODIFIER, INFERRED_FROM


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


# TID 4002
ASSESSMENT_CATEGORY: Final = _dcm("111005", "Assessment Category")
DIFFERENTIAL_DIAGNOSIS: Final = _dcm("111023", "Differential Diagnosis/Impression")
RECOMMENDED_FOLLOW_UP: Final = _dcm("111053", "Recommended Follow-up")
RECOMMENDED_FOLLOW_UP_INTERVAL: Final = _dcm("111055", "Recommended Follow-up Interval")
RECOMMENDED_FOLLOW_UP_DATE: Final = _dcm("111054", "Recommended Follow-up Date")
LATERALITY: Final = _sct("272741003", "Laterality")
DERIVATION: Final = _dcm("121401", "Derivation")
CALCULATION_DESCRIPTION: Final = _dcm("112034", "Calculation Description")

# TID 4004, 4005
COMPOSITE_FEATURE: Final = _dcm("111015", "Composite Feature")
COMPOSITE_TYPE: Final = _dcm("111016", "Composite type")
SCOPE_OF_FEATURE: Final = _dcm("111057", "Scope of Feature")
CERTAINTY_OF_FEATURE: Final = _dcm("111011", "Certainty of Feature")
PATHOLOGY: Final = _dcm("111042", "Pathology")
CONTRALATERAL: Final = _dcm("111155", "Target Content Items are related contra-laterally")
ASYMMETRIES: Final = (
    _sct("129789007", "Focal asymmetric breast tissue"),
    _sct("129790003", "Asymmetric breast tissue"),
)

# TID 4006 to 4014
BREAST_COMPOSITION: Final = _sct("129715009", "Breast composition")
BREAST_GEOMETRY: Final = _dcm("111100", "Breast geometry")
IMAGE_QUALITY: Final = _dcm("111101", "Image Quality")
NON_LESION: Final = _dcm("111102", "Non-lesion")
NIPPLE: Final = _sct("24142002", "Nipple")
INDIVIDUAL_CALCIFICATION: Final = _sct("129770007", "Individual Calcification")
CALCIFICATION_CLUSTER: Final = _sct("129769006", "Calcification Cluster")
OPERATING_POINT: Final = _dcm("111071", "CAD Operating Point")
PERCENT_FIBROGLANDULAR: Final = _dcm("111046", "Percent Fibroglandular Tissue")
BREAST_OUTLINE: Final = _dcm("111007", "Breast Outline Including Pectoral Muscle Tissue")
PECTORAL_OUTLINE: Final = _dcm("111045", "Pectoral Muscle Outline")
CALCIFICATION_TYPE: Final = _dcm("111009", "Calcification Type")
CALCIFICATION_DISTRIBUTION: Final = _dcm("111008", "Calcification Distribution")
NUMBER_OF_CALCIFICATIONS: Final = _dcm("111038", "Number of calcifications")
LESION_DENSITY: Final = _dcm("111035", "Lesion Density")
SHAPE: Final = _sct("107644003", "Shape")
MARGINS: Final = (_dcm("111037", "Margins"), _sct("112233002", "Margin"))
"""PixelMed and pydicom have the first, another reader of the 2026 edition the second."""
NIPPLE_CHARACTERISTIC: Final = _dcm("111297", "Nipple Characteristic")
OBJECT_TYPE: Final = _dcm("111039", "Object type")
IMAGE_REGION: Final = _dcm("111030", "Image Region")
QUALITY_FINDING: Final = _dcm("111052", "Quality Finding")
QUALITY_ASSESSMENT: Final = _dcm("111050", "Quality Assessment")
QUALITY_STANDARD: Final = _dcm("111051", "Quality Control Standard")
QUALITY_RATING: Final = _dcm("111029", "Image Quality Rating")

# TID 1400 to 1402
PATH: Final = _dcm("121055", "Path")
PATH_VERTEX: Final = _dcm("121230", "Path Vertex")
AREA_OUTLINE: Final = _dcm("121056", "Area Outline")
PERIMETER_OUTLINE: Final = _dcm("121057", "Perimeter Outline")
MEASUREMENT_METHOD: Final = _sct("370129005", "Measurement Method")

# TID 4017 to 4023
SERIES_INSTANCE_UID: Final = _dcm("112002", "Series Instance UID")
ALGORITHM_FAMILY: Final = _dcm("111000", "Algorithm Family")
ORIGINAL_SOURCE: Final = _dcm("111040", "Original Source")
MAXIMUM_OPERATING_POINT: Final = _dcm("111072", "Maximum CAD Operating Point")
RECOMMENDED_OPERATING_POINT: Final = _dcm("111092", "Recommended CAD Operating Point")
OPERATING_POINT_TABLE: Final = _dcm("111093", "Operating Point Table")
SPACING_BETWEEN_SLICES: Final = _dcm("112226", "Spacing between slices")
SLICE_THICKNESS: Final = _dcm("112225", "Slice Thickness")
FRAME_OF_REFERENCE_UID: Final = _dcm("112227", "Frame of Reference UID")
IMAGE_PLANE: Final = tuple(
    _dcm(str(110901 + place), f"Image {words}")
    for place, words in enumerate(
        [f"Position (Patient) {axis}" for axis in "XYZ"]
        + [f"Orientation (Patient) {line} {axis}" for line in ("Row", "Column") for axis in "XYZ"]
    )
)

MICROMETER: Final = Code("um", "UCUM", "micrometer")
DIRECTION: Final = Code("{-1:1}", "UCUM", "{-1:1}")
RATING: Final = Code("{0:100}", "UCUM", "range: 0:100")
NO_UNITS: Final = Code("1", "UCUM", "no units")

INTENT_ROW: Final = Row("2", HAS_CONCEPT_MODIFIER, ("CODE",), (codes.RENDERING_INTENT,), value_set=6034)
DERIVATION_ROW: Final = Row(
    "14", HAS_CONCEPT_MODIFIER, ("CODE",), (DERIVATION,), Requirement.USER, value_set=6140
)
CALCULATION_ROW: Final = Row("15", INFERRED_FROM, ("TEXT",), (CALCULATION_DESCRIPTION,), Requirement.USER)
