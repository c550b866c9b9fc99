"""What a row of a template may say, as data: Source: PS3.16 chapter 6."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.tree import Node, Tree
from dibmg_node.dicom.sr.value_sets import is_member, same
from dibmg_node.dicom.sr.values import coded

ANY_NUMBER: Final = 1_000_000
"""VM 1-n."""


class Requirement(StrEnum):
    """Requirement type of a row. Source: PS3.16 6.1.8."""

    MANDATORY = "M"
    CONDITIONAL = "MC"
    USER = "U"
    USER_CONDITIONAL = "UC"


class Condition(Protocol):
    """When a conditional row is required (MC) or allowed (UC)."""

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Whether it holds under the item that the row's items are children of."""
        ...


@dataclass(frozen=True)
class ParentIs:
    """The parent's value is one of these codes."""

    values: tuple[Code, ...]

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Compare the parent's value."""
        value = coded(parent)
        return any(same(value, one) for one in self.values)

    def __str__(self) -> str:
        return f"the parent is {_either(self.values)}"


@dataclass(frozen=True)
class ParentIsNot:
    """The parent's value is none of these codes."""

    values: tuple[Code, ...]

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Compare the parent's value."""
        return not ParentIs(self.values).holds(parent, tree)

    def __str__(self) -> str:
        return f"the parent is not {_either(self.values)}"


@dataclass(frozen=True)
class Beside:
    """One of these concepts stands beside the row's items."""

    concepts: tuple[Code, ...]

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Look through the children of the same parent."""
        return any(same(child.concept, one) for child in parent.children for one in self.concepts)

    def __str__(self) -> str:
        return f"{_either(self.concepts)} stands beside it"


@dataclass(frozen=True)
class NotBeside:
    """None of these concepts stands beside the row's items."""

    concepts: tuple[Code, ...]

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Look through the children of the same parent."""
        return not Beside(self.concepts).holds(parent, tree)

    def __str__(self) -> str:
        return f"{_either(self.concepts)} does not stand beside it"


@dataclass(frozen=True)
class InTree:
    """A concept stands anywhere in the report, and the parent has a value."""

    concept: Code
    parent_value: Code

    def holds(self, parent: Node, tree: Tree) -> bool:
        """Look through the whole tree."""
        return same(coded(parent), self.parent_value) and any(
            same(node.concept, self.concept) for node in tree.nodes.values()
        )

    def __str__(self) -> str:
        return f"the parent is {_either((self.parent_value,))} and {_either((self.concept,))} is given"


@dataclass(frozen=True)
class Row:
    """One row of a template, with the rows nested under it.

    Attributes:
        number: In its template.
        relationship: To its parent; empty where the including template says it.
        value_types: One that it may have.
        names: Concept names, any of them; empty with `named_by` None for an item without a name.
        named_by: Context group of the concept name.
        any_name: The concept name is free.
        requirement: Whether it must be there.
        most: Items at most.
        by_reference: Whether the item must refer to another, by its place.
        when: Condition of MC and UC.
        may_otherwise: Whether it may be there though the condition does not hold.
        value_set: Context group of a CODE's value.
        units: Units of a NUM.
        unit_set: Context group of the units.
        graphics: Graphic types of an SCOORD.
        disputed: A relationship that the standard has in one place and forbids in another.
        children: Rows and templates under it, in order.
        one_of: Numbers of children, of which one at least must be there.
        open: Whether its children are not constrained.
    """

    number: str
    relationship: str
    value_types: tuple[str, ...]
    names: tuple[Code, ...] = ()
    requirement: Requirement = Requirement.MANDATORY
    named_by: int | None = None
    any_name: bool = False
    most: int = 1
    by_reference: bool = False
    when: Condition | None = None
    may_otherwise: bool = False
    value_set: int | None = None
    units: tuple[Code, ...] = ()
    unit_set: int | None = None
    graphics: tuple[str, ...] = ()
    disputed: str = ""
    children: tuple[Row | Include, ...] = ()
    one_of: tuple[str, ...] = ()
    open: bool = False

    def is_named(self, concept: Code | None) -> bool:
        """Whether a concept name is one of the row's."""
        if self.any_name:
            return True
        if concept is None:
            return not self.names and self.named_by is None
        if self.named_by is not None:
            return is_member(self.named_by, concept)
        return any(same(concept, name) for name in self.names)


@dataclass(frozen=True)
class Include:
    """A row that includes another template.

    Attributes:
        relationship: Of its top rows to the parent, where they leave it open.
        most: How often, at most.
        loosely: By-reference items are taken for its items, with a warning.
    """

    number: str
    template: str
    relationship: str = ""
    requirement: Requirement = Requirement.MANDATORY
    most: int = 1
    when: Condition | None = None
    may_otherwise: bool = False
    loosely: bool = False


@dataclass(frozen=True)
class Template:
    """A template.

    Attributes:
        rows: Its top rows.
        one_of: Numbers of top rows, of which one at least must be there.
        ordered: Whether the order of its rows is significant.
        variant: Tells apart what the standard does by parameters of one template.
    """

    tid: str
    rows: tuple[Row | Include, ...]
    one_of: tuple[str, ...] = ()
    ordered: bool = True
    variant: str = ""

    @property
    def key(self) -> str:
        """What an Include names it by."""
        return f"{self.tid}{self.variant}"


def written(code: Code) -> str:
    """A code as the standard writes it."""
    return f'({code.value}, {code.scheme}, "{code.meaning}")'


def _either(codes: tuple[Code, ...]) -> str:
    return " or ".join(map(written, codes))
