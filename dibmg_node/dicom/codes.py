"""Coded concepts of the structured reports, with the meanings of the current edition.

Written out here because pydicom's dictionary carries zero-width spaces in three meanings and knows
nothing of languages and countries; a test compares the rest with it. Source: PS3.16.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dibmg_node.dicom import facts
from dibmg_node.domain.study import Laterality, View, ViewModifier


class Code(NamedTuple):
    """One coded concept. Source: PS3.3 8.1."""

    value: str
    scheme: str
    meaning: str


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


# TID 4000, 1204 and their containers
CAD_REPORT: Final = _dcm("111036", "Mammography CAD Report")
LANGUAGE: Final = _dcm("121049", "Language of Content Item and Descendants")
COUNTRY_OF_LANGUAGE: Final = _dcm("121046", "Country of Language")
ENGLISH: Final = Code("en", "RFC5646", "English")
UNITED_STATES: Final = Code("US", "ISO3166_1", "United States")
IMAGE_LIBRARY: Final = _dcm("111028", "Image Library")
FINDINGS_SUMMARY: Final = _dcm("111017", "CAD Processing and Findings Summary")
INDIVIDUAL_IMPRESSION: Final = _dcm("111034", "Individual Impression/Recommendation")

# TID 4020
IMAGE_LATERALITY: Final = _dcm("111027", "Image Laterality")
IMAGE_VIEW: Final = _dcm("111031", "Image View")
IMAGE_VIEW_MODIFIER: Final = _dcm("111032", "Image View Modifier")
ORIENTATION_ROW: Final = _dcm("111044", "Patient Orientation Row")
ORIENTATION_COLUMN: Final = _dcm("111043", "Patient Orientation Column")
STUDY_DATE: Final = _dcm("111060", "Study Date")
STUDY_TIME: Final = _dcm("111061", "Study Time")
CONTENT_DATE: Final = _dcm("111018", "Content Date")
CONTENT_TIME: Final = _dcm("111019", "Content Time")
HORIZONTAL_SPACING: Final = _dcm("111026", "Horizontal Pixel Spacing")
VERTICAL_SPACING: Final = _dcm("111066", "Vertical Pixel Spacing")
PRIMARY_ANGLE: Final = _dcm("112011", "Positioner Primary Angle")
SECONDARY_ANGLE: Final = _dcm("112012", "Positioner Secondary Angle")
ROWS: Final = _dcm("110910", "Pixel Data Rows")
COLUMNS: Final = _dcm("110911", "Pixel Data Columns")

# TID 4002, 4003, 4006, 4013, 4019, 4021, 4108
IMPRESSION_DESCRIPTION: Final = _dcm("111033", "Impression Description")
CERTAINTY_OF_IMPRESSION: Final = _dcm("111013", "Certainty of impression")
RENDERING_INTENT: Final = _dcm("111056", "Rendering Intent")
SINGLE_IMAGE_FINDING: Final = _dcm("111059", "Single Image Finding")
CERTAINTY_OF_FINDING: Final = _dcm("111012", "Certainty of Finding")
PROBABILITY_OF_CANCER: Final = _dcm("111047", "Probability of cancer")
CENTER: Final = _dcm("111010", "Center")
OUTLINE: Final = _dcm("111041", "Outline")
SELECTED_REGION_DESCRIPTION: Final = _dcm("111058", "Selected Region Description")
ALGORITHM_NAME: Final = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION: Final = _dcm("111003", "Algorithm Version")
ALGORITHM_MANUFACTURER: Final = _dcm("122405", "Algorithm Manufacturer")
ALGORITHM_PARAMETERS: Final = _dcm("111002", "Algorithm Parameters")
TRACKING_IDENTIFIER: Final = _dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER: Final = _dcm("112040", "Tracking Unique Identifier")

# TID 4015 to 4018
SUMMARY_OF_DETECTIONS: Final = _dcm("111064", "Summary of Detections")
SUMMARY_OF_ANALYSES: Final = _dcm("111065", "Summary of Analyses")
SUCCESSFUL_DETECTIONS: Final = _dcm("111063", "Successful Detections")
FAILED_DETECTIONS: Final = _dcm("111025", "Failed Detections")
SUCCESSFUL_ANALYSES: Final = _dcm("111062", "Successful Analyses")
FAILED_ANALYSES: Final = _dcm("111024", "Failed Analyses")
DETECTION_PERFORMED: Final = _dcm("111022", "Detection Performed")
ANALYSIS_PERFORMED: Final = _dcm("111004", "Analysis Performed")

# TID 1500, 1410, 1001, 1004, 1600 to 1602
MEASUREMENT_REPORT: Final = _dcm("126000", "Imaging Measurement Report")
OBSERVER_TYPE: Final = _dcm("121005", "Observer Type")
DEVICE: Final = _dcm("121007", "Device")
DEVICE_OBSERVER_UID: Final = _dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME: Final = _dcm("121013", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER: Final = _dcm("121014", "Device Observer Manufacturer")
DEVICE_OBSERVER_MODEL: Final = _dcm("121015", "Device Observer Model Name")
PROCEDURE_REPORTED: Final = _dcm("121058", "Procedure reported")
IMAGING_PROCEDURE: Final = _sct("363679005", "Imaging procedure")
IMAGE_LIBRARY_GROUP: Final = _dcm("126200", "Image Library Group")
MODALITY: Final = _dcm("121139", "Modality")
MAMMOGRAPHY: Final = _dcm("MG", "Mammography")
TARGET_REGION: Final = _dcm("123014", "Target Region")
IMAGING_MEASUREMENTS: Final = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP: Final = _dcm("125007", "Measurement Group")
FINDING: Final = _dcm("121071", "Finding")
FINDING_SITE: Final = _sct("363698007", "Finding Site")
LATERALITY: Final = _sct("272741003", "Laterality")
IMAGE_REGION: Final = _dcm("111030", "Image Region")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
IMPRESSION: Final = _dcm("121073", "Impression")

# CID 6014, 6034, 6042, 6043, 6047
BREAST_DENSITY: Final = _sct("129793001", "Mammography breast density")
SELECTED_REGION: Final = _dcm("111099", "Selected region")
PRESENTATION_REQUIRED: Final = _dcm(
    "111150", "Presentation Required: Rendering device is expected to present"
)
PRESENTATION_OPTIONAL: Final = _dcm("111151", "Presentation Optional: Rendering device may present")
SUCCEEDED: Final = _dcm("111222", "Succeeded")
PARTIALLY_SUCCEEDED: Final = _dcm("111223", "Partially Succeeded")
FAILED: Final = _dcm("111224", "Failed")
NOT_ATTEMPTED: Final = _dcm("111225", "Not Attempted")
OVERALL_ANALYSIS: Final = _dcm("111234", "Overall Impression/Recommendation Analysis")
ALL_WITHOUT_FINDINGS: Final = _dcm("111241", "All algorithms succeeded; without findings")
ALL_WITH_FINDINGS: Final = _dcm("111242", "All algorithms succeeded; with findings")
SOME_WITHOUT_FINDINGS: Final = _dcm("111243", "Not all algorithms succeeded; without findings")
SOME_WITH_FINDINGS: Final = _dcm("111244", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED: Final = _dcm("111245", "No algorithms succeeded; without findings")

# Purposes of reference
ACQUISITION_EQUIPMENT: Final = _dcm("109101", "Acquisition Equipment")
SOURCE_IMAGE: Final = _dcm("121322", "Source Image for Image Processing Operation")

# Anatomy and units
BREAST: Final = _sct("76752008", "Breast")
PERCENT: Final = Code("%", "UCUM", "Percent")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
DEGREE: Final = Code("deg", "UCUM", "degree")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")

LATERALITIES: Final = {
    # CID 6022
    Laterality.RIGHT: _sct("73056007", "Right breast"),
    Laterality.LEFT: _sct("80248007", "Left breast"),
    Laterality.BOTH: _sct("63762007", "Both breasts"),
}
SIDES: Final = {
    # CID 244
    Laterality.RIGHT: _sct("24028007", "Right"),
    Laterality.LEFT: _sct("7771000", "Left"),
    Laterality.BOTH: _sct("51440002", "Right and left"),
}
VIEWS: Final[dict[View, Code]] = {
    view: _sct(value, meaning) for value, (view, _, meaning) in facts.VIEW_CODES.items()
}
MODIFIERS: Final[dict[ViewModifier, Code]] = {
    modifier: _sct(value, modifier.value) for value, (modifier, _) in facts.MODIFIER_CODES.items()
}
