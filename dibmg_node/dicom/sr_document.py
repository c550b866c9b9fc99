"""What every structured report of the node says of itself as a document, whatever its template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes
from dibmg_node.dicom.cad_library import evidence, referenced_instances
from dibmg_node.dicom.result_header import copy_attributes
from dibmg_node.dicom.sr_content import HAS_CONCEPT_MODIFIER, Item, code
from dibmg_node.domain.result import Predecessor

_REQUEST: Final = (
    "AccessionNumber",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
    "ReferencedStudySequence",
    "RequestedProcedureCodeSequence",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
)


def describe_document(
    report: Dataset, images: Sequence[FileDataset], predecessors: Iterable[Predecessor]
) -> None:
    """Set the attributes of SR Document Series and SR Document General.

    Args:
        report: Has its Study and SOP Instance UID.
        images: Headers of all images that the report speaks of; requests are those of the first.
        predecessors: Reports that this one replaces; one that is this report itself is left out.

    Source: PS3.3 C.17.1, C.17.2.
    """
    report.Modality = "SR"
    report.InstanceNumber = "1"
    report.ReferencedPerformedProcedureStepSequence = DicomSequence()
    report.PerformedProcedureCodeSequence = DicomSequence()
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "FINAL"
    report.CurrentRequestedProcedureEvidenceSequence = evidence(images)
    earlier = [
        (str(report.StudyInstanceUID), one.series_uid, one.sop_class_uid, one.sop_uid)
        for one in predecessors
        if one.sop_uid != report.SOPInstanceUID
    ]
    if earlier:
        report.PredecessorDocumentsSequence = referenced_instances(earlier)
    requests = [_request(item, images[0]) for item in images[0].get("RequestAttributesSequence") or []]
    if requests:
        report.ReferencedRequestSequence = DicomSequence(requests)


def document_reference(study_uid: str, predecessor: Predecessor) -> DicomSequence:
    """The one item of Predecessor Documents Sequence. Source: PS3.3 C.17.2."""
    return referenced_instances(
        [(study_uid, predecessor.series_uid, predecessor.sop_class_uid, predecessor.sop_uid)]
    )


def language() -> Item:
    """The language of a report. Source: TID 1204, PS3.16."""
    return code(
        HAS_CONCEPT_MODIFIER,
        codes.LANGUAGE,
        codes.ENGLISH,
        [code(HAS_CONCEPT_MODIFIER, codes.COUNTRY_OF_LANGUAGE, codes.UNITED_STATES)],
    )


def _request(attributes: Dataset, source: FileDataset) -> Dataset:
    """One request that the images fulfill, from their Request Attributes Sequence. Source: PS3.3 C.17.2."""
    request = Dataset()
    request.StudyInstanceUID = source.StudyInstanceUID
    copy_attributes(source, request, ("AccessionNumber",))
    # its words may need another character set than the image's
    copy_attributes(attributes, request, ("SpecificCharacterSet", *_REQUEST))
    for name in _REQUEST:
        if name not in request:
            setattr(request, name, DicomSequence() if name.endswith("Sequence") else "")
    return request
