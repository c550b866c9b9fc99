"""A Mammography CAD report checked against the standard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pydicom.dataset import Dataset

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.complaints import Complaint, Severity, shown
from dibmg_node.dicom.sr.conformance import check_templates
from dibmg_node.dicom.sr.consistency import check_consistency
from dibmg_node.dicom.sr.document import check_document
from dibmg_node.dicom.sr.items import check_items
from dibmg_node.dicom.sr.references import check_references
from dibmg_node.dicom.sr.tree import Tree, code_of, items_of, read_tree
from dibmg_node.dicom.sr.value_sets import is_retired


def check_report(report: Dataset) -> list[Complaint]:
    """Everything that departs from the Mammography CAD SR IOD and TID 4000, in the order of the document.

    Args:
        report: A Mammography CAD SR.

    Raises:
        ReportUnreadableError: Its content cannot be read at all.

    Source: PS3.3 A.35.5; TID 4000, PS3.16.
    """
    tree = read_tree(report)
    complaints = [
        *check_document(report, tree),
        *check_items(tree),
        *check_references(tree),
        *check_templates(tree),
        *check_consistency(tree),
        *_retired_codes(tree),
    ]
    return sorted(dict.fromkeys(complaints), key=_place)


def errors_of(complaints: list[Complaint]) -> list[Complaint]:
    """Those that make the report wrong."""
    return [one for one in complaints if one.severity is Severity.ERROR]


def _place(complaint: Complaint) -> tuple[int, ...]:
    return tuple(int(one) for one in complaint.path.split(".")) if complaint.path else ()


def _retired_codes(tree: Tree) -> Iterator[Complaint]:
    """One warning for each retired code, at its first place: old reports consist of them."""
    places: dict[Code, list[str]] = defaultdict(list)
    for node in tree.root.walk():
        dataset = node.attributes
        for code in (node.concept, code_of(dataset, "ConceptCodeSequence")):
            if code is not None and is_retired(code):
                places[code].append(node.path)
        for measured in items_of(dataset, "MeasuredValueSequence")[:1]:
            unit = code_of(measured, "MeasurementUnitsCodeSequence")
            if unit is not None and is_retired(unit):
                places[unit].append(node.path)
    for code, paths in places.items():
        found = shown(code) + (f", in {len(paths)} items" if len(paths) > 1 else "")
        expected = "a code of the scheme SCT; SRT is retired"
        yield Complaint(Severity.WARNING, paths[0], "PS3.16 chapter 8", found, expected)
