"""The Mammography CAD report of one study, by TID 4000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.cad_coverage import Coverage, find_coverage
from dibmg_node.dicom.cad_findings import FINDING_CODES, Algorithm, breast_impressions, percent, performed
from dibmg_node.dicom.cad_impression import exam_impression, reasons, unread_impression
from dibmg_node.dicom.cad_library import (
    evidence,
    image_library,
    library_entry,
    referenced_instances,
)
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.identity import Origin, result_uid
from dibmg_node.dicom.result_header import copy_attributes, result_header
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_CONCEPT_MODIFIER,
    HAS_PROPERTIES,
    Item,
    code,
    container,
    content,
    text,
)
from dibmg_node.domain.result import ExamResult, FindingCode, ModelIdentity, Predecessor, ResultKind
from dibmg_node.domain.study import Exclusion, Verdict

_SUMMARIES: Final = {
    # (some were read, some failed): CID 6042
    (True, False): codes.SUCCEEDED,
    (True, True): codes.PARTIALLY_SUCCEEDED,
    (False, True): codes.FAILED,
    (False, False): codes.NOT_ATTEMPTED,
}
_FINDINGS_SUMMARIES: Final = {
    # (some failed, there are findings): CID 6047
    (False, False): codes.ALL_WITHOUT_FINDINGS,
    (False, True): codes.ALL_WITH_FINDINGS,
    (True, False): codes.SOME_WITHOUT_FINDINGS,
    (True, True): codes.SOME_WITH_FINDINGS,
}
_REQUEST: Final = (
    "AccessionNumber",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
    "ReferencedStudySequence",
    "RequestedProcedureCodeSequence",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
)


def cad_report(
    headers: Mapping[str, FileDataset],
    verdicts: Sequence[Verdict],
    now: datetime,
    *,
    result: ExamResult | None = None,
    exclusions: Sequence[Exclusion] = (),
    failure: str = "",
    model: ModelIdentity | None = None,
    finding_code: FindingCode = FindingCode.DENSITY,
    predecessors: Sequence[Predecessor] = (),
) -> Dataset:
    """A Mammography CAD SR: what was found, that nothing was found, or why the study was not read.

    With `result` the exam was read, with `failure` the analysis broke off, with neither the study is
    excluded.

    Args:
        headers: Headers of the study's instances by SOP Instance UID; those that are no images (SR …)
            are passed over. Patient and study attributes are those of the first image of the library.
        verdicts: What became of each instance. Images that are `used` are the exam; those that were tried
            and failed (FAILED_TO_READ) are named as failed; all others stay out of the library of an
            exam that was read, and in that of a study that was not.
        now: Time of the analysis; every date and time of the report.
        result: What the model says.
        exclusions: Why a breast or the study was not read, beside what the verdicts say.
        failure: Why the analysis failed, in words.
        model: The model of a study without `result`, where it is known.
        finding_code: What a finding is called; SELECTED_REGION carries no probability of cancer.
        predecessors: Reports that this one replaces.

    Raises:
        ValueError: No header is that of an image, `result` and `failure` are both given, or a used image
            or a finding's image has no header.

    Source: A.35.5, PS3.3; TID 4000, PS3.16.
    """
    if result is not None and failure:
        raise ValueError("an exam that was read has not failed: give result or failure, not both")
    coverage = find_coverage(headers, verdicts, result, failure)
    origin = Origin(
        study_uid=str(coverage.library[0].StudyInstanceUID),
        source_uids=tuple(str(header.SOPInstanceUID) for header in coverage.library),
        model=model if result is None else result.model,
        operating_point=None if result is None else result.operating_point,
        reasons=reasons(verdicts, exclusions, failure),
    )
    sop_uid = result_uid(origin, ResultKind.CAD_SR, finding_code.value)
    source = coverage.library[0]
    report = result_header(source, origin, ResultKind.CAD_SR, facts.MAMMOGRAPHY_CAD_SR, sop_uid, now)
    _document(report, source, origin, coverage, predecessors)
    report.update(content(_root(coverage, origin, result, bool(failure), finding_code)))
    template = Dataset()
    template.MappingResource = "DCMR"
    template.MappingResourceUID = "1.2.840.10008.8.1.1"
    template.TemplateIdentifier = "4000"
    report.ContentTemplateSequence = DicomSequence([template])
    return report


def _document(
    report: Dataset,
    source: FileDataset,
    origin: Origin,
    coverage: Coverage,
    predecessors: Sequence[Predecessor],
) -> None:
    """SR Document Series and SR Document General. Source: PS3.3 C.17.1, C.17.2."""
    report.Modality = "SR"
    report.InstanceNumber = "1"
    report.ReferencedPerformedProcedureStepSequence = DicomSequence()
    report.PerformedProcedureCodeSequence = DicomSequence()
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "FINAL"
    report.CurrentRequestedProcedureEvidenceSequence = evidence(coverage.library)
    earlier = [
        (origin.study_uid, one.series_uid, one.sop_class_uid, one.sop_uid)
        for one in predecessors
        if one.sop_uid != report.SOPInstanceUID
    ]
    if earlier:
        report.PredecessorDocumentsSequence = referenced_instances(earlier)
    requests = [_request(item, source) for item in source.get("RequestAttributesSequence") or []]
    if requests:
        report.ReferencedRequestSequence = DicomSequence(requests)


def _request(attributes: Dataset, source: FileDataset) -> Dataset:
    """One request that the images fulfill, from their Request Attributes Sequence. Source: PS3.3 C.17.2."""
    request = Dataset()
    request.StudyInstanceUID = source.StudyInstanceUID
    copy_attributes(source, request, ("AccessionNumber",))
    copy_attributes(attributes, request, _REQUEST)
    for name in _REQUEST:
        if name not in request:
            setattr(request, name, DicomSequence() if name.endswith("Sequence") else "")
    return request


def _root(
    coverage: Coverage,
    origin: Origin,
    result: ExamResult | None,
    has_failed: bool,
    finding_code: FindingCode,
) -> Item:
    """TID 4000."""
    entries = {str(header.SOPInstanceUID): library_entry(header) for header in coverage.library}
    read = [entries[sop_uid] for sop_uid in entries if sop_uid in coverage.read]
    failed = [entries[sop_uid] for sop_uid in entries if sop_uid in coverage.failed]
    algorithm = Algorithm.of(origin.model, origin.operating_point, _notes(coverage, result))
    summary = _SUMMARIES[bool(read), bool(failed)]
    finding = FINDING_CODES[finding_code]
    detections = [
        *performed(codes.DETECTION_PERFORMED, finding, algorithm, codes.SUCCESSFUL_DETECTIONS, read),
        *performed(codes.DETECTION_PERFORMED, finding, algorithm, codes.FAILED_DETECTIONS, failed),
    ]
    overall = codes.OVERALL_ANALYSIS
    analyses = [
        *performed(codes.ANALYSIS_PERFORMED, overall, algorithm, codes.SUCCESSFUL_ANALYSES, read),
        *performed(codes.ANALYSIS_PERFORMED, overall, algorithm, codes.FAILED_ANALYSES, failed),
    ]
    if result is None:
        findings_summary = codes.NONE_SUCCEEDED
        impression = [
            text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, unread_impression(origin.reasons, has_failed))
        ]
        individual = []
    else:
        findings_summary = _FINDINGS_SUMMARIES[bool(failed), bool(result.findings)]
        words = exam_impression(result, finding_code, origin.reasons)
        impression = [
            text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, words),
            percent(HAS_PROPERTIES, codes.CERTAINTY_OF_IMPRESSION, result.scores.exam),
        ]
        individual = breast_impressions(result, finding_code, algorithm, entries)
    impression += algorithm.rows(HAS_PROPERTIES)
    language = code(
        HAS_CONCEPT_MODIFIER,
        codes.LANGUAGE,
        codes.ENGLISH,
        [code(HAS_CONCEPT_MODIFIER, codes.COUNTRY_OF_LANGUAGE, codes.UNITED_STATES)],
    )
    return container(
        "",
        codes.CAD_REPORT,
        [
            language,
            image_library(list(entries.values())),
            code(CONTAINS, codes.FINDINGS_SUMMARY, findings_summary, [*impression, *individual]),
            code(CONTAINS, codes.SUMMARY_OF_DETECTIONS, summary, detections),
            code(CONTAINS, codes.SUMMARY_OF_ANALYSES, summary, analyses),
        ],
    )


def _notes(coverage: Coverage, result: ExamResult | None) -> list[str]:
    """How images were prepared, and which came lossy compressed, for the algorithm's parameters."""
    if result is None:
        return []
    notes = [f"{view}: {note}" for view, some in sorted(result.notes.items()) for note in some]
    notes += [
        f"lossy compressed input {header.SOPInstanceUID}"
        for header in coverage.library
        if instance_of(header).lossy
    ]
    return notes
