"""Annex A.B: the content trees of the structured reports, row by row as they are written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from dibmg_node.conformance.iods import created_classes
from dibmg_node.conformance.markdown import table
from dibmg_node.conformance.specimens import specimens
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.tree import Node, code_of, items_of, read_tree
from dibmg_node.domain.result import REPORTS, ResultKind

_Place = tuple[tuple[str, str, str], ...]
"""Relationship, value type and concept of an item and of all above it."""


@dataclass
class _Row:
    """All content items of one place.

    Attributes:
        parents: How many items of the place above have one.
        values: Distinct codes, units and graphic types, in the order of their first occurrence.
        most: Items under one parent at most.
    """

    parents: int = 0
    most: int = 0
    values: dict[str, None] = field(default_factory=dict)


def content_tables() -> str:
    """A section for each kind of report."""
    parts = []
    for number, kind in enumerate(sorted(created_classes().keys() & REPORTS), start=1):
        (template,) = {
            str(one.ContentTemplateSequence[0].TemplateIdentifier)
            for specimen in specimens().all
            for one in specimen.of_kind(kind)
        }
        parts.append(f"### A.B.{number} TID {template} ({kind.value})")
        parts.append(
            table(
                ("Nesting", "Relationship", "Value type", "Concept name", "Presence", "Number", "Values"),
                _rows(kind),
            )
        )
    return "\n\n".join(parts)


def root_templates() -> list[tuple[ResultKind, str]]:
    """Root template of each kind of report."""
    return [
        (kind, str(specimens().all[0].of_kind(kind)[0].ContentTemplateSequence[0].TemplateIdentifier))
        for kind in sorted(REPORTS)
    ]


def _rows(kind: ResultKind) -> Iterator[tuple[str, ...]]:
    rows: dict[_Place, _Row] = {}
    items: dict[_Place, int] = defaultdict(int)

    def walk(node: Node, place: _Place) -> None:
        items[place] += 1
        count = Counter((*place, _step(child)) for child in node.children)
        for child_place, number in count.items():
            row = rows.setdefault(child_place, _Row())
            row.parents += 1
            row.most = max(row.most, number)
        for child in node.children:
            below = (*place, _step(child))
            rows[below].values.update(dict.fromkeys(_values(child)))
            walk(child, below)

    for specimen in specimens().all:
        for report in specimen.of_kind(kind):
            root = read_tree(report).root
            rows.setdefault((_step(root),), _Row(1, 1))
            walk(root, (_step(root),))
    for place in _in_order(rows):
        row = rows[place]
        relationship, value_type, concept = place[-1]
        always = len(place) == 1 or row.parents == items[place[:-1]]
        yield (
            ">" * (len(place) - 1),
            relationship,
            value_type,
            concept,
            "ALWAYS" if always else "ANAP",
            "1" if row.most == 1 else "1-n",
            ", ".join(row.values),
        )


def _in_order(rows: dict[_Place, _Row]) -> Iterator[_Place]:
    """Every place after the one above it; brothers in the order of their first occurrence."""
    children: dict[_Place, list[_Place]] = defaultdict(list)
    for place in rows:
        children[place[:-1]].append(place)

    def below(place: _Place) -> Iterator[_Place]:
        for child in children[place]:
            yield child
            yield from below(child)

    yield from below(())


def _step(node: Node) -> tuple[str, str, str]:
    value_type = "by reference" if node.by_reference else node.value_type
    return (node.relationship, value_type, _told(node.concept) if node.concept else "")


def _values(node: Node) -> Iterator[str]:
    coded = code_of(node.attributes, "ConceptCodeSequence")
    if coded is not None:
        yield _told(coded)
    for measured in items_of(node.attributes, "MeasuredValueSequence"):
        unit = code_of(measured, "MeasurementUnitsCodeSequence")
        if unit is not None:
            yield f"in {_told(unit)}"
    if "GraphicType" in node.attributes:
        yield str(node.attributes.GraphicType)


def _told(one: Code) -> str:
    return f"({one.value}, {one.scheme}, {one.meaning})"
