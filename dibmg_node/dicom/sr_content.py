"""The content tree of a structured report: built from items, written as a nested data set at the end.

Items refer to other items by identity; positions in the tree are counted only when it is finished,
because every insertion moves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.domain.image import Point

CONTAINS: Final = "CONTAINS"
HAS_CONCEPT_MODIFIER: Final = "HAS CONCEPT MOD"
HAS_ACQUISITION_CONTEXT: Final = "HAS ACQ CONTEXT"
HAS_OBSERVATION_CONTEXT: Final = "HAS OBS CONTEXT"
HAS_PROPERTIES: Final = "HAS PROPERTIES"
INFERRED_FROM: Final = "INFERRED FROM"
SELECTED_FROM: Final = "SELECTED FROM"


@dataclass(frozen=True, eq=False)
class Item:
    """One content item; equal only to itself.

    Attributes:
        relationship: To its parent; empty for the root.
        value_type: Empty where the item only refers to `target`.
        value: The attributes that hold the item's value.
        target: The item referred to by its position in the tree. Source: PS3.3 C.17.3.2.5.
    """

    relationship: str
    value_type: str = ""
    concept: Code | None = None
    value: Dataset = field(default_factory=Dataset)
    children: tuple[Item, ...] = ()
    target: Item | None = None


def container(relationship: str, concept: Code, children: Sequence[Item], template: str = "") -> Item:
    """A heading with what stands under it, and the template (TID of PS3.16) that it begins, if any.

    Source: PS3.3 C.18.8.
    """
    value = Dataset()
    value.ContinuityOfContent = "SEPARATE"
    if template:
        item = Dataset()
        item.MappingResource = "DCMR"
        item.MappingResourceUID = "1.2.840.10008.8.1.1"
        item.TemplateIdentifier = template
        value.ContentTemplateSequence = DicomSequence([item])
    return Item(relationship, "CONTAINER", concept, value, tuple(children))


def code(relationship: str, concept: Code, coded: Code, children: Sequence[Item] = ()) -> Item:
    """A coded value."""
    value = Dataset()
    value.ConceptCodeSequence = code_sequence(coded)
    return Item(relationship, "CODE", concept, value, tuple(children))


def text(relationship: str, concept: Code, words: str, children: Sequence[Item] = ()) -> Item:
    """Free text."""
    value = Dataset()
    value.TextValue = words
    return Item(relationship, "TEXT", concept, value, tuple(children))


def date(relationship: str, concept: Code, value_da: str) -> Item:
    """A date as DICOM writes it."""
    value = Dataset()
    value.Date = value_da
    return Item(relationship, "DATE", concept, value)


def time(relationship: str, concept: Code, value_tm: str) -> Item:
    """A time as DICOM writes it."""
    value = Dataset()
    value.Time = value_tm
    return Item(relationship, "TIME", concept, value)


def uid(relationship: str, concept: Code, value_ui: str) -> Item:
    """A UID."""
    value = Dataset()
    value.UID = value_ui
    return Item(relationship, "UIDREF", concept, value)


def number(
    relationship: str, concept: Code, quantity: float, unit: Code, children: Sequence[Item] = ()
) -> Item:
    """A number with its unit, to at most ten significant digits."""
    measured = Dataset()
    measured.NumericValue = decimal(quantity)
    measured.MeasurementUnitsCodeSequence = code_sequence(unit)
    value = Dataset()
    value.MeasuredValueSequence = DicomSequence([measured])
    return Item(relationship, "NUM", concept, value, tuple(children))


def percent(relationship: str, concept: Code, fraction: float, children: Sequence[Item] = ()) -> Item:
    """A fraction 0..1 as a number 0..100 %, to a thousandth."""
    return number(relationship, concept, round(100.0 * fraction, 3), codes.PERCENT, children)


def image(relationship: str, sop_class_uid: str, sop_uid: str, children: Sequence[Item] = ()) -> Item:
    """An image; nameless, as TID 1601, 1410 and 4020 want it."""
    value = Dataset()
    value.ReferencedSOPSequence = DicomSequence([sop_reference(sop_class_uid, sop_uid)])
    return Item(relationship, "IMAGE", None, value, tuple(children))


def place(relationship: str, concept: Code, points: Sequence[Point], selected_from: Item) -> Item:
    """One point, or a polyline through several, on an image.

    Args:
        relationship: To its parent.
        concept: What is there.
        points: One, or several.
        selected_from: The image, or a reference to where it stands in the tree.

    Source: PS3.3 C.18.6.1.2.
    """
    value = Dataset()
    value.GraphicData = [float(coordinate) for point in points for coordinate in point]
    value.GraphicType = "POINT" if len(points) == 1 else "POLYLINE"
    return Item(relationship, "SCOORD", concept, value, (selected_from,))


def reference(relationship: str, target: Item) -> Item:
    """A by-reference item: the relationship, and where in the tree its target stands."""
    return Item(relationship, target=target)


def content(root: Item) -> Dataset:
    """The finished tree as attributes of the SR Document Content module.

    Raises:
        ValueError: An item refers to one that is not in the tree.

    Source: PS3.3 C.17.3.
    """
    positions = {id(item): position for item, position in _walk(root, (1,))}
    return _written(root, positions)


def code_sequence(coded: Code) -> DicomSequence:
    """The one item of a code sequence attribute. Source: PS3.3 8.8."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = coded
    return DicomSequence([item])


def sop_reference(sop_class_uid: str, sop_uid: str) -> Dataset:
    """SOP Instance Reference Macro. Source: PS3.3 table 10-11."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_uid
    return item


def decimal(quantity: float) -> str:
    """A number as a Decimal String (at most 16 characters): pydicom would write 0 as 0.0."""
    return f"{quantity:.9g}"


def _walk(item: Item, position: tuple[int, ...]) -> Iterator[tuple[Item, tuple[int, ...]]]:
    yield item, position
    for index, child in enumerate(item.children, start=1):
        yield from _walk(child, (*position, index))


def _written(item: Item, positions: dict[int, tuple[int, ...]]) -> Dataset:
    dataset = Dataset()
    if item.relationship:
        dataset.RelationshipType = item.relationship
    if item.target is not None:
        if id(item.target) not in positions:
            raise ValueError(f"a {item.relationship} item refers to an item outside of the tree")
        dataset.ReferencedContentItemIdentifier = list(positions[id(item.target)])
        return dataset
    dataset.ValueType = item.value_type
    if item.concept is not None:
        dataset.ConceptNameCodeSequence = code_sequence(item.concept)
    dataset.update(item.value)
    if item.children:
        dataset.ContentSequence = DicomSequence([_written(child, positions) for child in item.children])
    return dataset
