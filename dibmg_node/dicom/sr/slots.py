"""The rows that children of an item may be, with templates unfolded where they are included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dibmg_node.dicom.sr.coverage_templates import COVERAGE_TEMPLATES
from dibmg_node.dicom.sr.finding_templates import FINDING_TEMPLATES
from dibmg_node.dicom.sr.property_templates import PROPERTY_TEMPLATES
from dibmg_node.dicom.sr.rows import ANY_NUMBER, Include, Requirement, Row, Template
from dibmg_node.dicom.sr.top_templates import TOP_TEMPLATES
from dibmg_node.dicom.sr.tree import Node, Tree

TEMPLATES: Final[Mapping[str, Template]] = {
    one.key: one for one in TOP_TEMPLATES + COVERAGE_TEMPLATES + FINDING_TEMPLATES + PROPERTY_TEMPLATES
}


@dataclass(frozen=True)
class Level:
    """Rows beside each other: a template's top rows, or the rows nested under one.

    Attributes:
        tid: Template that they are numbered in.
        includes: Includes that led here from the level of the parent's own rows, outermost first.
    """

    tid: str
    entries: tuple[Row | Include, ...]
    one_of: tuple[str, ...] = ()
    ordered: bool = True
    includes: tuple[Include, ...] = ()

    @property
    def relationship(self) -> str:
        """Relationship of rows that leave it open: the innermost include's that says one."""
        return next((one.relationship for one in reversed(self.includes) if one.relationship), "")


@dataclass(frozen=True)
class Slot:
    """A row at a place among its siblings.

    Attributes:
        label: Template and row in words.
        relationship: That the item must have.
        order: Place among the rows, by which siblings are ordered; within a template that is included
            several times, or whose order does not matter, none.
        full_order: The same with the rows of unordered templates.
        most: Items at most, all repetitions together.
        loosely: Whether a by-reference item is taken for it.
        includes: Includes that it came by, outermost first.
    """

    row: Row
    tid: str
    label: str
    relationship: str
    order: tuple[int, ...]
    full_order: tuple[int, ...]
    most: int
    loosely: bool
    includes: tuple[Include, ...]

    def is_allowed(self, parent: Node, tree: Tree) -> bool:
        """Whether the conditions of the row and of every include on the way to it allow it here."""
        entries: tuple[Row | Include, ...] = (*self.includes, self.row)
        return all(
            entry.when is None or entry.may_otherwise or entry.when.holds(parent, tree) for entry in entries
        )


def level_under(slot: Slot) -> Level:
    """Rows nested under a slot's row; they are numbered in the same template."""
    return Level(slot.tid, slot.row.children, slot.row.one_of)


def included(level: Level, entry: Include) -> Level:
    """Top rows of the template that an entry of a level includes."""
    template = TEMPLATES[entry.template]
    return Level(template.tid, template.rows, template.one_of, template.ordered, (*level.includes, entry))


def unfold(level: Level, prefix: Sequence[int] = (), full: Sequence[int] = ()) -> Iterator[Slot]:
    """Every slot of a level, in order.

    Args:
        level: Rows.
        prefix: Order of the level itself.
        full: The same, for the weaker order.
    """
    for place, entry in enumerate(level.entries):
        fixed = not level.includes or (level.ordered and level.includes[-1].most == 1)
        order = (*prefix, place) if fixed else tuple(prefix)
        further = (*full, place) if not level.includes or level.includes[-1].most == 1 else tuple(full)
        if isinstance(entry, Include):
            yield from unfold(included(level, entry), order, further)
            continue
        repeated = any(one.most > 1 for one in level.includes)
        yield Slot(
            entry,
            level.tid,
            label_of(level, entry.number),
            entry.relationship or level.relationship,
            order,
            further,
            ANY_NUMBER if repeated else entry.most,
            any(one.loosely for one in level.includes),
            level.includes,
        )


def label_of(level: Level, number: str) -> str:
    """A row in words."""
    return f"TID {level.tid} row {number}"


def is_required(entry: Row | Include, parent: Node, tree: Tree) -> bool:
    """Whether an entry must be there, by its requirement type and condition."""
    if entry.requirement is Requirement.MANDATORY:
        return True
    if entry.requirement is Requirement.CONDITIONAL:
        return entry.when is None or entry.when.holds(parent, tree)
    return False
