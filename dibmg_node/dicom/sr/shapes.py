"""Places on images: which shapes an item has, and which images it names, by value or by reference."""

from __future__ import annotations

from collections.abc import Iterator

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.cad_content import Shape
from dibmg_node.dicom.sr.tree import Node, Tree
from dibmg_node.dicom.sr.value_sets import same
from dibmg_node.dicom.sr.values import POINTS, graphic, image_reference

_FEATURES = (codes.SINGLE_IMAGE_FINDING, terms.COMPOSITE_FEATURE)
_NAMES: tuple[tuple[Code, str], ...] = (
    (codes.CENTER, "Center"),
    (codes.OUTLINE, "Outline"),
    (terms.BREAST_OUTLINE, "Breast outline"),
    (terms.PECTORAL_OUTLINE, "Pectoral outline"),
    (terms.IMAGE_REGION, "Image region"),
)


def shapes_of(node: Node, tree: Tree, remarks: list[str]) -> Iterator[Shape]:
    """Shapes of a finding, those of its measurements too; not those of the findings that it is made of.

    Args:
        node: The finding.
        tree: That it stands in.
        remarks: Gets a line for each shape that cannot be used.
    """
    for child in node.children:
        if any(same(child.concept, one) for one in _FEATURES):
            continue
        meant = tree.resolve(child)
        if meant is None or (child.by_reference and meant.value_type != "SCOORD"):
            continue
        if meant.value_type == "SCOORD":
            shape = _shape(meant, tree, remarks)
            if shape is not None:
                yield shape
        elif not child.by_reference:
            yield from shapes_of(child, tree, remarks)


def image_uids(node: Node, tree: Tree) -> Iterator[str]:
    """SOP Instance UIDs of the images among an item's children, and of those that its regions lie on."""
    for child in node.children:
        meant = tree.resolve(child)
        if meant is None:
            continue
        # no farther than from a region to its image: references may go round in circles
        sources = map(tree.resolve, meant.children) if meant.value_type == "SCOORD" else (meant,)
        for source in sources:
            reference = None if source is None else image_reference(source)
            if reference is not None:
                yield reference.sop_uid


def _shape(node: Node, tree: Tree, remarks: list[str]) -> Shape | None:
    found = graphic(node)
    if found is None or found.kind not in POINTS:
        remarks.append(f"{node.path}: no graphic type that is known")
        return None
    if not found.is_whole:
        remarks.append(f"{node.path}: {found.kind} of {len(found.points)} points")
        return None
    sop_uid = next(image_uids(node, tree), "")
    if not sop_uid:
        remarks.append(f"{node.path}: it is not said on which image")
    name = next((words for code, words in _NAMES if same(node.concept, code)), "")
    if not name:
        name = "" if node.concept is None else node.concept.meaning
    return Shape(name, found.kind, found.points, sop_uid)
