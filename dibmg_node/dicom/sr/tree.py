"""A received content tree: every item with its place, whatever it holds, within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.header import texts_of
from dibmg_node.errors import RejectedError

MAXIMUM_DEPTH: Final = 32
"""Levels below the root; TID 4000 needs about a dozen."""
MAXIMUM_ITEMS: Final = 100_000
"""Content items of one report: a thousand clusters of fifty calcifications, or a hostile file."""
_CODE_VALUES: Final = ("CodeValue", "LongCodeValue", "URNCodeValue")


class ReportUnreadableError(RejectedError):
    """A file is no report of the kind asked for, is damaged, or is nested or large beyond reason."""


Position = tuple[int, ...]
"""Place of an item: 1 for the root, then for each level the place among all siblings, from 1."""


@dataclass(frozen=True, eq=False)
class Node:
    """One content item as it was received; equal only to itself.

    Attributes:
        position: Its place in the tree.
        relationship: To its parent, as received; empty where there is none.
        value_type: As received; empty for an item that only refers to another.
        concept: Its name.
        target: Place of the item that it refers to; empty for an item by value. Source: PS3.3 C.17.3.2.5.
        attributes: The item's own data set.
    """

    position: Position
    relationship: str
    value_type: str
    concept: Code | None
    target: Position
    attributes: Dataset
    children: tuple[Node, ...]

    @property
    def path(self) -> str:
        """Its place as it is written: 1.2.3."""
        return path_of(self.position)

    @property
    def by_reference(self) -> bool:
        """Whether it only refers to another item."""
        return bool(self.target)

    def walk(self) -> Iterator[Node]:
        """The item and everything below it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, eq=False)
class Tree:
    """A content tree with its items by their place."""

    root: Node
    nodes: dict[Position, Node]

    def resolve(self, node: Node) -> Node | None:
        """The item that counts: the node itself, or the one that it refers to; None where there is none."""
        return self.nodes.get(node.target) if node.by_reference else node


def read_tree(report: Dataset) -> Tree:
    """The content tree of a structured report.

    Raises:
        ReportUnreadableError: The report has no content, or more than MAXIMUM_DEPTH levels or MAXIMUM_ITEMS
            items, or a sequence in it cannot be parsed.

    Source: PS3.3 C.17.3.
    """
    if not items_of(report, "ContentSequence"):
        raise ReportUnreadableError("no content: the report's Content Sequence is missing or empty")
    nodes: dict[Position, Node] = {}
    root = _read(report, (1,), nodes)
    return Tree(root, nodes)


def path_of(position: Sequence[int]) -> str:
    """A place as it is written: 1.2.3."""
    return ".".join(map(str, position))


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; empty where it is absent or no sequence.

    Raises:
        ReportUnreadableError: It cannot be parsed.
    """
    try:
        value: Any = dataset.get(keyword)
        return [item for item in value if isinstance(item, Dataset)] if value else []
    # pydicom tells a damaged sequence by many exceptions, RecursionError among them
    except Exception as error:
        raise ReportUnreadableError(f"{keyword} cannot be parsed ({type(error).__name__})") from error


def code_of(dataset: Dataset, keyword: str) -> Code | None:
    """The first code of a code sequence; None where there is none. Source: PS3.3 8.8."""
    for item in items_of(dataset, keyword)[:1]:
        for name in _CODE_VALUES:
            value = text_of(item, name)
            if value:
                return Code(value, text_of(item, "CodingSchemeDesignator"), text_of(item, "CodeMeaning"))
    return None


def text_of(dataset: Dataset, keyword: str) -> str:
    """First value of a text attribute, stripped; empty where it is absent or cannot be read."""
    return next(iter(texts_of(dataset, keyword)), "")


def _read(dataset: Dataset, position: Position, nodes: dict[Position, Node]) -> Node:
    if len(position) > MAXIMUM_DEPTH + 1:
        raise ReportUnreadableError(f"content is nested deeper than {MAXIMUM_DEPTH} levels")
    items = items_of(dataset, "ContentSequence")
    if len(nodes) + len(items) > MAXIMUM_ITEMS:
        raise ReportUnreadableError(f"more than {MAXIMUM_ITEMS} content items")
    children = tuple(_read(item, (*position, place), nodes) for place, item in enumerate(items, start=1))
    node = Node(
        position,
        text_of(dataset, "RelationshipType"),
        text_of(dataset, "ValueType"),
        code_of(dataset, "ConceptNameCodeSequence"),
        _target(dataset),
        dataset,
        children,
    )
    nodes[position] = node
    return node


def _target(dataset: Dataset) -> Position:
    """Place that the item refers to; (0,), which no item has, where that is not a list of numbers."""
    found = texts_of(dataset, "ReferencedContentItemIdentifier")
    if not found:
        return ()
    return tuple(int(one) if one.isdecimal() else 0 for one in found)
