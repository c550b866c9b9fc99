"""Findings and algorithms as rows of the CAD report.

Source: TID 4003, 4006, 4013, 4015 to 4019, 4021, 4108, PS3.16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.identity import tracking_identifier, tracking_uid
from dibmg_node.dicom.result_header import plain_text
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    Item,
    code,
    container,
    decimal,
    number,
    place,
    reference,
    text,
    uid,
)
from dibmg_node.domain.result import (
    ExamResult,
    Finding,
    FindingCode,
    ModelIdentity,
    OperatingPoint,
)
from dibmg_node.domain.study import Laterality

FINDING_CODES: Final = {
    FindingCode.DENSITY: codes.BREAST_DENSITY,
    FindingCode.SELECTED_REGION: codes.SELECTED_REGION,
}


@dataclass(frozen=True)
class Algorithm:
    """What TID 4019 says of the algorithm, in words."""

    version: str
    parameters: tuple[str, ...]

    @staticmethod
    def of(model: ModelIdentity | None, point: OperatingPoint | None, notes: Sequence[str] = ()) -> Algorithm:
        """Name the model and how it was run.

        Args:
            model: None where the study never met one.
            point: None likewise.
            notes: How images were prepared where their headers left a choice.
        """
        parameters: list[str] = []
        if model is not None:
            parameters += [
                f"weights SHA-256 {model.sha256}",
                f"preprocessing version {model.preprocessing_version}",
                f"input size {model.input_size}",
                f"runtime {model.runtime}, precision {model.precision}",
            ]
        if point is not None:
            threshold = decimal(point.threshold)
            parameters.append(
                f"operating point {point.label}, version {point.version}, threshold {threshold}"
            )
            if point.calibration is not None:
                fitted = point.calibration
                parameters.append(
                    f"calibration {fitted.kind}, fitted on {fitted.n} exams, "
                    f"prevalence {decimal(fitted.prevalence)}: {fitted.population}"
                )
        parameters += notes
        version = facts.IMPLEMENTATION_VERSION_NAME if model is None else f"{model.name} {model.version}"
        return Algorithm(plain_text(version), tuple(plain_text(words) for words in parameters))

    def rows(self, relationship: str) -> list[Item]:
        """TID 4019, under any of the rows that include it."""
        return [
            text(relationship, codes.ALGORITHM_NAME, facts.ALGORITHM_NAME),
            text(relationship, codes.ALGORITHM_VERSION, self.version),
            text(relationship, codes.ALGORITHM_MANUFACTURER, facts.MANUFACTURER),
            *(text(relationship, codes.ALGORITHM_PARAMETERS, words) for words in self.parameters),
        ]


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


def percent(relationship: str, concept: Code, fraction: float) -> Item:
    """A fraction 0..1 as a number 0..100 %, to a thousandth."""
    return number(relationship, concept, round(100.0 * fraction, 3), codes.PERCENT)


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
        place(HAS_PROPERTIES, codes.CENTER, [finding.center], image_item),
        place(HAS_PROPERTIES, codes.OUTLINE, finding.outline, image_item),
    ]
    if finding_code is FindingCode.SELECTED_REGION:
        words = f"Suspicious region, score {finding.score:.3f}; types of lesion are not told apart."
        rows.append(text(HAS_PROPERTIES, codes.SELECTED_REGION_DESCRIPTION, words))
    return code(CONTAINS, codes.SINGLE_IMAGE_FINDING, FINDING_CODES[finding_code], rows)


def _rendering_intent(score: float, point: OperatingPoint) -> Item:
    required = score >= point.threshold
    intent = codes.PRESENTATION_REQUIRED if required else codes.PRESENTATION_OPTIONAL
    return code(HAS_CONCEPT_MODIFIER, codes.RENDERING_INTENT, intent)
