"""What an item holds against what its row wants."""

from __future__ import annotations

from collections.abc import Iterator

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.complaints import Complaint, error, shown, warning
from dibmg_node.dicom.sr.rows import written
from dibmg_node.dicom.sr.slots import Slot
from dibmg_node.dicom.sr.tree import Node
from dibmg_node.dicom.sr.value_sets import is_extensible, is_member, same
from dibmg_node.dicom.sr.values import coded, graphic, quantity

_SCHEMES = ("DCM", "SCT", "SRT", "SNM3", "99SDM", "UCUM", "BI")


def check_value(node: Node, slot: Slot) -> Iterator[Complaint]:
    """Complaints about the value of an item that stands for a row."""
    row = slot.row
    if row.value_set is not None and node.value_type == "CODE":
        value = coded(node)
        if value is not None:
            yield from _member(node, slot.label, "value", value, row.value_set)
    if node.value_type == "NUM":
        yield from _number(node, slot)
    if node.value_type == "SCOORD" and row.graphics:
        found = graphic(node)
        if found is not None and found.kind not in row.graphics:
            yield error(node, slot.label, f"graphic type {found.kind}", " or ".join(row.graphics))
    if same(node.concept, codes.OUTLINE):
        yield from _outline(node, slot.label)
    if same(node.concept, terms.COMPOSITE_FEATURE):
        yield from _asymmetry(node)


def _number(node: Node, slot: Slot) -> Iterator[Complaint]:
    found = quantity(node)
    if found is None:
        yield error(node, slot.label, "no number", "a finite number")
        return
    unit, row = found.unit, slot.row
    if unit is None:
        yield error(node, slot.label, "no unit", "a unit")
    elif row.units and not any(same(unit, one) for one in row.units):
        yield error(node, slot.label, f"unit {written(unit)}", " or ".join(written(one) for one in row.units))
    elif row.unit_set is not None:
        yield from _member(node, slot.label, "unit", unit, row.unit_set)
    if row.units == (codes.PERCENT,) and not 0.0 <= found.value <= 100.0:
        yield error(node, slot.label, f"{found.value:g}", "0 to 100 percent")


def _member(node: Node, rule: str, what: str, code: Code, cid: int) -> Iterator[Complaint]:
    if is_member(cid, code):
        return
    complaint = warning if is_extensible(cid) else error
    kind = "extensible" if is_extensible(cid) else "not extensible"
    if is_extensible(cid) and code.scheme not in _SCHEMES:
        # a private code is how such a group is extended
        return
    yield complaint(node, rule, f"{what} {shown(code)}", f"a code of CID {cid}, which is {kind}")


def _outline(node: Node, rule: str) -> Iterator[Complaint]:
    found = graphic(node)
    if found is not None and found.kind == "POLYLINE" and found.points[:1] != found.points[-1:]:
        yield warning(node, rule, "an open polyline", "an outline whose last point is its first")


def _asymmetry(node: Node) -> Iterator[Complaint]:
    """TID 4005 row 1: an asymmetry is one between the breasts."""
    if not any(same(coded(node), one) for one in terms.ASYMMETRIES):
        return
    for child in node.children:
        if same(child.concept, terms.COMPOSITE_TYPE) and not same(coded(child), terms.CONTRALATERAL):
            yield error(child, "TID 4005 row 1", shown(coded(child)), written(terms.CONTRALATERAL))
