"""What a Mammography CAD report says, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dibmg_node.dicom.codes import Code
from dibmg_node.domain.image import Point
from dibmg_node.domain.study import Laterality, View


class Intent(StrEnum):
    """Whether a finding is for the reader's eyes. Source: CID 6034, PS3.16."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT = "not for presentation"


@dataclass(frozen=True)
class LibraryImage:
    """An image that a report speaks of.

    Attributes:
        number: Place in the image library, from 1; 0 for an image that is named elsewhere alone.
        view: None where the report does not say, or says one that CID 4014 has not.
        size: (columns, rows); None where the report does not say.
    """

    number: int
    sop_uid: str
    sop_class_uid: str
    laterality: Laterality | None = None
    view: View | None = None
    modifiers: tuple[str, ...] = ()
    size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Side and view: R-CC, R-?, ?-CC."""
        side = "?" if self.laterality is None else self.laterality.value
        return f"{side}-{'?' if self.view is None else self.view.value}"


@dataclass(frozen=True)
class Shape:
    """A place on an image.

    Attributes:
        name: What it is: Center, Outline, Breast Outline …
        kind: POINT, MULTIPOINT, POLYLINE, CIRCLE or ELLIPSE. Source: PS3.3 C.18.6.1.2.
        sop_uid: Of the image; empty where the report does not say which.
    """

    name: str
    kind: str
    points: tuple[Point, ...]
    sop_uid: str


@dataclass(frozen=True)
class Algorithm:
    """Who says so. Source: TID 4019, PS3.16."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@dataclass(frozen=True)
class CadFinding:
    """One finding on one image, or one feature made of several.

    Attributes:
        path: Place of its content item.
        composite: Whether it is a feature that others are part of.
        kind: What it is.
        certainty: Percent.
        probability: Of cancer, percent.
        parts: Places of the findings that it is inferred from.
        properties: Everything else that it has, name and value in words.
        tracking_uid: Empty where there is none.
    """

    path: str
    composite: bool
    kind: Code
    intent: Intent | None
    certainty: float | None
    probability: float | None
    shapes: tuple[Shape, ...]
    parts: tuple[str, ...]
    algorithm: Algorithm | None
    tracking_uid: str
    properties: tuple[tuple[str, str], ...]

    @property
    def center(self) -> Point | None:
        """Its center in pixels of its image; None where it has none."""
        points = (one.points[0] for one in self.shapes if one.name == "Center" and one.points)
        return next(points, None)

    @property
    def outline(self) -> Shape | None:
        """Its outline; None where it has none."""
        return next((one for one in self.shapes if one.name == "Outline"), None)

    @property
    def sop_uids(self) -> tuple[str, ...]:
        """Images that it is marked on, each once."""
        return tuple(dict.fromkeys(one.sop_uid for one in self.shapes if one.sop_uid))


@dataclass(frozen=True)
class Performed:
    """One detection or analysis: what was looked for, by what, on which images, and whether it worked.

    Source: TID 4017, 4018, PS3.16.
    """

    what: Code
    is_detection: bool
    succeeded: bool
    algorithm: Algorithm | None
    sop_uids: tuple[str, ...]


@dataclass(frozen=True)
class CadContent:
    """A whole report.

    Attributes:
        summary: CAD Processing and Findings Summary.
        images: By SOP Instance UID, in the order of the library.
        impression: Description in words; empty where there is none.
        certainty: Of the impression, percent.
        overall: Other rows of the overall impression, name and value in words.
        remarks: What in the report could not be understood, with its place.
    """

    sop_uid: str
    study_uid: str
    manufacturer: str
    model: str
    summary: Code | None
    detections: Code | None
    analyses: Code | None
    impression: str
    certainty: float | None
    overall: tuple[tuple[str, str], ...]
    images: Mapping[str, LibraryImage]
    findings: tuple[CadFinding, ...]
    performed: tuple[Performed, ...]
    remarks: tuple[str, ...] = ()
