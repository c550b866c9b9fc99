"""The Mammography CAD report of one study, by TID 4000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.algorithm import Algorithm, preparation_notes
from dibmg_node.dicom.cad_coverage import Coverage, find_coverage
from dibmg_node.dicom.cad_findings import FINDING_CODES, breast_impressions, performed
from dibmg_node.dicom.cad_impression import exam_impression, reasons, unread_impression
from dibmg_node.dicom.cad_library import image_library, library_entry
from dibmg_node.dicom.identity import Origin, result_uid
from dibmg_node.dicom.result_header import result_header
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_PROPERTIES,
    Item,
    code,
    container,
    content,
    percent,
    text,
)
from dibmg_node.dicom.sr_document import describe_document, language
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
    if origin.model is None and predecessors:
        # nobody's weights give it a series of its own: it stands beside what it takes the place of
        report.SeriesInstanceUID = predecessors[-1].series_uid
    describe_document(report, coverage.library, predecessors)
    report.update(content(_root(coverage, origin, result, bool(failure), finding_code)))
    return report


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
    notes = [] if result is None else preparation_notes(coverage.library, result)
    algorithm = Algorithm.of(origin.model, origin.operating_point, notes)
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
        # TID 4006 row 7 forbids it for a Selected region
        named = finding_code is FindingCode.DENSITY
        words = exam_impression(result, finding_code, origin.reasons, has_probabilities=named)
        impression = [
            text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, words),
            percent(HAS_PROPERTIES, codes.CERTAINTY_OF_IMPRESSION, result.scores.exam),
        ]
        individual = breast_impressions(result, finding_code, algorithm, entries)
    impression += algorithm.rows(HAS_PROPERTIES)
    return container(
        "",
        codes.CAD_REPORT,
        [
            language(),
            image_library(list(entries.values())),
            code(CONTAINS, codes.FINDINGS_SUMMARY, findings_summary, [*impression, *individual]),
            code(CONTAINS, codes.SUMMARY_OF_DETECTIONS, summary, detections),
            code(CONTAINS, codes.SUMMARY_OF_ANALYSES, summary, analyses),
        ],
        "4000",
    )
