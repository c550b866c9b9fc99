"""A content tree held against TID 4000 and the templates that it includes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from dibmg_node.dicom.sr.complaints import Complaint, error, told, warning
from dibmg_node.dicom.sr.matching import match
from dibmg_node.dicom.sr.row_values import check_value
from dibmg_node.dicom.sr.rows import Include, Requirement, Row, written
from dibmg_node.dicom.sr.slots import (
    TEMPLATES,
    Level,
    Slot,
    included,
    is_required,
    label_of,
    level_under,
    unfold,
)
from dibmg_node.dicom.sr.tree import Node, Tree

Filled = Mapping[str, Sequence[Node]]


def check_templates(tree: Tree) -> Iterator[Complaint]:
    """Complaints about rows: presence, order, multiplicity, relationships, values.

    Source: TID 4000 and what it includes, PS3.16.
    """
    root = TEMPLATES["4000"]
    (slot,) = unfold(Level(root.tid, root.rows))
    if not slot.row.is_named(tree.root.concept):
        yield error(tree.root, slot.label, told(tree.root), _row_in_words(slot.row))
    yield from _check_under(tree.root, slot, tree)


def _check_under(parent: Node, slot: Slot, tree: Tree) -> Iterator[Complaint]:
    if slot.row.open:
        return
    level = level_under(slot)
    slots = list(unfold(level))
    filled: dict[int, list[Node]] = defaultdict(list)
    placed: list[tuple[Node, Slot]] = []
    for child in parent.children:
        found = match(child, slots, parent, tree)
        if found is None:
            expected = f"a row under {slot.label}; the template is not extensible"
            yield error(child, slot.label, told(child), expected)
            continue
        filled[id(found)].append(child)
        placed.append((child, found))
    by_slot = {_key(one): filled[id(one)] for one in slots}
    yield from _check_presence(parent, level, by_slot, tree)
    for one in slots:
        if len(by_slot[_key(one)]) > one.most:
            extra = by_slot[_key(one)][one.most]
            count = len(by_slot[_key(one)])
            yield error(extra, one.label, f"{count} x {told(extra)}", f"at most {one.most}")
    yield from _check_order(placed)
    for child, one in placed:
        yield from _check_item(child, one, parent, tree)


def _key(slot: Slot) -> str:
    """Name of a slot that is its own among its siblings: the same template may be included twice."""
    way = "/".join(f"{one.number}>{one.template}" for one in slot.includes)
    return f"{way}/{slot.tid} {slot.row.number}"


def _level_key(level: Level, number: str) -> str:
    way = "/".join(f"{one.number}>{one.template}" for one in level.includes)
    return f"{way}/{level.tid} {number}"


def _entry_nodes(level: Level, entry: Row | Include, filled: Filled) -> list[Node]:
    """Items that stand for a row, or for any row of an included template."""
    if isinstance(entry, Row):
        return list(filled[_level_key(level, entry.number)])
    inner = included(level, entry)
    return [node for one in inner.entries for node in _entry_nodes(inner, one, filled)]


def _check_presence(parent: Node, level: Level, filled: Filled, tree: Tree) -> Iterator[Complaint]:
    """Complaints about rows that are missing, or there without their condition."""
    numbers = {entry.number: entry for entry in level.entries}
    if level.one_of and not any(_entry_nodes(level, numbers[one], filled) for one in level.one_of):
        rows = ", ".join(level.one_of)
        yield error(parent, f"TID {level.tid} rows {rows}", "none of them", "at least one of them")
    for entry in level.entries:
        label = label_of(level, entry.number)
        nodes = _entry_nodes(level, entry, filled)
        if not nodes:
            if is_required(entry, parent, tree):
                yield error(parent, _deepest(level, entry), "nothing", _in_words(level, entry))
            continue
        if not _may_be_there(entry, parent, tree):
            yield error(nodes[0], label, told(nodes[0]), f"nothing, unless {entry.when}")
        if isinstance(entry, Include):
            inner = included(level, entry)
            yield from _check_presence(parent, inner, filled, tree)
            if entry.most > 1:
                yield from _check_repetitions(parent, inner, filled)


def _may_be_there(entry: Row | Include, parent: Node, tree: Tree) -> bool:
    conditional = entry.requirement in (Requirement.CONDITIONAL, Requirement.USER_CONDITIONAL)
    if not conditional or entry.may_otherwise or entry.when is None:
        return True
    return entry.when.holds(parent, tree)


def _check_repetitions(parent: Node, level: Level, filled: Filled) -> Iterator[Complaint]:
    """A template that is included several times has each of its mandatory rows as often as its first."""
    rows = [one for one in level.entries if isinstance(one, Row) and one.requirement is Requirement.MANDATORY]
    counts = {one.number: len(_entry_nodes(level, one, filled)) for one in rows}
    most = max(counts.values(), default=0)
    for one in rows:
        if 0 < counts[one.number] < most:
            found = f"{counts[one.number]} x {_row_in_words(one)}"
            yield error(parent, label_of(level, one.number), found, f"{most}, one for each repetition")


def _deepest(level: Level, entry: Row | Include) -> str:
    """The row that is missing: that of the caller, and the first of the template that it includes."""
    label = label_of(level, entry.number)
    return label if isinstance(entry, Row) else f"{label} (TID {TEMPLATES[entry.template].tid})"


def _in_words(level: Level, entry: Row | Include) -> str:
    if isinstance(entry, Row):
        return _row_in_words(entry)
    inner = included(level, entry)
    return " or ".join(
        _in_words(inner, one)
        for one in inner.entries
        if one.requirement is Requirement.MANDATORY or one.number in inner.one_of or len(inner.entries) == 1
    ) or " or ".join(_in_words(inner, one) for one in inner.entries)


def _row_in_words(row: Row) -> str:
    name = " or ".join(map(written, row.names))
    if row.named_by is not None:
        name = f"of CID {row.named_by}"
    return f"{'/'.join(row.value_types)} {name}".strip() + (" by reference" if row.by_reference else "")


def _check_order(placed: Sequence[tuple[Node, Slot]]) -> Iterator[Complaint]:
    """Complaints about siblings that stand behind a row that they should stand before."""
    last: Slot | None = None
    for child, slot in placed:
        if last is None or not _before(slot.full_order, last.full_order):
            last = slot
            continue
        complaint = error if _before(slot.order, last.order) else warning
        yield complaint(child, slot.label, f"it behind {last.label}", "rows in the order of the template")


def _before(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    common = min(len(one), len(other))
    return one[:common] < other[:common]


def _check_item(node: Node, slot: Slot, parent: Node, tree: Tree) -> Iterator[Complaint]:
    row = slot.row
    if node.relationship == row.disputed and row.disputed and row.disputed != slot.relationship:
        yield warning(
            node, slot.label, node.relationship, f"{slot.relationship}: the standard disagrees with itself"
        )
    elif node.relationship != slot.relationship:
        yield error(node, slot.label, node.relationship or "no relationship", slot.relationship)
    if node.by_reference:
        yield from _check_reference(node, slot, tree)
        return
    if row.by_reference:
        yield error(node, slot.label, "an item by value", "a reference to one that stands elsewhere")
    if node.value_type not in row.value_types:
        yield error(node, slot.label, node.value_type or "no value type", " or ".join(row.value_types))
    if not row.is_named(node.concept):
        expected = "no concept name" if not row.names and row.named_by is None else _row_in_words(row)
        complaint = warning if row.named_by is not None else error
        yield complaint(node, slot.label, told(node), expected)
    else:
        yield from check_value(node, slot)
    yield from _check_under(node, slot, tree)


def _check_reference(node: Node, slot: Slot, tree: Tree) -> Iterator[Complaint]:
    target = tree.resolve(node)
    row = slot.row
    if not row.by_reference:
        complaint = warning if slot.loosely else error
        yield complaint(node, slot.label, "an item by reference", "one by value")
    if target is None or target.by_reference:
        return  # told by the check of references
    if target.value_type not in row.value_types:
        expected = f"a reference to {' or '.join(row.value_types)}"
        yield error(node, slot.label, f"a reference to {told(target)} at {target.path}", expected)
    elif row.names and not row.is_named(target.concept):
        yield error(node, slot.label, f"a reference to {told(target)}", _row_in_words(row))
