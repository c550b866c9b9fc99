"""The measurement report of one exam: a Comprehensive SR by TID 1500, as IHE AI Results asks for.

Written on the node's own content tree, as the CAD report is: highdicom would write the same rows, but stamps
times of its own, leaves out some of the patient's attributes and has no place for the exam's sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.algorithm import Algorithm, preparation_notes
from dibmg_node.dicom.cad_impression import exam_impression, reasons
from dibmg_node.dicom.cad_library import in_reading_order, moments, numbers, projection
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.identity import (
    Origin,
    result_uid,
    tracking_identifier,
    tracking_uid,
)
from dibmg_node.dicom.result_header import result_header
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_ACQUISITION_CONTEXT,
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    SELECTED_FROM,
    Item,
    code,
    container,
    content,
    image,
    percent,
    place,
    text,
    uid,
)
from dibmg_node.dicom.sr_document import describe_document, language
from dibmg_node.domain.result import ExamResult, Finding, FindingCode, Predecessor, ResultKind
from dibmg_node.domain.study import Exclusion, Laterality, ViewKey


def measurement_report(
    images: Mapping[ViewKey, FileDataset],
    result: ExamResult,
    now: datetime,
    *,
    exclusions: Sequence[Exclusion] = (),
    predecessors: Sequence[Predecessor] = (),
) -> Dataset:
    """A Comprehensive SR: a measurement group for each finding, and the impression with all scores.

    An exam without findings has its impression alone, which says that nothing was marked. A finding is called
    Selected region: unlike the CAD report, this one has no workstation's list of codes to keep to.

    Args:
        images: Header of each image that the model read.
        result: What the model says.
        now: Time of the analysis; every date and time of the report.
        exclusions: Why a breast was not read; those of single images are the CAD report's.
        predecessors: Reports that this one replaces.

    Raises:
        ValueError: A view that was read has no image, or a finding lies on none of the images.

    Source: A.35.3, PS3.3; TID 1500, PS3.16; IHE RAD TF, AI Results.
    """
    if set(images) != set(result.scores.views):
        raise ValueError(f"images of {_names(images)}, expected those of {_names(result.scores.views)}")
    by_uid = {str(header.SOPInstanceUID): header for header in in_reading_order(images.values())}
    strangers = sorted({finding.sop_uid for finding in result.findings} - set(by_uid))
    if strangers:
        raise ValueError(f"findings on images that were not read: {', '.join(strangers)}")
    read = list(by_uid.values())
    origin = Origin(
        study_uid=result.study_uid,
        source_uids=tuple(by_uid),
        model=result.model,
        operating_point=result.operating_point,
        reasons=reasons((), [one for one in exclusions if one.sop_uid is None], ""),
    )
    kind = ResultKind.MEASUREMENT_SR
    report = result_header(read[0], origin, kind, facts.COMPREHENSIVE_SR, result_uid(origin, kind), now)
    describe_document(report, read, predecessors)
    report.update(content(_root(by_uid, result, origin.reasons)))
    return report


def _names(views: Iterable[ViewKey]) -> str:
    return ", ".join(sorted(map(str, views))) or "nothing"


def _root(by_uid: Mapping[str, FileDataset], result: ExamResult, not_read: Sequence[str]) -> Item:
    """TID 1500."""
    algorithm = Algorithm.of(
        result.model, result.operating_point, preparation_notes(by_uid.values(), result)
    ).rows(HAS_CONCEPT_MODIFIER)
    groups = [_finding(one, result, by_uid[one.sop_uid], algorithm) for one in result.findings]
    measurements = [container(CONTAINS, codes.IMAGING_MEASUREMENTS, groups)] if groups else []
    return container(
        "",
        codes.MEASUREMENT_REPORT,
        [
            language(),
            *_observer(result),
            code(HAS_CONCEPT_MODIFIER, codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE),
            _library(by_uid.values()),
            *measurements,
            container(CONTAINS, codes.QUALITATIVE_EVALUATIONS, _impressions(result, not_read, algorithm)),
        ],
        "1500",
    )


def _observer(result: ExamResult) -> list[Item]:
    """TID 1001 and 1004: a device, not a person."""
    name = f"{facts.ALGORITHM_NAME} {result.model.name}"
    return [
        code(HAS_OBSERVATION_CONTEXT, codes.OBSERVER_TYPE, codes.DEVICE),
        uid(HAS_OBSERVATION_CONTEXT, codes.DEVICE_OBSERVER_UID, facts.IMPLEMENTATION_CLASS_UID),
        text(HAS_OBSERVATION_CONTEXT, codes.DEVICE_OBSERVER_NAME, name),
        text(HAS_OBSERVATION_CONTEXT, codes.DEVICE_OBSERVER_MANUFACTURER, facts.MANUFACTURER),
        text(HAS_OBSERVATION_CONTEXT, codes.DEVICE_OBSERVER_MODEL, facts.MODEL_NAME),
    ]


def _library(read: Iterable[FileDataset]) -> Item:
    """TID 1600 to 1603; the side is of CID 244 here, not of CID 6022 as in a CAD report."""
    entries = []
    for header in read:
        instance = instance_of(header)
        context = [
            code(HAS_ACQUISITION_CONTEXT, codes.MODALITY, codes.MAMMOGRAPHY),
            code(HAS_ACQUISITION_CONTEXT, codes.TARGET_REGION, codes.BREAST),
        ]
        if instance.laterality is not None:
            side = codes.SIDES[instance.laterality]
            context.append(code(HAS_ACQUISITION_CONTEXT, codes.IMAGE_LATERALITY, side))
        context += [*moments(header), *projection(instance), *numbers(header)]
        entries.append(image(CONTAINS, instance.sop_class_uid, instance.sop_uid, context))
    group = container(CONTAINS, codes.IMAGE_LIBRARY_GROUP, entries)
    return container(CONTAINS, codes.IMAGE_LIBRARY, [group])


def _impressions(result: ExamResult, not_read: Sequence[str], algorithm: Sequence[Item]) -> list[Item]:
    """Sentences of the exam and of each breast, with their scores as numbers.

    As measurement groups (TID 1501) the scores would have no outline, and OHIF 3.13 shows nothing at all
    of a report one of whose groups has none.
    """
    words = exam_impression(result, FindingCode.SELECTED_REGION, not_read, has_probabilities=True)
    scores = [percent(HAS_PROPERTIES, codes.CERTAINTY_OF_IMPRESSION, result.scores.exam, algorithm)]
    if result.probability is not None:
        scores.append(percent(HAS_PROPERTIES, codes.PROBABILITY_OF_CANCER, result.probability, algorithm))
    impressions = [text(CONTAINS, codes.IMPRESSION, words, scores)]
    for laterality in (Laterality.RIGHT, Laterality.LEFT):
        if laterality in result.scores.breasts:
            score = result.scores.breasts[laterality]
            rows = [
                _site(laterality),
                percent(HAS_PROPERTIES, codes.CERTAINTY_OF_IMPRESSION, score, algorithm),
            ]
            told = f"{codes.LATERALITIES[laterality].meaning}: score {score:.3f} (0 to 1)."
            impressions.append(text(CONTAINS, codes.IMPRESSION, told, rows))
    return impressions


def _finding(finding: Finding, result: ExamResult, header: FileDataset, algorithm: Sequence[Item]) -> Item:
    """TID 1410: one region with its outline on its image."""
    source = image(SELECTED_FROM, str(header.SOPClassUID), finding.sop_uid)
    tracked = tracking_uid(finding, result.model, result.operating_point)
    rows = [
        text(HAS_OBSERVATION_CONTEXT, codes.TRACKING_IDENTIFIER, tracking_identifier(finding)),
        uid(HAS_OBSERVATION_CONTEXT, codes.TRACKING_UNIQUE_IDENTIFIER, tracked),
        code(CONTAINS, codes.FINDING, codes.SELECTED_REGION),
        place(CONTAINS, codes.IMAGE_REGION, finding.outline, source),
        _site(finding.view.laterality),
        percent(CONTAINS, codes.CERTAINTY_OF_FINDING, finding.score, algorithm),
    ]
    probability = result.probability_of(finding)
    if probability is not None:
        rows.append(percent(CONTAINS, codes.PROBABILITY_OF_CANCER, probability, algorithm))
    return container(CONTAINS, codes.MEASUREMENT_GROUP, rows, "1410")


def _site(laterality: Laterality) -> Item:
    """The breast, and which one."""
    side = code(HAS_CONCEPT_MODIFIER, codes.LATERALITY, codes.SIDES[laterality])
    return code(HAS_CONCEPT_MODIFIER, codes.FINDING_SITE, codes.BREAST, [side])
