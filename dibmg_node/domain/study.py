"""A study and its instances: frozen facts, as the header of each instance states them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Laterality(StrEnum):
    """Imaged breast. Source: Image Laterality (0020,0062)."""

    RIGHT = "R"
    LEFT = "L"
    BOTH = "B"


class View(StrEnum):
    """Projection of a mammogram, by its View Position term. Source: CID 4014, PS3.16."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    XCCL = "XCCL"
    XCCM = "XCCM"
    FB = "FB"
    SIO = "SIO"
    ISO = "ISO"
    SPECIMEN = "SPECIMEN"


class ViewModifier(StrEnum):
    """How a view departs from its standard. Source: CID 4015, PS3.16."""

    CLEAVAGE = "cleavage"
    AXILLARY_TAIL = "axillary tail"
    ROLLED_LATERAL = "rolled lateral"
    ROLLED_MEDIAL = "rolled medial"
    ROLLED_INFERIOR = "rolled inferior"
    ROLLED_SUPERIOR = "rolled superior"
    IMPLANT_DISPLACED = "implant displaced"
    MAGNIFICATION = "magnification"
    SPOT_COMPRESSION = "spot compression"
    TANGENTIAL = "tangential"
    NIPPLE_IN_PROFILE = "nipple in profile"
    ANTERIOR_COMPRESSION = "anterior compression"
    INFRA_MAMMARY_FOLD = "infra-mammary fold"
    AXILLARY_TISSUE = "axillary tissue"
    UNKNOWN = "a modifier outside CID 4015"


class ImageKind(StrEnum):
    """What an instance is, by its SOP class."""

    FOR_PRESENTATION = "Digital Mammography X-Ray Image - For Presentation"
    FOR_PROCESSING = "Digital Mammography X-Ray Image - For Processing"
    TOMOSYNTHESIS = "Breast Tomosynthesis Image"
    PROJECTION = "Breast Projection X-Ray Image"
    SECONDARY_CAPTURE = "Secondary Capture Image"
    OTHER = "another object"


MAMMOGRAMS: frozenset[ImageKind] = frozenset(
    {ImageKind.FOR_PRESENTATION, ImageKind.FOR_PROCESSING, ImageKind.TOMOSYNTHESIS, ImageKind.PROJECTION}
)
"""Kinds for whose sake a study is read; whatever else comes with them changes no reading."""


class ViewKey(NamedTuple):
    """One view of one breast, written R-CC, L-MLO and so on."""

    laterality: Laterality
    view: View

    def __str__(self) -> str:
        return f"{self.laterality.value}-{self.view.value}"

    @staticmethod
    def parse(text: str) -> ViewKey:
        """Read back what str() wrote."""
        laterality, view = text.split("-")
        return ViewKey(Laterality(laterality), View(view))


STANDARD_VIEWS: tuple[ViewKey, ...] = tuple(
    ViewKey(laterality, view)
    for view in (View.CC, View.MLO)
    for laterality in (Laterality.RIGHT, Laterality.LEFT)
)
"""R-CC, L-CC, R-MLO, L-MLO: the order of the paper and of every output."""


@dataclass(frozen=True)
class Instance:
    """Facts of one received SOP Instance. No pixels, no patient identity.

    Attributes:
        acquired_at: Acquisition Date and Time (or Content Date and Time) as `YYYYMMDDHHMMSS.FFFFFF`,
            empty where the header has none. Orders retakes.
        acquired_on: Day of Acquisition DateTime (0008,002A), else Acquisition Date (0008,0022), `YYYYMMDD`;
            empty where the header has neither. Tells earlier exams.
        content_at: Content Date and Time (0008,0023), (0008,0033) likewise. Orders images of one acquisition.
        presentation_intent: Presentation Intent Type (0008,0068), or what the SOP class implies.
        orientation: Patient Orientation (0020,0020): direction of the rows, then of the columns.
        magnification: Estimated Radiographic Magnification Factor (0018,1114).
    """

    sop_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    kind: ImageKind
    modality: str = ""
    presentation_intent: str = ""
    laterality: Laterality | None = None
    view: View | None = None
    modifiers: tuple[ViewModifier, ...] = ()
    image_type: tuple[str, ...] = ()
    acquired_at: str = ""
    acquired_on: str = ""
    content_at: str = ""
    instance_number: int = 0
    rows: int = 0
    columns: int = 0
    frames: int = 1
    partial_view: bool = False
    implant_present: bool = False
    burned_in: bool = False
    quality_control: bool = False
    orientation: tuple[str, ...] = ()
    lossy: bool = False
    magnification: float | None = None
    manufacturer: str = ""
    manufacturer_model: str = ""
    software_versions: str = ""

    @property
    def view_key(self) -> ViewKey | None:
        """Side and projection, where the header gives both."""
        if self.laterality is None or self.view is None:
            return None
        return ViewKey(self.laterality, self.view)


@dataclass(frozen=True)
class Exclusion:
    """Why an instance, a breast or a study was not read.

    Attributes:
        code: Stable name, for programs.
        sentence: For people; names what was found and what was expected. Holds no patient identity.
        sop_uid: The instance, where it is about one.
        laterality: The breast, where it is about one.
    """

    code: ExclusionCode
    sentence: str
    sop_uid: str | None = None
    laterality: Laterality | None = None


class ExclusionCode(StrEnum):
    """Every reason that the node can give for not reading an image, a breast or a study."""

    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    SOP_CLASS_NOT_READ = "SOP_CLASS_NOT_READ"
    NOT_MAMMOGRAPHY = "NOT_MAMMOGRAPHY"
    FOR_PROCESSING = "FOR_PROCESSING"
    TOMOSYNTHESIS = "TOMOSYNTHESIS"
    PROJECTION = "PROJECTION"
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    QUALITY_CONTROL = "QUALITY_CONTROL"
    MULTI_FRAME = "MULTI_FRAME"
    SYNTHESIZED_2D = "SYNTHESIZED_2D"
    SUBTRACTED = "SUBTRACTED"
    BURNED_IN = "BURNED_IN"
    SPECIMEN = "SPECIMEN"
    LATERALITY_UNKNOWN = "LATERALITY_UNKNOWN"
    VIEW_UNKNOWN = "VIEW_UNKNOWN"
    VIEW_NOT_STANDARD = "VIEW_NOT_STANDARD"
    VIEW_MODIFIED = "VIEW_MODIFIED"
    MAGNIFIED = "MAGNIFIED"
    PARTIAL_VIEW = "PARTIAL_VIEW"
    ON_ITS_SIDE = "ON_ITS_SIDE"
    IMPLANT = "IMPLANT"
    EARLIER_EXAM = "EARLIER_EXAM"
    RETAKEN = "RETAKEN"
    SERIES_UNKNOWN = "SERIES_UNKNOWN"
    SYNTAX_NOT_DECODED = "SYNTAX_NOT_DECODED"
    PIXELS_UNREADABLE = "PIXELS_UNREADABLE"
    NO_BREAST = "NO_BREAST"
    PATIENT_DIFFERS = "PATIENT_DIFFERS"
    BREAST_INCOMPLETE = "BREAST_INCOMPLETE"
    MISSING_VIEWS = "MISSING_VIEWS"
    NO_MAMMOGRAM = "NO_MAMMOGRAM"


USED = "USED"
"""Code of an image that was read: the counterpart of an ExclusionCode."""


@dataclass(frozen=True)
class Verdict:
    """What became of one instance of a study: taken or not, always with a sentence."""

    sop_uid: str
    used: bool
    code: str
    sentence: str
    laterality: Laterality | None = None
    view: View | None = None


@dataclass(frozen=True)
class Study:
    """One study's instances, as they were when somebody looked."""

    study_uid: str
    revision: int
    instances: tuple[Instance, ...] = field(default=())
