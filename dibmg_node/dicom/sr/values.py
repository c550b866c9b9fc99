"""What content items hold: codes, numbers, texts, places and images; None where it cannot be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.header import numbers_of, texts_of
from dibmg_node.dicom.sr.tree import Node, code_of, items_of, text_of
from dibmg_node.domain.image import Point

POINTS: Final = {
    "POINT": (1, 1),
    "MULTIPOINT": (1, 0),
    "POLYLINE": (2, 0),
    "CIRCLE": (2, 2),
    "ELLIPSE": (4, 4),
}
"""Least and most points of a graphic type; 0: no most. Source: PS3.3 C.18.6.1.2."""


class Quantity(NamedTuple):
    """A number with its unit."""

    value: float
    unit: Code | None


class ImageReference(NamedTuple):
    """An image or other instance that an item names. Source: PS3.3 table 10-11."""

    sop_class_uid: str
    sop_uid: str


@dataclass(frozen=True)
class Graphic:
    """Points on an image.

    Attributes:
        kind: POINT, MULTIPOINT, POLYLINE, CIRCLE or ELLIPSE, as received. Source: PS3.3 C.18.6.1.2.
        points: In pixels of the image; empty where Graphic Data is no list of pairs of finite numbers.
    """

    kind: str
    points: tuple[Point, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is of a known kind, and has as many points as that wants."""
        least, most = POINTS.get(self.kind, (1, 0))
        return least <= len(self.points) <= (most or len(self.points))


def coded(node: Node) -> Code | None:
    """Value of a CODE item."""
    return code_of(node.attributes, "ConceptCodeSequence")


def quantity(node: Node) -> Quantity | None:
    """Value of a NUM item; None where it has none, or no finite number."""
    for measured in items_of(node.attributes, "MeasuredValueSequence")[:1]:
        numbers = numbers_of(measured, "NumericValue")
        if numbers and math.isfinite(numbers[0]):
            return Quantity(numbers[0], code_of(measured, "MeasurementUnitsCodeSequence"))
    return None


def words(node: Node) -> str:
    """Value of a TEXT, DATE, TIME or UIDREF item."""
    keyword = {"TEXT": "TextValue", "DATE": "Date", "TIME": "Time", "UIDREF": "UID"}.get(node.value_type)
    return "" if keyword is None else "\\".join(texts_of(node.attributes, keyword))


def image_reference(node: Node) -> ImageReference | None:
    """The instance that an IMAGE or COMPOSITE item names."""
    for item in items_of(node.attributes, "ReferencedSOPSequence")[:1]:
        sop_uid = text_of(item, "ReferencedSOPInstanceUID")
        if sop_uid:
            return ImageReference(text_of(item, "ReferencedSOPClassUID"), sop_uid)
    return None


def graphic(node: Node) -> Graphic | None:
    """Value of an SCOORD item."""
    kind = text_of(node.attributes, "GraphicType")
    if not kind:
        return None
    numbers = numbers_of(node.attributes, "GraphicData")
    if len(numbers) % 2:
        return Graphic(kind, ())
    return Graphic(kind, tuple(zip(numbers[0::2], numbers[1::2], strict=True)))
