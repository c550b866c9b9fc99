"""A Mammography CAD report of any vendor, understood as far as it can be.

Rows are taken wherever they stand, by value or by reference, in retired codes or today's; what is unknown
is passed over, or kept as a property of its finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.cad_content import Algorithm, CadContent, CadFinding, Intent, LibraryImage, Performed
from dibmg_node.dicom.sr.references import library_of
from dibmg_node.dicom.sr.shapes import image_uids, shapes_of
from dibmg_node.dicom.sr.tree import Node, Tree, read_tree, text_of
from dibmg_node.dicom.sr.value_sets import same
from dibmg_node.dicom.sr.values import coded, image_reference, quantity, words
from dibmg_node.domain.study import Laterality, View

_INTENTS: Final = (
    (codes.PRESENTATION_REQUIRED, Intent.REQUIRED),
    (codes.PRESENTATION_OPTIONAL, Intent.OPTIONAL),
    (Code("111152", "DCM", "Not for Presentation"), Intent.NOT),
)
_FEATURES: Final = (codes.SINGLE_IMAGE_FINDING, terms.COMPOSITE_FEATURE)
_CERTAINTIES: Final = (codes.CERTAINTY_OF_FINDING, terms.CERTAINTY_OF_FEATURE)
_OWN: Final = (
    # rows that have a field of their own
    codes.RENDERING_INTENT,
    *_CERTAINTIES,
    codes.PROBABILITY_OF_CANCER,
    codes.ALGORITHM_NAME,
    codes.ALGORITHM_VERSION,
    codes.ALGORITHM_MANUFACTURER,
    codes.ALGORITHM_PARAMETERS,
    codes.TRACKING_IDENTIFIER,
    codes.TRACKING_UNIQUE_IDENTIFIER,
    codes.IMPRESSION_DESCRIPTION,
    codes.CERTAINTY_OF_IMPRESSION,
    *_FEATURES,
)
_OPEN_TEXTS: Final = (codes.SELECTED_REGION_DESCRIPTION, terms.CALCULATION_DESCRIPTION)
"""Texts whose row says that they are about the finding; any other may be about the patient."""
_OUTCOMES: Final = (
    # heading: (of detections, succeeded)
    (codes.SUCCESSFUL_DETECTIONS, True, True),
    (codes.FAILED_DETECTIONS, True, False),
    (codes.SUCCESSFUL_ANALYSES, False, True),
    (codes.FAILED_ANALYSES, False, False),
)


def read_cad_content(report: Dataset) -> CadContent:
    """What a Mammography CAD report says.

    Args:
        report: A Mammography CAD SR of any vendor.

    Raises:
        ReportUnreadableError: Its content tree cannot be read.

    Source: TID 4000, PS3.16.
    """
    tree = read_tree(report)
    summary = _child(tree.root, codes.FINDINGS_SUMMARY)
    images = _images(tree)
    remarks: list[str] = []
    findings = tuple(
        _finding(node, tree, remarks)
        for node in tree.root.walk()
        if not node.by_reference and any(same(node.concept, one) for one in _FEATURES)
    )
    for finding in findings:
        for sop_uid in finding.sop_uids:
            images.setdefault(sop_uid, LibraryImage(0, sop_uid, ""))
    return CadContent(
        sop_uid=text_of(report, "SOPInstanceUID"),
        study_uid=text_of(report, "StudyInstanceUID"),
        manufacturer=text_of(report, "Manufacturer"),
        model=text_of(report, "ManufacturerModelName"),
        summary=_value(summary),
        detections=_value(_child(tree.root, codes.SUMMARY_OF_DETECTIONS)),
        analyses=_value(_child(tree.root, codes.SUMMARY_OF_ANALYSES)),
        impression=_text(summary, codes.IMPRESSION_DESCRIPTION),
        certainty=_number(summary, codes.CERTAINTY_OF_IMPRESSION),
        overall=() if summary is None else tuple(_properties(summary)),
        images=images,
        findings=findings,
        performed=tuple(_performed(tree, images)),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _finding(node: Node, tree: Tree, remarks: list[str]) -> CadFinding:
    composite = same(node.concept, terms.COMPOSITE_FEATURE)
    kind = _coded(node)
    if kind is None:
        remarks.append(f"{node.path}: a finding without a code")
    certainty = next((_number(node, one) for one in _CERTAINTIES if _child(node, one) is not None), None)
    return CadFinding(
        path=node.path,
        composite=composite,
        kind=kind or Code("", "", "unknown"),
        intent=_intent(node),
        certainty=certainty,
        probability=_number(node, codes.PROBABILITY_OF_CANCER),
        shapes=tuple(shapes_of(node, tree, remarks)),
        parts=tuple(_parts(node, tree, remarks)),
        algorithm=_algorithm(node),
        tracking_uid=_text(node, codes.TRACKING_UNIQUE_IDENTIFIER),
        properties=tuple(_properties(node)),
    )


def _parts(node: Node, tree: Tree, remarks: list[str]) -> Iterator[str]:
    """Places of the findings below, or referred to."""
    for child in node.children:
        meant = tree.resolve(child)
        if meant is None or (meant.by_reference and child.by_reference):
            remarks.append(f"{child.path}: a reference into nowhere")
        elif any(same(meant.concept, one) for one in _FEATURES):
            yield meant.path


def _intent(node: Node) -> Intent | None:
    stated = _value(_child(node, codes.RENDERING_INTENT))
    return next((intent for code, intent in _INTENTS if same(stated, code)), None)


def _algorithm(node: Node) -> Algorithm | None:
    name, version = _text(node, codes.ALGORITHM_NAME), _text(node, codes.ALGORITHM_VERSION)
    return Algorithm(name, version) if name or version else None


def _properties(node: Node) -> Iterator[tuple[str, str]]:
    """Name and value of each further CODE, NUM, and of texts that cannot be about the patient."""
    for child in node.children:
        if child.concept is None or any(same(child.concept, one) for one in _OWN):
            continue
        name = _clean(child.concept.meaning or child.concept.value)
        if child.value_type == "CODE":
            value = _coded(child)
            if value is not None:
                yield name, value.meaning or value.value
        elif child.value_type == "NUM":
            number = quantity(child)
            if number is not None:
                unit = "" if number.unit is None or number.unit.value == "1" else f" {number.unit.value}"
                yield name, f"{number.value:g}{unit}"
        elif child.value_type == "DATE":
            yield name, words(child)
        elif child.value_type == "TEXT" and any(same(child.concept, one) for one in _OPEN_TEXTS):
            yield name, _clean(words(child))


def _images(tree: Tree) -> dict[str, LibraryImage]:
    images: dict[str, LibraryImage] = {}
    for number, node in enumerate(library_of(tree), start=1):
        reference = image_reference(node)
        if reference is not None:
            images.setdefault(reference.sop_uid, _library_image(number, node))
    return images


def _library_image(number: int, node: Node) -> LibraryImage:
    reference = image_reference(node)
    assert reference is not None
    view_item = _child(node, codes.IMAGE_VIEW)
    view, side = _value(view_item), _value(_child(node, codes.IMAGE_LATERALITY))
    modifiers = () if view_item is None else view_item.children
    columns, rows = _number(node, codes.COLUMNS), _number(node, codes.ROWS)
    return LibraryImage(
        number=number,
        sop_uid=reference.sop_uid,
        sop_class_uid=reference.sop_class_uid,
        laterality=_lookup(facts.LATERALITY_BY_CODE, side),
        view=_view(view),
        modifiers=tuple(code.meaning for code in map(_coded, modifiers) if code is not None),
        size=(round(columns), round(rows)) if columns and rows else None,
    )


def _lookup(table: Mapping[str, Laterality], code: Code | None) -> Laterality | None:
    return None if code is None else table.get(code.value)


def _view(code: Code | None) -> View | None:
    return None if code is None else facts.VIEW_BY_CODE.get(code.value)


def _performed(tree: Tree, images: Mapping[str, LibraryImage]) -> Iterator[Performed]:
    for node in tree.root.walk():
        for heading, is_detection, succeeded in _OUTCOMES:
            if not same(node.concept, heading):
                continue
            for row in node.children:
                what = _coded(row)
                if what is not None:
                    yield Performed(
                        what, is_detection, succeeded, _algorithm(row), tuple(image_uids(row, tree))
                    )


def _child(node: Node | None, concept: Code) -> Node | None:
    if node is None:
        return None
    return next((one for one in node.children if same(one.concept, concept)), None)


def _value(node: Node | None) -> Code | None:
    return None if node is None else _coded(node)


def _coded(node: Node) -> Code | None:
    """An item's code; the standard's pages have invisible characters in some meanings."""
    code = coded(node)
    return None if code is None else code._replace(meaning=_clean(code.meaning))


def _number(node: Node | None, concept: Code) -> float | None:
    child = _child(node, concept)
    number = None if child is None else quantity(child)
    return None if number is None else number.value


def _text(node: Node | None, concept: Code) -> str:
    """Text or coded meaning of a child."""
    child = _child(node, concept)
    if child is None:
        return ""
    value = _coded(child)
    return words(child) if value is None else value.meaning


def _clean(text: str) -> str:
    return text.replace("\u200b", "")
