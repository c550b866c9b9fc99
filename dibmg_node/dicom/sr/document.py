"""The attributes of a Mammography CAD report outside of its content tree, and its evidence.

Source: PS3.3 A.35.5, C.17.1, C.17.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.sr.complaints import Complaint, Severity, error
from dibmg_node.dicom.sr.tree import Tree, items_of, text_of
from dibmg_node.dicom.sr.values import image_reference

_EVIDENCE: Final = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
_WANTED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    # attributes that must have a value: paragraph, and the values allowed where they are few
    "SOPClassUID": ("PS3.3 C.12.1", (facts.MAMMOGRAPHY_CAD_SR,)),
    "SOPInstanceUID": ("PS3.3 C.12.1", ()),
    "StudyInstanceUID": ("PS3.3 C.7.2.1", ()),
    "SeriesInstanceUID": ("PS3.3 C.17.1", ()),
    "SeriesNumber": ("PS3.3 C.17.1", ()),
    "Modality": ("PS3.3 C.17.1", ("SR",)),
    "InstanceNumber": ("PS3.3 C.17.2", ()),
    "CompletionFlag": ("PS3.3 C.17.2", ("PARTIAL", "COMPLETE")),
    "VerificationFlag": ("PS3.3 C.17.2", ("UNVERIFIED", "VERIFIED")),
    "ContentDate": ("PS3.3 C.17.2", ()),
    "ContentTime": ("PS3.3 C.17.2", ()),
}


def check_document(report: Dataset, tree: Tree) -> Iterator[Complaint]:
    """Complaints about attributes, and about instances that the evidence does not list."""
    for keyword, (rule, values) in _WANTED.items():
        found = text_of(report, keyword)
        if not found or (values and found not in values):
            expected = " or ".join(values) or "a value"
            yield _complaint(rule, f"{keyword} {found or 'missing'}", expected)
    if text_of(report, "VerificationFlag") == "VERIFIED" and not items_of(
        report, "VerifyingObserverSequence"
    ):
        yield _complaint("PS3.3 C.17.2", "VERIFIED without an observer", "Verifying Observer Sequence")
    yield from _check_evidence(report, tree)


def _check_evidence(report: Dataset, tree: Tree) -> Iterator[Complaint]:
    rule = "PS3.3 C.17.2.3"
    listed: dict[str, str] = {}
    for keyword in _EVIDENCE:
        for study in items_of(report, keyword):
            if not text_of(study, "StudyInstanceUID"):
                yield _complaint(rule, f"a study without its UID in {keyword}", "Study Instance UID")
            for series in items_of(study, "ReferencedSeriesSequence"):
                if not text_of(series, "SeriesInstanceUID"):
                    yield _complaint(rule, f"a series without its UID in {keyword}", "Series Instance UID")
                for one in items_of(series, "ReferencedSOPSequence"):
                    sop_uid = text_of(one, "ReferencedSOPInstanceUID")
                    listed[sop_uid] = text_of(one, "ReferencedSOPClassUID")
    for node in tree.root.walk():
        reference = image_reference(node) if node.value_type in ("IMAGE", "COMPOSITE") else None
        if reference is None:
            continue
        if reference.sop_uid not in listed:
            yield error(
                node, rule, f"instance {reference.sop_uid}, which no evidence lists", "it in the evidence"
            )
        elif listed[reference.sop_uid] != reference.sop_class_uid:
            found = f"SOP class {reference.sop_class_uid}"
            yield error(
                node, rule, found, f"{listed[reference.sop_uid] or 'a class'}, as the evidence has it"
            )


def _complaint(rule: str, found: str, expected: str) -> Complaint:
    return Complaint(Severity.ERROR, "", rule, found, expected)
