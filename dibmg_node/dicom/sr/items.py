"""What every content item of a Mammography CAD report must be, in whatever template it stands.

Source: PS3.3 C.17.3, C.18, A.35.5.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.header import texts_of
from dibmg_node.dicom.sr.complaints import Complaint, error, warning
from dibmg_node.dicom.sr.tree import Node, Tree, code_of, items_of, text_of
from dibmg_node.dicom.sr.values import POINTS, coded, graphic, image_reference, words
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_ACQUISITION_CONTEXT,
    HAS_CONCEPT_MODIFIER,
    HAS_OBSERVATION_CONTEXT,
    HAS_PROPERTIES,
    INFERRED_FROM,
    SELECTED_FROM,
)

BY_REFERENCE: Final = frozenset({HAS_PROPERTIES, INFERRED_FROM, SELECTED_FROM})
"""Relationships that may be by reference in this IOD."""
_ALLOWED: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    # relationship: (from, to); PS3.3 table A.35.5-2
    CONTAINS: (
        frozenset({"CONTAINER"}),
        frozenset({"CODE", "CONTAINER", "DATE", "IMAGE", "NUM", "SCOORD", "TEXT"}),
    ),
    HAS_OBSERVATION_CONTEXT: (
        frozenset({"CODE", "CONTAINER", "NUM", "TEXT"}),
        frozenset({"CODE", "COMPOSITE", "DATE", "NUM", "PNAME", "TEXT", "TIME", "UIDREF"}),
    ),
    HAS_CONCEPT_MODIFIER: (
        frozenset({"CODE", "COMPOSITE", "CONTAINER", "NUM"}),
        frozenset({"CODE", "TEXT"}),
    ),
    HAS_ACQUISITION_CONTEXT: (
        frozenset({"IMAGE"}),
        frozenset({"CODE", "DATE", "NUM", "TEXT", "TIME", "UIDREF"}),
    ),
    HAS_PROPERTIES: (
        frozenset({"CODE", "NUM", "TEXT"}),
        frozenset({"CODE", "CONTAINER", "DATE", "IMAGE", "NUM", "SCOORD", "TEXT", "UIDREF"}),
    ),
    INFERRED_FROM: (
        frozenset({"CODE", "NUM"}),
        frozenset({"CODE", "CONTAINER", "IMAGE", "NUM", "SCOORD", "TEXT"}),
    ),
    SELECTED_FROM: (frozenset({"SCOORD"}), frozenset({"IMAGE"})),
}
_NAMED: Final = frozenset({"CODE", "DATE", "NUM", "PNAME", "TEXT", "TIME", "UIDREF"})
_INVISIBLE: Final = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")


def check_items(tree: Tree) -> Iterator[Complaint]:
    """Complaints about items for themselves: value type, relationship, value, name, characters."""
    yield from _check_root(tree.root)
    for node in tree.root.walk():
        yield from _check_characters(node)
        for child in node.children:
            yield from _check_relationship(node, child, tree)
        if not node.by_reference:
            yield from _check_content(node)


def _check_root(root: Node) -> Iterator[Complaint]:
    rule = "PS3.3 C.17.3"
    if root.value_type != "CONTAINER":
        yield error(root, rule, f"a root of value type {root.value_type}", "CONTAINER")
    if root.relationship:
        yield error(root, rule, f"relationship {root.relationship} at the root", "none")
    templates = items_of(root.attributes, "ContentTemplateSequence")
    identifiers = [text_of(one, "TemplateIdentifier") for one in templates]
    if identifiers != ["4000"] or text_of(templates[0], "MappingResource") != "DCMR":
        found = f"template {', '.join(identifiers)}" if identifiers else "no Content Template Sequence"
        if identifiers == ["4000"]:
            found = f"mapping resource {text_of(templates[0], 'MappingResource') or 'missing'}"
        yield error(root, "PS3.3 C.18.8", found, "template 4000 of mapping resource DCMR")


def _check_relationship(parent: Node, child: Node, tree: Tree) -> Iterator[Complaint]:
    rule = "PS3.3 A.35.5.3.1.2"
    allowed = _ALLOWED.get(child.relationship)
    meant = tree.resolve(child)
    if allowed is None:
        found = f"relationship {child.relationship or 'missing'}"
        yield error(child, rule, found, f"one of {', '.join(sorted(_ALLOWED))}")
    elif child.by_reference and child.relationship not in BY_REFERENCE:
        yield error(child, rule, f"{child.relationship} by reference", "by value")
    elif meant is not None and not meant.by_reference:
        sources, targets = allowed
        if parent.value_type not in sources or meant.value_type not in targets:
            # TID 4007 has this pair; PS3.3 forbids it
            complaint = warning if (parent.value_type, child.relationship) == ("CODE", CONTAINS) else error
            found = f"{parent.value_type} {child.relationship} {meant.value_type}"
            yield complaint(child, rule, found, f"a pair of value types that {child.relationship} may join")


def _check_content(node: Node) -> Iterator[Complaint]:
    rule = "PS3.3 C.17.3.2"
    if node.value_type in _NAMED | {"CONTAINER"} and node.concept is None:
        yield error(node, rule, f"{node.value_type} without a concept name", "Concept Name Code Sequence")
    for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
        count = len(items_of(node.attributes, keyword))
        if count > 1:
            yield error(node, rule, f"{count} items in {keyword}", "one")
    for code in (node.concept, coded(node)):
        if code is not None and not (code.scheme and code.meaning):
            missing = "coding scheme" if not code.scheme else "meaning"
            yield error(node, "PS3.3 8.1", f"code {code.value} without its {missing}", "scheme and meaning")
    lacking = _lacking(node)
    if lacking:
        yield error(node, rule, f"{node.value_type} without {lacking}", lacking)
    if node.value_type == "SCOORD":
        yield from _check_graphic(node)


def _lacking(node: Node) -> str:
    """The attribute that the value of an item should be in, where it is not."""
    kind = node.value_type
    if kind == "CONTAINER":
        stated = text_of(node.attributes, "ContinuityOfContent") in ("SEPARATE", "CONTINUOUS")
        return "" if stated else "Continuity of Content"
    if kind == "CODE":
        return "" if coded(node) is not None else "Concept Code Sequence"
    if kind in ("TEXT", "DATE", "TIME", "UIDREF"):
        return "" if words(node) else "a value"
    if kind == "PNAME":
        return "" if text_of(node.attributes, "PersonName") else "a value"
    if kind == "NUM":
        return "" if "MeasuredValueSequence" in node.attributes else "Measured Value Sequence"
    if kind in ("IMAGE", "COMPOSITE"):
        reference = image_reference(node)
        whole = reference is not None and reference.sop_class_uid
        return "" if whole else "SOP class and instance UID in Referenced SOP Sequence"
    if kind == "SCOORD":
        return "" if graphic(node) is not None else "Graphic Type"
    return f"a value type of this IOD ({kind or 'none'} is not one)"


def _check_graphic(node: Node) -> Iterator[Complaint]:
    found, rule = graphic(node), "PS3.3 C.18.6.1.2"
    if found is None:
        return
    if found.kind not in POINTS:
        yield error(node, rule, f"graphic type {found.kind}", f"one of {', '.join(POINTS)}")
    elif not found.is_whole:
        least, most = POINTS[found.kind]
        expected = f"{least}" if most == least else f"at least {least}"
        found_points = f"{found.kind} of {len(found.points)} points"
        yield error(node, rule, found_points, f"{expected}, each a pair of finite numbers")


def _check_characters(node: Node) -> Iterator[Complaint]:
    """Invisible characters: the standard's own pages have them in code meanings as places to break a line."""
    for keyword, text in _texts(node.attributes):
        hits = [f"U+{ord(one):04X}" for one in _INVISIBLE if one in text]
        if hits:
            yield error(node, "PS3.5 6.1", f"{', '.join(hits)} in {keyword}", "characters that show")


def _texts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
        code = code_of(dataset, keyword)
        if code is not None:
            yield f"the meaning of {code.value}", code.meaning
    for measured in items_of(dataset, "MeasuredValueSequence")[:1]:
        unit = code_of(measured, "MeasurementUnitsCodeSequence")
        if unit is not None:
            yield f"the meaning of {unit.value}", unit.meaning
    for text in texts_of(dataset, "TextValue"):
        yield "Text Value", text
