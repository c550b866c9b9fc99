"""Findings as rows of the CAD report.

Source: TID 4003, 4006, 4013, 4015 to 4018, 4021, 4108, PS3.16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.algorithm import Algorithm
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.identity import tracking_identifier, tracking_uid
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
    Item,
    code,
    container,
    percent,
    place,
    reference,
    text,
    uid,
)
from dibmg_node.domain.result import ExamResult, Finding, FindingCode, OperatingPoint
from dibmg_node.domain.study import Laterality

FINDING_CODES: Final = {
    FindingCode.DENSITY: codes.BREAST_DENSITY,
    FindingCode.SELECTED_REGION: codes.SELECTED_REGION,
}


def breast_impressions(
    result: ExamResult,
    finding_code: FindingCode,
    algorithm: Algorithm,
    library: Mapping[str, Item],
) -> list[Item]:
    """TID 4003: one container for each breast with findings, the right breast first.

    Args:
        result: What the model says.
        finding_code: What a finding is called.
        algorithm: Who says it.
        library: Library images by SOP Instance UID.
    """
    containers = []
    for laterality in (Laterality.RIGHT, Laterality.LEFT):
        findings = [finding for finding in result.findings if finding.view.laterality is laterality]
        if not findings:
            continue
        strongest = max(finding.score for finding in findings)
        # TID 4002 would fit here too, but its relationship (CONTAINS by the standard, HAS PROPERTIES by
        # PixelMed's validator, which the IOD forbids) is disputed: breast scores stand in the impression.
        rows = [_rendering_intent(strongest, result.operating_point)]
        rows += [
            _finding(finding, result, finding_code, algorithm, library[finding.sop_uid])
            for finding in findings
        ]
        containers.append(container(INFERRED_FROM, codes.INDIVIDUAL_IMPRESSION, rows))
    return containers


def performed(
    concept: Code, value: Code, algorithm: Algorithm, heading: Code, images: Sequence[Item]
) -> list[Item]:
    """TID 4015 or 4016 with TID 4017 or 4018: what was tried on which images; nothing without images.

    Args:
        concept: Detection Performed or Analysis Performed.
        value: What was looked for.
        algorithm: What looked for it.
        heading: Successful or failed ones.
        images: Library images.
    """
    if not images:
        return []
    references = [reference(HAS_PROPERTIES, item) for item in images]
    row = code(CONTAINS, concept, value, [*algorithm.rows(HAS_PROPERTIES), *references])
    return [container(INFERRED_FROM, heading, [row])]


def _finding(
    finding: Finding, result: ExamResult, finding_code: FindingCode, algorithm: Algorithm, image_item: Item
) -> Item:
    """TID 4006."""
    rows = [
        _rendering_intent(finding.score, result.operating_point),
        text(HAS_OBSERVATION_CONTEXT, codes.TRACKING_IDENTIFIER, tracking_identifier(finding)),
        uid(
            HAS_OBSERVATION_CONTEXT,
            codes.TRACKING_UNIQUE_IDENTIFIER,
            tracking_uid(finding, result.model, result.operating_point),
        ),
        *algorithm.rows(HAS_PROPERTIES),
        percent(HAS_PROPERTIES, codes.CERTAINTY_OF_FINDING, finding.score),
    ]
    probability = result.probability_of(finding)
    # TID 4006 row 7 forbids it for a Selected region.
    if probability is not None and finding_code is FindingCode.DENSITY:
        rows.append(percent(HAS_PROPERTIES, codes.PROBABILITY_OF_CANCER, probability))
    rows += [
        place(HAS_PROPERTIES, codes.CENTER, [finding.center], reference(SELECTED_FROM, image_item)),
        place(HAS_PROPERTIES, codes.OUTLINE, finding.outline, reference(SELECTED_FROM, image_item)),
    ]
    if finding_code is FindingCode.SELECTED_REGION:
        words = f"Suspicious region, score {finding.score:.3f}; types of lesion are not told apart."
        rows.append(text(HAS_PROPERTIES, codes.SELECTED_REGION_DESCRIPTION, words))
    return code(CONTAINS, codes.SINGLE_IMAGE_FINDING, FINDING_CODES[finding_code], rows)


def _rendering_intent(score: float, point: OperatingPoint) -> Item:
    required = score >= point.threshold
    intent = codes.PRESENTATION_REQUIRED if required else codes.PRESENTATION_OPTIONAL
    return code(HAS_CONCEPT_MODIFIER, codes.RENDERING_INTENT, intent)
