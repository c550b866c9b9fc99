"""Items that refer to others, and the images of the library.

Source: PS3.3 C.17.3.2.5; TID 4017, 4018, 4020, 4021, PS3.16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.sr.complaints import Complaint, error, warning
from dibmg_node.dicom.sr.tree import Node, Tree, path_of
from dibmg_node.dicom.sr.value_sets import same
from dibmg_node.dicom.sr.values import graphic, image_reference, quantity

_RULE: Final = "PS3.3 C.17.3.2.5"


def check_references(tree: Tree) -> Iterator[Complaint]:
    """Complaints about targets that are not there, not allowed, or not in the image library."""
    library = library_of(tree)
    for node in tree.root.walk():
        if node.by_reference:
            yield from _check_target(node, tree, library)
    yield from _check_library(library)
    yield from _check_places(tree)


def library_of(tree: Tree) -> list[Node]:
    """Images of the image library."""
    return [
        image
        for child in tree.root.children
        if same(child.concept, codes.IMAGE_LIBRARY)
        for image in child.children
        if image.value_type == "IMAGE"
    ]


def _check_target(node: Node, tree: Tree, library: list[Node]) -> Iterator[Complaint]:
    target = tree.nodes.get(node.target)
    place = path_of(node.target)
    if node.value_type or node.concept is not None or node.children:
        yield error(
            node, _RULE, "a reference with a value, name or children of its own", "the reference alone"
        )
    if target is None:
        yield error(node, _RULE, f"a reference to {place}, where there is no item", "an item of the tree")
    elif target is node:
        yield error(node, _RULE, "a reference to itself", "another item")
    elif node.position[: len(target.position)] == target.position:
        yield error(node, _RULE, f"a reference to {place}, that it stands in", "no ancestor: it makes a loop")
    elif target.by_reference:
        yield error(node, _RULE, f"a reference to {place}, itself a reference", "an item with a value")
    elif target.value_type == "IMAGE" and target not in library:
        yield error(node, "TID 4020", f"a reference to an image at {place}", "an image of the image library")


def _check_library(library: list[Node]) -> Iterator[Complaint]:
    seen: dict[str, Node] = {}
    for image in library:
        reference = image_reference(image)
        if reference is None:
            continue
        first = seen.setdefault(reference.sop_uid, image)
        if first is not image:
            yield warning(image, "TID 4020", f"the image of {first.path} again", "each image once")


def _check_places(tree: Tree) -> Iterator[Complaint]:
    """Points that lie off their image, where the library says how large that is."""
    for node in tree.root.walk():
        shape = graphic(node) if node.value_type == "SCOORD" else None
        if shape is None or shape.kind in ("CIRCLE", "ELLIPSE"):
            continue
        images = [tree.resolve(child) for child in node.children if child.relationship == "SELECTED FROM"]
        for image in images[:1]:
            size = _size(image)
            if size is None:
                continue
            columns, rows = size
            off = [one for one in shape.points if not (0 <= one[0] <= columns and 0 <= one[1] <= rows)]
            if off:
                found = f"point ({off[0][0]:g}, {off[0][1]:g})"
                yield error(
                    node, "PS3.3 C.18.6.1", found, f"a point on the image, {columns:g} x {rows:g} pixels"
                )


def _size(image: Node | None) -> tuple[float, float] | None:
    """(columns, rows) of an image by its library entry."""
    found: dict[str, float] = defaultdict(float)
    for child in () if image is None else image.children:
        for name, concept in (("columns", codes.COLUMNS), ("rows", codes.ROWS)):
            number = quantity(child) if same(child.concept, concept) else None
            if number is not None:
                found[name] = number.value
    size = found["columns"], found["rows"]
    return size if all(size) else None
