"""Which row of a template an item is meant to be."""

from __future__ import annotations

from collections.abc import Sequence

from dibmg_node.dicom.sr.slots import Slot
from dibmg_node.dicom.sr.tree import Node, Tree
from dibmg_node.dicom.sr.value_sets import is_extensible

_UNNAMED = ("IMAGE", "COMPOSITE", "SCOORD")


def match(node: Node, slots: Sequence[Slot], parent: Node, tree: Tree) -> Slot | None:
    """The slot that an item is meant for; None where there is no such row.

    An item that is right in everything is taken before one that has the right name alone, and a slot
    whose conditions allow it here before one that they do not.
    """
    meant = tree.resolve(node)
    best: tuple[int, Slot] | None = None
    for slot in slots:
        points = _likeness(node, meant, slot)
        if points and slot.is_allowed(parent, tree):
            points += 1
        if points and (best is None or points > best[0]):
            best = (points, slot)
    return None if best is None else best[1]


def _likeness(node: Node, meant: Node | None, slot: Slot) -> int:
    """How well an item fits a slot; 0: it does not; only whole tens matter before the conditions do."""
    row = slot.row
    right_way = node.by_reference == row.by_reference or (node.by_reference and slot.loosely)
    right_relationship = node.relationship in (slot.relationship, row.disputed or slot.relationship)
    if meant is None or meant.by_reference:
        # a reference into nowhere can only be told by its relationship
        return 10 if row.by_reference and right_relationship else 0
    right_type = meant.value_type in row.value_types
    right = 40 * right_type + 20 * right_relationship + 20 * right_way
    nameless = not row.names and row.named_by is None and not row.any_name
    if row.any_name:
        return 60 if right == 80 else 0
    if nameless and node.by_reference and row.by_reference:
        # a reference is known by what it refers to, whatever that is called
        return 100 + right if right_type or right_relationship else 0
    if row.is_named(meant.concept) and (right_type or not nameless):
        return 100 + right
    if nameless and right_type and meant.value_type in _UNNAMED:
        return right
    extends = row.named_by is not None and is_extensible(row.named_by)
    return 10 if extends and right == 80 else 0
